/** Blobs out of the store. */
import { Inject, Injectable } from '@nestjs/common';
import { Log } from '../journal/log';
import type { ByteRange } from '../oci/byte-range';
import type { Digest } from '../oci/digest';
import type { Body } from './body';
import { bufferBody } from './buffer-body';
import { Cache } from './cache';
import type { StoredContent } from './content-store';
import { heldBody } from './held-body';
import { SmallContent } from './small-content';

/** Configurations of images and their like: served from memory. */
const SMALL = 64 * 1024;
/** A part of something larger, not yet verified since the start, is served while the whole is verified behind it. */
const VERIFIED_FIRST = 8 * 1024 * 1024;

@Injectable()
export class HeldBlobs {
  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    private readonly small: SmallContent,
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
    if (size <= SMALL) {
      const bytes = await this.small.read(digest, SMALL);
      return bytes && bufferBody(bytes.subarray(range.from, range.to));
    }
    const { cache } = this;
    if (!cache) return undefined;
    let stored: StoredContent | undefined;
    try {
      stored = await cache.store.open(digest, range.from, range.to);
    } catch (error) {
      // A store that cannot be read now says nothing of what it holds.
      this.log.warn({ err: error, digest }, 'held content cannot be read');
      return undefined;
    }
    if (!stored || stored.size !== size) {
      await stored?.close();
      await cache.verification.noteDamaged(digest, stored?.stamp);
      return undefined;
    }
    cache.index.touch(digest);
    return this.#bodyOf(cache, digest, stored, range);
  }

  async #bodyOf(
    cache: Cache,
    digest: Digest,
    stored: StoredContent,
    { from, to }: ByteRange,
  ): Promise<Body | undefined> {
    const { verification, buffers } = cache;
    const { stamp, size } = stored;
    if (verification.isKnownSound(digest, stamp)) return heldBody(stored, to - from, buffers);
    if (to - from === size) {
      const onVerdict = (sound: boolean) => {
        if (sound) verification.noteSound(digest, stamp);
        else void verification.noteDamaged(digest, stamp);
      };
      return heldBody(stored, size, buffers, { digest, onVerdict });
    }
    const verified = verification.verify(digest).catch((error: unknown) => {
      this.log.warn({ err: error }, 'held content cannot be read');
      return 'gone' as const;
    });
    if (size > VERIFIED_FIRST || (await verified) === 'sound')
      return heldBody(stored, to - from, buffers);
    await stored.close();
    return undefined;
  }
}
