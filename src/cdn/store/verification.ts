/** Whether what is held is still what its digest says. Disks forget; nothing at rest is trusted over its name. */
import type { Hash } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { atMost } from '../../config/at-most';
import { hasherFor, type Digest } from '../../oci/digest';
import type { Log } from '../../journal/log';
import type { ContentIndex } from '../index/content-index';
import type { ContentStore, StoredContent } from './content-store';
import { holds } from '../fetch/digest-mismatch';
import { Turns } from './durability';

/** `gone`: it is not held, or no longer. */
export type Verdict = 'sound' | 'damaged' | 'gone';

/** How far a run through all that is held has come. */
export interface VerificationProgress {
  readonly contents: number;
  readonly bytes: number;
  /** Of these contents, those that were not what their digests say, and were removed. */
  readonly damaged: number;
  /** What the index counted when the run began; what comes and goes meanwhile is not in it. */
  readonly totalContents: number;
  readonly totalBytes: number;
}

/** Some 30 MB at most. */
const REMEMBERED = 100_000;

/** Rows of the index that are read at once. */
const PAGE = 256;

export class Verification {
  readonly #sound = new LRUCache<Digest, string>(atMost(REMEMBERED));
  readonly #hashing = new Hashing();
  /** Those that nobody can call off. */
  readonly #running = new Map<Digest, Promise<Verdict>>();
  #damaged = 0;

  constructor(
    private readonly store: ContentStore,
    private readonly index: ContentIndex,
    private readonly log: Log,
  ) {}

  /** Contents that were found damaged, and removed, since the start. */
  get damaged(): number {
    return this.#damaged;
  }

  /** Whether what lies under that stamp was verified since the start. */
  isKnownSound(digest: Digest, stamp: string): boolean {
    return this.#sound.get(digest) === stamp;
  }

  /** To be called when all of what lies under that stamp was seen to be what its digest says. */
  noteSound(digest: Digest, stamp: string): void {
    this.#sound.set(digest, stamp);
  }

  /**
   * Takes content away from everybody, because it is not what its digest says; it will be fetched anew. Never fails: what
   * cannot be removed is logged, and what is left in the store alone is served to nobody.
   * @param stamp under which the damage was seen. What lies there under another one is not what was seen, and stays.
   */
  async noteDamaged(digest: Digest, stamp?: string): Promise<void> {
    if (stamp === undefined || !(await this.#isReplaced(digest, stamp))) await this.#remove(digest);
  }

  /**
   * Reads and hashes one content, however often that was done before; for many who ask at once, once. What is damaged is
   * removed.
   * @throws the signal's reason; Error when the store cannot be read.
   */
  verify(digest: Digest, signal?: AbortSignal): Promise<Verdict> {
    if (signal) return this.#verify(digest, signal, () => undefined);
    const running = this.#running.get(digest);
    if (running) return running;
    const verdict = this.#verify(digest, undefined, () => undefined).finally(() =>
      this.#running.delete(digest),
    );
    this.#running.set(digest, verdict);
    return verdict;
  }

  /**
   * Reads and hashes all that the index lists, one content after the other. What cannot be read is logged and passed over.
   * @throws the signal's reason; Error when the index cannot be read, so that nobody takes half a run for a whole one.
   */
  async verifyAll(options: {
    signal: AbortSignal;
    progress?: (progress: VerificationProgress) => void;
  }): Promise<void> {
    const { signal, progress = () => undefined } = options;
    signal.throwIfAborted();
    const totals = await this.index.totals();
    const done = { contents: 0, bytes: 0, damaged: 0 };
    const report = (reading: number) =>
      progress({
        ...done,
        bytes: done.bytes + reading,
        totalContents: totals.contents,
        totalBytes: totals.bytes,
      });
    report(0);
    for (let after: Digest | undefined; ;) {
      const page = await this.index.list(after, PAGE);
      for (const { digest, size } of page) {
        const verdict = await this.#verdictInRun(digest, signal, report);
        done.contents++;
        done.bytes += size;
        if (verdict === 'damaged') done.damaged++;
        report(0);
      }
      after = page.at(-1)?.digest;
      if (after === undefined) return;
    }
  }

  async #verdictInRun(
    digest: Digest,
    signal: AbortSignal,
    report: (reading: number) => void,
  ): Promise<Verdict | undefined> {
    try {
      return await this.#verify(digest, signal, report);
    } catch (error) {
      signal.throwIfAborted();
      this.log.error({ err: error, digest }, 'held content cannot be verified');
      return undefined;
    }
  }

  async #verify(
    digest: Digest,
    signal: AbortSignal | undefined,
    report: (bytes: number) => void,
  ): Promise<Verdict> {
    for (;;) {
      signal?.throwIfAborted();
      const content = await this.store.open(digest);
      if (!content) return 'gone';
      const sound = await this.#hashing
        .isSound(content, digest, signal, report)
        .finally(() => content.close());
      if (sound) {
        this.noteSound(digest, content.stamp);
        return 'sound';
      }
      // Where other bytes were put meanwhile, those are to be judged.
      if (await this.#isReplaced(digest, content.stamp)) continue;
      await this.#remove(digest);
      return 'damaged';
    }
  }

  async #isReplaced(digest: Digest, stamp: string): Promise<boolean> {
    try {
      const content = await this.store.open(digest);
      await content?.close();
      return content !== undefined && content.stamp !== stamp;
    } catch {
      return false;
    }
  }

  async #remove(digest: Digest): Promise<void> {
    this.#sound.delete(digest);
    try {
      // Many may see one damage at once; it counts for the one who removed it.
      if (await this.store.delete(digest)) {
        this.#damaged++;
        this.log.warn(
          { digest },
          'held content was not what its digest says; it was removed, and will be fetched anew',
        );
      }
    } catch (error) {
      this.log.error({ err: error, digest }, 'damaged content cannot be removed from the cache');
    }
    try {
      await this.index.remove(digest);
    } catch (error) {
      this.log.error({ err: error, digest }, 'the index cannot be told that content was damaged');
    }
  }
}

/** Bytes that are hashed before others get their turn, and all the memory that hashing takes. */
const CHUNK = 1024 * 1024;

/**
 * Hashes any number of contents, of any size, a chunk in turn: small ones do not wait for large ones, and however many there
 * are, memory and the share of the processor stay the same.
 */
class Hashing {
  readonly #turns = new Turns(1);
  readonly #chunk = Buffer.allocUnsafeSlow(CHUNK);

  async isSound(
    content: StoredContent,
    digest: Digest,
    signal: AbortSignal | undefined,
    report: (bytes: number) => void,
  ): Promise<boolean> {
    const hash = hasherFor(digest);
    for (let bytes = 0; ; report(bytes)) {
      const count = await this.#turns.run(() => this.#readInto(hash, content));
      if (count === undefined) return false;
      if (count === 0) break;
      signal?.throwIfAborted();
      bytes += count;
    }
    return holds(digest, hash);
  }

  /** Bytes that were hashed, 0 at the end; undefined for what the disk can no longer read, a damage of its own kind. */
  async #readInto(hash: Hash, content: StoredContent): Promise<number | undefined> {
    try {
      const count = await content.read(this.#chunk);
      hash.update(this.#chunk.subarray(0, count));
      return count;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EIO') return undefined;
      throw error;
    }
  }
}
