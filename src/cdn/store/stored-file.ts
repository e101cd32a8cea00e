import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import type { StoredContent } from './content-store';

/** Nothing there, or something that no store put there: a symbolic link, a socket, a file in place of a folder. */
const NOT_HELD: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENXIO']);

/** What lies at a content's place is not trusted to be a file: it is neither followed elsewhere, nor waited for. */
const READ_ONLY = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

interface Part {
  readonly size: number;
  readonly stamp: string;
  readonly from: number;
  readonly to: number;
}

/** Content that is a file, read by position: the file may be moved or removed meanwhile. */
export class StoredFile implements StoredContent {
  readonly size: number;
  readonly stamp: string;
  readonly #end: number;
  #position: number;

  private constructor(
    private readonly file: FileHandle,
    { size, stamp, from, to }: Part,
  ) {
    this.size = size;
    this.stamp = stamp;
    this.#position = from;
    this.#end = to;
  }

  /**
   * Opens the part [from, to) of the file; what lies behind its end is left out.
   * @returns undefined when there is none, or what is there is no file.
   * @throws RangeError for what can be no part of anything; Error of the file system.
   */
  static async open(path: string, from: number, to?: number): Promise<StoredFile | undefined> {
    checkPart(from, to);
    const file = await unlessNotHeld(open(path, READ_ONLY));
    if (!file) return undefined;
    let opened: StoredFile | undefined;
    try {
      const stat = await file.stat({ bigint: true });
      // Removed between the two calls: it is gone, and its time of change is that of the removal.
      if (!stat.isFile() || stat.nlink === 0n) return undefined;
      const size = Number(stat.size);
      const stamp = [stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join('.');
      opened = new StoredFile(file, { size, stamp, from, to: Math.min(to ?? size, size) });
      return opened;
    } finally {
      if (!opened) await file.close();
    }
  }

  async read(into: Uint8Array): Promise<number> {
    const length = Math.min(into.length, this.#end - this.#position);
    if (length <= 0) return 0;
    const { bytesRead } = await this.file.read(into, 0, length, this.#position);
    this.#position += bytesRead;
    return bytesRead;
  }

  close(): Promise<void> {
    return this.file.close();
  }
}

/** What the work gives; undefined where it found nothing that a store put there. */
export async function unlessNotHeld<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (NOT_HELD.has((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

function checkPart(from: number, to: number = from): void {
  if (!Number.isSafeInteger(from) || !Number.isSafeInteger(to) || from < 0 || to < from) {
    throw new RangeError(`no part of any content: from ${from} to ${to}`);
  }
}
