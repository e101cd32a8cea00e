/** What an operator sees of the cache, and takes out of it. */
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { CacheSettings, Space } from '../config/settings';
import type { Digest } from '../oci/digest';
import type { CanonicalName } from '../oci/repository-name';
import type { CacheCounters, CacheCounts } from './cache-counters';
import type { ContentIndex, HeldRepository } from './index/content-index';
import type { ContentStore } from './store/content-store';

/** How far a check of all that is held is. */
export interface VerifyProgress {
  readonly contents: number;
  readonly bytes: number;
  readonly damaged: number;
  readonly totalContents: number;
  readonly totalBytes: number;
}

/** A fetch under way. */
export interface RunningFetch {
  /** The name of the registry that it is fetched from. */
  readonly registry: string;
  readonly digest: Digest;
  /** Bytes; the total is undefined where the registry did not say. */
  readonly received: number;
  readonly total: number | undefined;
  readonly readers: number;
  /** Milliseconds of the Unix epoch. */
  readonly since: number;
}

/** The parts of the cache that are looked at here. */
export interface AdministeredCache {
  readonly settings: Pick<CacheSettings, 'maxSize' | 'minFree' | 'maxAge'>;
  readonly store: Pick<ContentStore, 'delete' | 'list' | 'free'>;
  readonly index: ContentIndex;
  readonly capacity: {
    mayHold(bytes: number): boolean;
    readonly fault: string | undefined;
    readonly evicted: number;
  };
  readonly downloads: { readonly all: readonly RunningFetch[]; readonly mismatches: number };
  readonly verification: {
    readonly damaged: number;
    verifyAll(options: {
      readonly signal: AbortSignal;
      readonly progress?: (at: VerifyProgress) => void;
    }): Promise<void>;
  };
}

/** Sizes in bytes, times in milliseconds. */
export interface CacheOverview {
  /** False while the disk is full; `fault` then says why, and what helps. */
  readonly storing: boolean;
  readonly fault: string | undefined;
  /** Undefined while the index cannot be read, which `fault` says. */
  readonly held: { readonly contents: number; readonly bytes: number } | undefined;
  readonly limits: {
    readonly maxSize: number | undefined;
    readonly minFree: number | undefined;
    readonly maxAge: number | undefined;
  };
  /** What is free on the disk. */
  readonly free: number | undefined;
  readonly counts: CacheCounts;
  /** Since the start: fetches that were not what their digest says, held contents found damaged, contents evicted. */
  readonly mismatches: number;
  readonly damaged: number;
  readonly evicted: number;
  readonly fetches: readonly RunningFetch[];
}

/** What was taken out. */
export interface Removed {
  readonly contents: number;
  readonly bytes: number;
}

/** So many entries are asked for at once, and so many files removed, before others come to their turn. */
const BATCH = 256;
const AT_ONCE = 8;

export class CacheAdministration {
  constructor(
    private readonly cache: AdministeredCache,
    private readonly counters: CacheCounters,
  ) {}

  /** Gives what can be told: neither a broken index nor a broken disk keeps an operator from the rest. */
  async overview(): Promise<CacheOverview> {
    const { capacity, downloads, verification, settings } = this.cache;
    const held = await this.cache.index.totals().catch(() => undefined);
    const space = await this.cache.store.free().catch(() => undefined);
    const broken = held ? undefined : 'the index of the cache cannot be read; the log says why';
    const whole = space && held && space.free + held.bytes;
    return {
      storing: capacity.mayHold(0),
      fault: capacity.fault ?? broken,
      held,
      limits: {
        maxSize: bytesOf(settings.maxSize, whole),
        minFree: bytesOf(settings.minFree, space?.total),
        maxAge: settings.maxAge,
      },
      free: space?.free,
      counts: this.counters.counts,
      mismatches: downloads.mismatches,
      damaged: verification.damaged,
      evicted: capacity.evicted,
      fetches: downloads.all,
    };
  }

  /** Names with something held, in their order, from behind `after`. */
  repositories(
    after: CanonicalName | undefined,
    limit: number,
  ): Promise<readonly HeldRepository[]> {
    return this.cache.index.repositories(after, limit);
  }

  /**
   * Takes out all that is held. Who reads some of it reads to the end; fetches under way go on, and what they bring is held.
   */
  async clear(): Promise<Removed> {
    await this.#forgetNames();
    const removed = { contents: 0, bytes: 0 };
    const drop = async ({ digest, size }: { digest: Digest; size: number }) => {
      if (!(await this.removeContent(digest))) return;
      removed.contents += 1;
      removed.bytes += size;
    };
    await inBatches((after: Digest | undefined) => this.cache.store.list(after, BATCH), drop);
    // Entries without a file.
    await inBatches(
      (after: Digest | undefined) => this.cache.index.list(after, BATCH),
      ({ digest }) => this.cache.index.remove(digest),
    );
    return removed;
  }

  /**
   * Takes back all that is known under the name, and removes contents that no other name has.
   * @returns what was removed; undefined when nothing was held under the name.
   */
  async removeRepository(name: CanonicalName): Promise<Removed | undefined> {
    const { index } = this.cache;
    await index.forgetTag(name);
    const removed = { contents: 0, bytes: 0 };
    let found = false;
    const drop = async (digest: Digest) => {
      found = true;
      await index.unlink(name, { digest });
      if (await index.isLinked(digest)) return;
      const { size = 0 } = (await index.content(digest)) ?? {};
      if (!(await this.removeContent(digest))) return;
      removed.contents += 1;
      removed.bytes += size;
    };
    await inBatches(
      async (after: Digest | undefined) =>
        (await index.linked(name, after, BATCH)).map((digest) => ({ digest })),
      ({ digest }) => drop(digest),
    );
    return found ? removed : undefined;
  }

  /**
   * The index first: what is not in it is served to nobody, and a file without an entry is taken up again at worst.
   * @returns false when it was not held.
   */
  async removeContent(digest: Digest): Promise<boolean> {
    await this.cache.index.remove(digest);
    return this.cache.store.delete(digest);
  }

  /** Hashes all that is held anew, and removes what is damaged. */
  verifyAll(signal: AbortSignal, progress: (at: VerifyProgress) => void): Promise<void> {
    return this.cache.verification.verifyAll({ signal, progress });
  }

  async #forgetNames(): Promise<void> {
    let after: CanonicalName | undefined;
    for (;;) {
      const names = await this.cache.index.repositories(after, BATCH);
      for (const { name } of names) {
        await this.cache.index.forgetTag(name);
        await this.cache.index.unlink(name);
      }
      after = names.at(-1)?.name;
      if (after === undefined) return;
      await yieldToOthers();
    }
  }
}

/** A share is known only where the whole is. */
function bytesOf(space: Space, whole: number | undefined): number | undefined {
  if ('bytes' in space) return space.bytes;
  return whole === undefined ? undefined : Math.floor(whole * space.share);
}

/** Goes through a listing, some entries at a time, and lets others work between its pages. */
async function inBatches<T extends { readonly digest: Digest }>(
  list: (after: Digest | undefined) => Promise<readonly T[]>,
  each: (entry: T) => Promise<unknown>,
): Promise<void> {
  let after: Digest | undefined;
  for (;;) {
    const entries = await list(after);
    const left = entries.values();
    const work = async () => {
      for (const entry of left) await each(entry);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    after = entries.at(-1)?.digest;
    if (after === undefined) return;
    await yieldToOthers();
  }
}
