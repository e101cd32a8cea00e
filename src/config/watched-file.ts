/** Reading files that others write, in whatever way: polled, since neither bind mounts nor ConfigMaps notify. */
import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { reasonOf } from './settings-error';

/** Between two looks, in milliseconds. */
export const POLL_INTERVAL = 250;
/** A text counts once it has stood unchanged for this long: `htpasswd` truncates the file before it writes. */
const SETTLED = 500;
/**
 * The same for a text whose last line does not end: half a line, or a Kubernetes secret that never had an end; and for an empty
 * one, since a busy machine may keep a writer waiting between the two.
 */
const SETTLED_UNENDED = 1500;
/** A file that was changed this recently may be changed again without its times showing it. */
const RECENT = 2000;
const MAX_SIZE = 32 * 1024 * 1024;
/** Without waiting: to open a named pipe takes until somebody writes to it, perhaps for ever. */
const OPENING = constants.O_RDONLY | constants.O_NONBLOCK;

/** What a file held when it was looked at. */
export type Reading =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unreadable'; readonly reason: string };

export const ABSENT: Reading = { kind: 'absent' };

export function sameReading(one: Reading, other: Reading): boolean {
  if (one.kind === 'text') return other.kind === 'text' && one.text === other.text;
  if (one.kind === 'absent') return other.kind === 'absent';
  return other.kind === 'unreadable' && one.reason === other.reason;
}

/** One file, whose content is read only when it may have changed. */
export class WatchedFile {
  #last?: { readonly version: string; readonly reading: Reading };

  constructor(readonly path: string) {}

  async read(): Promise<Reading> {
    try {
      return await this.#readText();
    } catch (error) {
      return failed(error);
    }
  }

  async #readText(): Promise<Reading> {
    const file = await open(this.path, OPENING);
    try {
      const stats = await file.stat({ bigint: true });
      const reason = unfitness(stats);
      if (reason !== undefined) return { kind: 'unreadable', reason };
      const version = [stats.dev, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(':');
      if (this.#last?.version === version) return this.#last.reading;
      const now = Date.now();
      const reading = { kind: 'text', text: await file.readFile('utf8') } as const;
      const quiet = now - Number(stats.ctimeMs) > RECENT && now - Number(stats.mtimeMs) > RECENT;
      this.#last = quiet ? { version, reading } : undefined;
      return reading;
    } finally {
      await file.close();
    }
  }
}

/** What a file holds at this moment. */
export function readNow(path: string): Reading {
  let file: number | undefined;
  try {
    file = openSync(path, OPENING);
    const reason = unfitness(fstatSync(file));
    if (reason !== undefined) return { kind: 'unreadable', reason };
    return { kind: 'text', text: readFileSync(file, 'utf8') };
  } catch (error) {
    return failed(error);
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Why what was opened is not read; undefined where it is. */
function unfitness(stats: { isFile(): boolean; readonly size: number | bigint }) {
  if (!stats.isFile()) return 'is not a file';
  return stats.size > MAX_SIZE ? 'is larger than 32 MiB' : undefined;
}

function failed(error: unknown): Reading {
  const code = reasonOf(error);
  if (code === 'ENOENT' || code === 'ENOTDIR') return ABSENT;
  return { kind: 'unreadable', reason: `cannot be read (${code})` };
}

/** Decides when what is read again and again may be taken for what was meant. One for each set of files. */
export class Settling {
  #candidate?: readonly Reading[];
  #since = 0;

  /**
   * @param readings what was read just now, in the order of the files
   * @param now milliseconds of a clock that does not jump
   * @returns true when these readings have stood long enough
   */
  offer(readings: readonly Reading[], now = performance.now()): boolean {
    const same = this.#candidate?.every((old, index) => {
      const reading = readings[index];
      return reading !== undefined && sameReading(old, reading);
    });
    if (!same) {
      this.#candidate = readings;
      this.#since = now;
      return false;
    }
    return now - this.#since >= (readings.some(isUnended) ? SETTLED_UNENDED : SETTLED);
  }

  forget(): void {
    this.#candidate = undefined;
  }
}

function isUnended(reading: Reading): boolean {
  return reading.kind === 'text' && !reading.text.endsWith('\n');
}
