/** Blobs out of the store. */
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';
import { Log } from '../journal/log';
import type { ByteRange } from '../oci/byte-range';
import type { Digest } from '../oci/digest';
import type { Body } from './body/body';
import { bufferBody } from './body/buffer-body';
import { Cache } from './cache';
import type { StoredContent } from './store/content-store';
import { heldBody } from './body/held-body';
import { HotBlobs } from './hot-blobs';
import { SmallContent } from './small-content';
import { withheldBody } from './body/withheld-body';

/** Configurations of images and their like: served from memory. */
const SMALL = 64 * 1024;
/** A part of something larger, not yet verified since the start, is served while the whole is verified behind it. */
const VERIFIED_FIRST = 8 * 1024 * 1024;

/** Contents that were seen to be damaged and may still lie there. */
const MAX_DAMAGED = 1_000;

@Injectable()
export class HeldBlobs {
  /** By digest, the stamp of what is damaged: it takes a moment until it is removed, and nobody is served from it meanwhile. */
  readonly #damaged = new LRUCache<Digest, string>(atMost(MAX_DAMAGED));

  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    private readonly small: SmallContent,
    private readonly hot: HotBlobs,
    @Inject(Log) private readonly log: Log,
  ) {}

  /** Bytes of the blob; undefined when it is not held. */
  sizeOf(digest: Digest): Promise<number | undefined> {
    return this.small.sizeOf(digest);
  }

  /**
   * The part of a held blob; undefined when it is not held any more, or is not what it was.
   * What was not verified since the gate started is hashed on its way out, and its last byte withheld until it holds.
   */
  async open(digest: Digest, size: number, range: ByteRange): Promise<Body | undefined> {
    if (!this.cache) return undefined;
    if (size <= SMALL) {
      const bytes = await this.small.read(digest, SMALL);
      return bytes?.length === size ? bufferBody(bytes.subarray(range.from, range.to)) : undefined;
    }
    const hot = this.hot.open(digest, size, range);
    if (hot) {
      this.cache.index.touch(digest);
      return hot;
    }
    const stored = await this.#opened(this.cache, digest, size, range);
    if (!stored) return undefined;
    this.cache.index.touch(digest);
    return this.#bodyOf(this.cache, digest, stored, range);
  }

  /** What is not there, or is not of the size that it was, is forgotten. */
  async #opened(
    { store, verification }: Cache,
    digest: Digest,
    size: number,
    { from, to }: ByteRange,
  ): Promise<StoredContent | undefined> {
    let stored: StoredContent | undefined;
    try {
      stored = await store.open(digest, from, to);
    } catch (error) {
      // A store that cannot be read now says nothing of what it holds.
      this.log.warn({ err: error, digest }, 'held content cannot be read');
      return undefined;
    }
    if (stored?.size === size && this.#damaged.get(digest) !== stored.stamp) return stored;
    await stored?.close();
    await verification.noteDamaged(digest, stored?.stamp);
    return undefined;
  }

  async #bodyOf(
    cache: Cache,
    digest: Digest,
    stored: StoredContent,
    { from, to }: ByteRange,
  ): Promise<Body | undefined> {
    const { verification, buffers } = cache;
    const { stamp, size } = stored;
    const body = (part: StoredContent, length: number) =>
      heldBody(this.#watched(cache, digest, part), length, buffers);
    if (verification.isKnownSound(digest, stamp)) return body(stored, to - from);
    if (to - from === size) {
      const onVerdict = (sound: boolean) => {
        if (sound) verification.noteSound(digest, stamp);
        else void this.#noteDamaged(cache, digest, stamp);
      };
      const watched = this.#watched(cache, digest, stored);
      return heldBody(watched, size, buffers, { digest, onVerdict });
    }
    const sound = verification.verify(digest).then(
      // Of these very bytes: meanwhile others may have taken their place.
      (verdict) => verdict === 'sound' && verification.isKnownSound(digest, stamp),
      (error: unknown) => {
        this.log.warn({ err: error, digest }, 'held content cannot be read');
        return false;
      },
    );
    if (size > VERIFIED_FIRST && to < size) return body(stored, to - from);
    if (size > VERIFIED_FIRST) {
      const last = await this.#opened(cache, digest, size, { from: size - 1, to: size });
      const first = to - from > 1 ? body(stored, to - from - 1) : undefined;
      if (!first) await stored.close();
      if (last) return withheldBody(first, body(last, 1), sound);
      first?.close();
      return undefined;
    }
    if (await sound) return body(stored, to - from);
    await stored.close();
    return undefined;
  }

  async #noteDamaged({ verification }: Cache, digest: Digest, stamp: string): Promise<void> {
    this.#damaged.set(digest, stamp);
    await verification.noteDamaged(digest, stamp);
  }

  /** A medium that cannot give the bytes back any more holds nothing: it is fetched anew. */
  #watched(cache: Cache, digest: Digest, stored: StoredContent): StoredContent {
    return {
      size: stored.size,
      stamp: stored.stamp,
      close: () => stored.close(),
      read: async (into) => {
        try {
          return await stored.read(into);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code === 'EIO')
            await this.#noteDamaged(cache, digest, stored.stamp);
          throw error;
        }
      },
    };
  }
}
