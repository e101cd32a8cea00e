/** What lies in a gate's cache, seen from outside. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Gate } from './gate';
import { basic, send } from './http';

export class CacheFolder {
  readonly folder: string;

  constructor(gate: Gate) {
    this.folder = gate.env['CACHE_DIR'] ?? join(gate.dataDir, 'cache');
  }

  /** Absolute paths of what is held. */
  blobs(): string[] {
    const blobs = join(this.folder, 'blobs');
    if (!existsSync(blobs)) return [];
    return readdirSync(blobs, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name));
  }

  holds(digest: string): boolean {
    const hex = digest.replace('sha256:', '');
    return existsSync(join(this.folder, 'blobs/sha256', hex.slice(0, 2), hex));
  }

  /** Digests of what is held. */
  digests(): string[] {
    return this.blobs().map((path) => `sha256:${basename(path)}`);
  }

  /** What is being fetched, or was left over. */
  spools(): string[] {
    const spool = join(this.folder, 'spool');
    return existsSync(spool) ? readdirSync(spool) : [];
  }

  /**
   * Files that are not what their name says.
   * @param known paths that need no look any more; those that are right are added.
   */
  wrong(known = new Set<string>()): string[] {
    return this.blobs().filter((path) => {
      if (known.has(path)) return false;
      const right =
        createHash('sha256').update(readFileSync(path)).digest('hex') === basename(path);
      if (right) known.add(path);
      return !right;
    });
  }

  bytes(): number {
    return this.blobs().reduce((sum, path) => sum + statSync(path).size, 0);
  }
}

/** File descriptors that the gate has open: all, its sockets, and files that were removed already. */
export function descriptors({ pid }: Gate): { all: number; sockets: number; removed: number } {
  const targets = readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return []; // closed meanwhile
    }
  });
  return {
    all: targets.length,
    sockets: targets.filter((target) => target.startsWith('socket:')).length,
    removed: targets.filter((target) => target.endsWith(' (deleted)')).length,
  };
}

/** What health tells an admin. */
export async function healthOf(gate: Gate) {
  const { status, json } = await send(`${gate.url}/health`, { headers: basic(gate.admin) });
  return {
    code: status,
    ...json<{ status: string; checks: Record<string, { status: string; detail?: string }> }>(),
  };
}
