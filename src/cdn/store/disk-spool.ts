import { randomBytes } from 'node:crypto';
import { open, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFile } from './durability';
import type { Spool } from './spool';

const NAME_BYTES = 16;

/** Whether a file of that name can be a spool. Only those are ever swept: the folder may be somebody else's too. */
export function isSpoolName(name: string): boolean {
  return /^[0-9a-f]{32}$/.test(name);
}

/** A spool that is a file, under a name that nobody can foresee. */
export class DiskSpool implements Spool {
  #size = 0;
  #holders = 1;
  #appending = false;

  private constructor(
    readonly path: string,
    private readonly file: FileHandle,
  ) {}

  /** Makes an empty one in the folder, which nobody but the gate may read. @throws Error of the file system. */
  static async create(folder: string): Promise<DiskSpool> {
    const path = join(folder, randomBytes(NAME_BYTES).toString('hex'));
    return new DiskSpool(path, await open(path, 'wx+', 0o600));
  }

  get size(): number {
    return this.#size;
  }

  /** What was written before a fault counts, and stays readable. */
  async append(chunks: readonly Uint8Array[]): Promise<void> {
    if (this.#appending) throw new Error('a spool takes one append at a time');
    this.#appending = true;
    try {
      let rest = chunks.filter(({ length }) => length > 0);
      while (rest.length > 0) {
        // The position is said each time: what was not counted is written over.
        const { bytesWritten } = await this.file.writev(rest, this.#size);
        this.#size += bytesWritten;
        rest = behind(rest, bytesWritten);
      }
    } finally {
      this.#appending = false;
    }
  }

  async read(into: Uint8Array, position: number): Promise<number> {
    if (!Number.isSafeInteger(position) || position < 0) {
      throw new RangeError(`no position in a spool: ${position}`);
    }
    // Not beyond what is counted: an append may be half-written.
    const length = Math.min(into.length, this.#size - position);
    if (length <= 0) return 0;
    const { bytesRead } = await this.file.read(into, 0, length, position);
    return bytesRead;
  }

  retain(): void {
    if (this.#holders === 0) throw new Error('the spool is closed');
    this.#holders++;
  }

  release(): void {
    if (this.#holders === 0) throw new Error('the spool was released too often');
    this.#holders--;
    if (this.#holders > 0) return;
    // Whoever needs the bytes to last has synced them: what closing says of them is too late to matter.
    this.file.close().catch(() => undefined);
  }

  sync(): Promise<void> {
    return syncFile(this.file);
  }

  async discard(): Promise<void> {
    try {
      await unlink(this.path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** The chunks without their first `count` bytes: a write may take a part only. */
export function behind(chunks: readonly Uint8Array[], count: number): Uint8Array[] {
  let left = count;
  let index = 0;
  for (; index < chunks.length; index++) {
    const { length } = chunks[index]!;
    if (length > left) break;
    left -= length;
  }
  const [first, ...others] = chunks.slice(index);
  return first === undefined ? [] : [first.subarray(left), ...others];
}
