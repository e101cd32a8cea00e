/** Looks at the gate from outside, from time to time: memory, descriptors, and what lies on its disk. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CacheFolder, descriptors } from '../support/cache-folder';
import type { Gate } from '../support/gate';

export interface Sample {
  /** Milliseconds since the traffic began. */
  readonly at: number;
  readonly pid: number;
  /** Bytes. */
  readonly memory: number;
  readonly descriptors: number;
  readonly sockets: number;
  /** Files that were removed and are still open. */
  readonly removed: number;
  readonly held: number;
  readonly spooled: number;
  /** All of the data folder but the cache: accounts, secrets, the index. */
  readonly rest: number;
}

/** Files come and go while they are counted. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function sum(paths: readonly string[]): number {
  return paths.reduce((total, path) => total + sizeOf(path), 0);
}

export function sample(gate: Gate, at: number): Sample | undefined {
  if (!gate.running) return undefined;
  const { pid, dataDir } = gate;
  const cache = new CacheFolder(gate);
  const rest = readdirSync(dataDir, { withFileTypes: true }).filter((entry) => entry.isFile());
  try {
    const { all, sockets, removed } = descriptors(gate);
    const { now: memory } = gate.memory();
    // Ended, and not yet known to have.
    if (Number.isNaN(memory)) return undefined;
    return {
      at,
      pid,
      memory,
      descriptors: all,
      sockets,
      removed,
      held: sum(cache.blobs()),
      spooled: sum(cache.spools().map((name) => join(cache.folder, 'spool', name))),
      rest: sum(rest.map(({ name }) => join(dataDir, name))),
    };
  } catch (error) {
    if (!gate.running || (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

/**
 * How much more memory one life of the gate took in its last third than in its first, once it was warm: medians, since
 * it goes up and down with every collection of garbage.
 */
export function growthOf(life: readonly Sample[]): { readonly from: number; readonly to: number } {
  const warm = life.slice(Math.floor(life.length / 5));
  const third = Math.floor(warm.length / 3);
  const of = (part: readonly Sample[]) => median(part.map(({ memory }) => memory));
  return { from: of(warm.slice(0, third)), to: of(warm.slice(-third)) };
}

/** Samples of each process, in order. */
export function lives(samples: readonly Sample[]): Sample[][] {
  const all: Sample[][] = [];
  for (const one of samples) {
    const last = all.at(-1);
    if (last?.[0]?.pid === one.pid) last.push(one);
    else all.push([one]);
  }
  return all;
}
