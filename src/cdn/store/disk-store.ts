import { lstat, readdir, rename, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { FileLock } from '../../config/file-lock';
import { parseDigest, type Digest } from '../../oci/digest';
import { takeFolder } from './cache-folder';
import type { ContentStore, StoredContent, StoredEntry } from './content-store';
import { DiskSpool } from './disk-spool';
import { makeFolder, syncFolder } from './durability';
import type { Spool, Spools } from './spool';
import { StoredFile, unlessNotHeld } from './stored-file';

const BLOBS = 'blobs';
const SPOOL = 'spool';

/** In the digests' order. */
const ALGORITHMS = ['sha256', 'sha512'] as const;

/** Each algorithm has 256 folders, so that none grows large. */
const FAN_OUT = /^[0-9a-f]{2}$/;

/**
 * Content on the disk: `blobs/<algorithm>/<first two hex digits>/<hex>`, and on its way in `spool/<random>`, on one file
 * system, so that a file appears at its place whole or not at all. For one process at a time.
 */
export class DiskStore implements ContentStore, Spools {
  /** Folders that are there and last, or are being made. */
  readonly #ready = new Map<string, Promise<void>>();

  private constructor(
    private readonly folder: string,
    private readonly lock: FileLock,
  ) {}

  /**
   * Takes the folder, made where there is none, and removes what another process left half-written.
   * @param folder absolute.
   * @throws Error that names CACHE_DIR and the remedy, when it cannot be written or another gate uses it.
   */
  static async open(folder: string): Promise<DiskStore> {
    const places = ALGORITHMS.map((algorithm) => join(BLOBS, algorithm));
    const lock = await takeFolder(folder, { within: [...places, BLOBS], spool: SPOOL });
    return new DiskStore(folder, lock);
  }

  async create(): Promise<Spool> {
    const folder = join(this.folder, SPOOL);
    return orOnceMore(
      () => DiskSpool.create(folder),
      () => makeFolder(folder),
    );
  }

  async open(digest: Digest, from = 0, to?: number): Promise<StoredContent | undefined> {
    return StoredFile.open(this.#placeOf(digest), from, to);
  }

  /**
   * What is held already gives way: its bytes have lain there for who knows how long, those of the spool were just verified.
   */
  async put(digest: Digest, spool: Spool): Promise<void> {
    try {
      const place = this.#placeOf(digest);
      // Before it is visible: a name that outlives its bytes would be worse than neither.
      await spool.sync();
      await this.#move(spool.path, place);
    } catch (error) {
      await spool.discard().catch(() => undefined);
      throw error;
    }
  }

  async delete(digest: Digest): Promise<boolean> {
    const place = this.#placeOf(digest);
    const stat = await unlessNotHeld(lstat(place));
    if (!stat?.isFile()) return false;
    return (await unlessNotHeld(unlink(place).then(() => true))) ?? false;
  }

  /** Of the names on the disk it keeps no more than one folder's at a time. */
  async list(after: Digest | undefined, limit: number): Promise<readonly StoredEntry[]> {
    if (!Number.isSafeInteger(limit) || limit < 1) throw new RangeError(`no limit: ${limit}`);
    const entries: StoredEntry[] = [];
    for await (const digest of this.#namesBehind(after ?? '')) {
      const stat = await unlessNotHeld(lstat(this.#placeOf(digest)));
      if (stat?.isFile()) entries.push({ digest, size: stat.size });
      if (entries.length === limit) break;
    }
    return entries;
  }

  async free(): Promise<{ readonly free: number; readonly total: number }> {
    const { bavail, blocks, bsize } = await orOnceMore(
      () => statfs(this.folder),
      () => makeFolder(this.folder),
    );
    return { free: bavail * bsize, total: blocks * bsize };
  }

  /** Lets others have the folder. To be called when nobody writes any more; what is open can be read on. */
  close(): Promise<void> {
    this.lock.release();
    return Promise.resolve();
  }

  /** The only way from a digest to a path. What the types promise is asked again: a path must not lead elsewhere. */
  #placeOf(digest: Digest): string {
    if (parseDigest(digest) === undefined) throw new TypeError('not a digest');
    const [algorithm, hex] = digest.split(':') as [string, string];
    return join(this.folder, BLOBS, algorithm, hex.slice(0, 2), hex);
  }

  async #move(from: string, place: string): Promise<void> {
    const folder = dirname(place);
    await this.#makeReady(folder);
    await orOnceMore(
      () => rename(from, place),
      () => {
        this.#ready.delete(folder);
        return this.#makeReady(folder);
      },
    );
    try {
      await syncFolder(folder);
    } catch (error) {
      await unlink(place).catch(() => undefined);
      throw error;
    }
  }

  /** Whoever needs the folder waits for the one who makes it: that it is there does not mean yet that it lasts. */
  #makeReady(folder: string): Promise<void> {
    const known = this.#ready.get(folder);
    if (known) return known;
    const made = makeFolder(folder);
    this.#ready.set(folder, made);
    made.catch(() => this.#ready.delete(folder));
    return made;
  }

  /** Well-formed names in the digests' order, whatever they stand for. Other people's files are none. */
  async *#namesBehind(after: string): AsyncGenerator<Digest> {
    for (const algorithm of ALGORITHMS) {
      const root = join(this.folder, BLOBS, algorithm);
      const folders = (await namesIn(root)).filter((name) => FAN_OUT.test(name));
      for (const folder of folders) {
        const start = `${algorithm}:${folder}`;
        if (start < after.slice(0, start.length)) continue;
        for (const hex of await namesIn(join(root, folder))) {
          const digest = parseDigest(`${algorithm}:${hex}`);
          if (digest !== undefined && digest > after && hex.startsWith(folder)) yield digest;
        }
      }
    }
  }
}

/** Sorted; none where there is no such folder. */
async function namesIn(folder: string): Promise<string[]> {
  const names = await unlessNotHeld(readdir(folder));
  return names?.sort() ?? [];
}

/** Does it again, once, where a folder was missing: somebody has emptied the cache by hand. */
async function orOnceMore<T>(work: () => Promise<T>, mend: () => Promise<void>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    await mend();
    return work();
  }
}
