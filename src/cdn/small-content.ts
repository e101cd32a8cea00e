/** Manifests and small blobs: read and written whole, and kept in memory while they are asked for. */
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Log } from '../journal/log';
import { hasherFor, type Digest } from '../oci/digest';
import { Cache } from './cache';
import { holds } from './fetch/digest-mismatch';
import { shareOf } from './memory-shares';
import type { StoredContent } from './store/content-store';
import type { Hold } from './reader';

/** The distribution-spec wants at least 4 MiB to be taken; distribution itself takes no more. */
export const MAX_MANIFEST = 4 * 1024 * 1024;

/** A larger one would push hundreds of manifests out of the memory. */
const MAX_KEPT = 256 * 1024;
/** What a kept one costs beside its bytes: its digest, its place in the list, its buffer's own books. */
const ENTRY = 512;

/** Bytes that are hashed before others get their turn. */
const PIECE = 1024 * 1024;

/** A disk that is slower than the registries would else have all that they send wait for it in the memory. */
const MAX_WRITING = 8 * MAX_MANIFEST;

@Injectable()
export class SmallContent {
  /** Bytes that are on their way to the store. */
  #writing = 0;
  readonly #kept: LRUCache<Digest, Buffer> | undefined;

  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    @Inject(Log) private readonly log: Log,
  ) {
    const memory = shareOf(cache?.settings.memory ?? 0).manifests;
    if (memory === 0) return;
    const sizeCalculation = ({ length }: Buffer) => length + ENTRY;
    this.#kept = new LRUCache({ maxSize: memory, maxEntrySize: MAX_KEPT + ENTRY, sizeCalculation });
  }

  /** False with CACHE=off. */
  get on(): boolean {
    return this.cache !== null;
  }

  /** Whether what is fetched now can be held. */
  get storing(): boolean {
    return this.cache?.capacity.mayHold(0) ?? false;
  }

  /**
   * What is held under that digest, if it is no larger than the limit. It is hashed whenever it is read from the store: it is
   * small, and never trusted over its digest.
   * @returns undefined when it is not held, or turned out damaged and was removed.
   */
  async read(digest: Digest, limit: number, hold?: Hold): Promise<Buffer | undefined> {
    let known: { readonly size: number } | undefined;
    try {
      known = await this.cache?.index.content(digest);
      if (!this.cache || !known || known.size > limit) return undefined;
      this.cache.index.touch(digest);
    } catch (error) {
      this.log.warn({ err: error }, 'the index of the cache cannot be read');
      return undefined;
    }
    if (!this.#kept?.has(digest)) return this.#loadAndKeep(this.cache, digest, limit, hold);
    // Nothing is in hand while room is waited for: it may be let go meanwhile.
    await hold?.(known.size);
    return this.#kept.get(digest) ?? this.#loadAndKeep(this.cache, digest, limit);
  }

  /** What is held under that digest and in memory. It counts as used. */
  inMemory(digest: Digest): Buffer | undefined {
    const bytes = this.#kept?.get(digest);
    if (bytes) this.cache?.index.touch(digest);
    return bytes;
  }

  /** What is held under that digest, read and hashed like all else, for somebody who keeps it. */
  async readAside(digest: Digest, limit: number): Promise<Buffer | undefined> {
    return this.cache ? this.#load(this.cache, digest, limit) : undefined;
  }

  /** Bytes of what is held under that digest, of any size; undefined when it is not held. */
  async sizeOf(digest: Digest): Promise<number | undefined> {
    try {
      return (await this.cache?.index.content(digest))?.size;
    } catch (error) {
      this.log.warn({ err: error }, 'the index of the cache cannot be read');
      return undefined;
    }
  }

  /**
   * Holds bytes that the caller has verified. A failure costs a later hit, and is no failure of the pull.
   * @returns whether it is held now.
   */
  async write(digest: Digest, bytes: Buffer): Promise<boolean> {
    const { cache } = this;
    if (!cache || !cache.capacity.storing) return false;
    if (this.#writing + bytes.length > MAX_WRITING) return false;
    this.#writing += bytes.length;
    try {
      return await this.#write(cache, digest, bytes);
    } finally {
      this.#writing -= bytes.length;
    }
  }

  async #write(cache: Cache, digest: Digest, bytes: Buffer): Promise<boolean> {
    if (!(await cache.capacity.makeRoom(bytes.length))) return false;
    try {
      const spool = await cache.spools.create();
      try {
        await spool.append([bytes]);
        await cache.store.put(digest, spool);
      } catch (error) {
        await spool.discard();
        throw error;
      } finally {
        spool.release();
      }
      const isNew = await cache.index.add(digest, bytes.length).catch(async (error: unknown) => {
        // Nobody could find it, and nobody would count it.
        await cache.store.delete(digest).catch(() => false);
        throw error;
      });
      if (!isNew) cache.capacity.giveBack(bytes.length);
      this.#keep(digest, bytes);
      return true;
    } catch (error) {
      cache.capacity.giveBack(bytes.length);
      cache.capacity.noteFull(error);
      this.log.warn({ err: error, digest }, 'content could not be held');
      return false;
    }
  }

  /** In a buffer of its own: a part of a larger one, as small buffers and what came off a socket are, would keep all of that. */
  #keep(digest: Digest, bytes: Buffer): void {
    if (!this.#kept || bytes.length > MAX_KEPT) return;
    const isWhole = bytes.length === bytes.buffer.byteLength;
    this.#kept.set(digest, isWhole ? bytes : alone(bytes));
  }

  async #loadAndKeep(
    cache: Cache,
    digest: Digest,
    limit: number,
    hold?: Hold,
  ): Promise<Buffer | undefined> {
    const bytes = await this.#load(cache, digest, limit, hold);
    if (bytes) this.#keep(digest, bytes);
    return bytes;
  }

  async #load(
    { store, verification }: Cache,
    digest: Digest,
    limit: number,
    hold?: Hold,
  ): Promise<Buffer | undefined> {
    let stored: StoredContent | undefined;
    try {
      stored = await store.open(digest);
    } catch (error) {
      // A store that cannot be read now says nothing of what it holds.
      this.log.warn({ err: error, digest }, 'held content cannot be read');
      return undefined;
    }
    if (!stored) {
      await verification.noteDamaged(digest);
      return undefined;
    }
    try {
      if (stored.size > limit) return undefined;
      await hold?.(stored.size);
      const bytes = Buffer.allocUnsafeSlow(stored.size);
      const hash = hasherFor(digest);
      let length = 0;
      for (let n = -1; n !== 0 && length < bytes.length; length += n) {
        n = await stored.read(bytes.subarray(length, length + PIECE));
        hash.update(bytes.subarray(length, length + n));
      }
      if (length === bytes.length && holds(digest, hash)) {
        verification.noteSound(digest, stored.stamp);
        return bytes;
      }
      await verification.noteDamaged(digest, stored.stamp);
      return undefined;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EIO') throw error;
      // A medium that cannot give the bytes back any more holds nothing: it is fetched anew.
      await verification.noteDamaged(digest, stored.stamp);
      return undefined;
    } finally {
      await stored.close();
    }
  }
}

function alone(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  bytes.copy(copy);
  return copy;
}
