/** Layers that are pulled again and again, in memory: sent without a file that is opened, read and closed. */
import { Inject, Injectable } from '@nestjs/common';
import { Log } from '../journal/log';
import type { ByteRange } from '../oci/byte-range';
import type { Digest } from '../oci/digest';
import type { Body } from './body/body';
import { bufferBody } from './body/buffer-body';
import { Cache } from './cache';
import { shareOf } from './memory-shares';
import { SmallContent } from './small-content';

/** One that is asked for so often may come into memory: most layers are pulled once. */
const HOT = 3;
/** Digests whose uses are counted; with more of them all counts are halved, so that what was hot cools down. */
const MAX_COUNTED = 10_000;
/** The largest one takes that part of the memory. */
const PART = 8;
/** How many are read at once: each is hashed, and others are served meanwhile. */
const MAX_LOADING = 2;

interface Kept {
  readonly bytes: Buffer;
  /** Answers that are being sent from it: its bytes are not given up before. */
  readers: number;
}

@Injectable()
export class HotBlobs {
  readonly #memory: number;
  readonly #uses = new Map<Digest, number>();
  /** The one that was used longest ago comes first. */
  readonly #kept = new Map<Digest, Kept>();
  readonly #loading = new Set<Digest>();
  /** Bytes that are kept, or have been given room. */
  #taken = 0;

  constructor(
    @Inject(Cache) cache: Cache | null,
    private readonly small: SmallContent,
    @Inject(Log) private readonly log: Log,
  ) {
    this.#memory = shareOf(cache?.settings.memory ?? 0).blobs;
  }

  /** Bytes that are taken up. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * The part of a blob whose reader may have it, and which is held; undefined when it is not in memory. It is counted as a
   * use, and whatever is used often enough comes into memory behind it.
   */
  open(digest: Digest, size: number, range: ByteRange): Body | undefined {
    if (size * PART > this.#memory) return undefined;
    const uses = this.#count(digest);
    const kept = this.#kept.get(digest);
    if (!kept) {
      if (uses >= HOT) void this.#load(digest, size, uses);
      return undefined;
    }
    this.#kept.delete(digest);
    this.#kept.set(digest, kept);
    return lent(kept, range);
  }

  #count(digest: Digest): number {
    const uses = (this.#uses.get(digest) ?? 0) + 1;
    this.#uses.set(digest, uses);
    if (this.#uses.size > MAX_COUNTED) this.#cool();
    return uses;
  }

  #cool(): void {
    for (const [digest, uses] of this.#uses) {
      if (uses > 1) this.#uses.set(digest, Math.floor(uses / 2));
      else this.#uses.delete(digest);
    }
  }

  async #load(digest: Digest, size: number, uses: number): Promise<void> {
    if (this.#loading.has(digest) || this.#loading.size >= MAX_LOADING) return;
    if (!this.#makeRoom(size, uses)) return;
    this.#loading.add(digest);
    this.#taken += size;
    let bytes: Buffer | undefined;
    try {
      bytes = await this.small.readAside(digest, size);
    } catch (error) {
      this.log.warn({ err: error, digest }, 'held content cannot be read');
    }
    this.#loading.delete(digest);
    if (bytes?.length === size) this.#kept.set(digest, { bytes, readers: 0 });
    else this.#taken -= size;
  }

  /**
   * Gives up what is used less than the newcomer and is not being sent, the one that was used longest ago first. Where that
   * makes no room nothing is given up: of more hot layers than there is memory for, some stay, and do not take turns.
   */
  #makeRoom(size: number, uses: number): boolean {
    const lacking = this.#taken + size - this.#memory;
    const leaving: Digest[] = [];
    let freed = 0;
    for (const [digest, { bytes, readers }] of this.#kept) {
      if (freed >= lacking) break;
      if (readers > 0 || (this.#uses.get(digest) ?? 0) >= uses) continue;
      leaving.push(digest);
      freed += bytes.length;
    }
    if (freed < lacking) return false;
    for (const digest of leaving) this.#kept.delete(digest);
    this.#taken -= freed;
    return true;
  }
}

/** A body of these bytes, which stay until it is sent or closed. */
function lent(kept: Kept, { from, to }: ByteRange): Body {
  const body = bufferBody(kept.bytes.subarray(from, to));
  kept.readers += 1;
  let ended = false;
  const end = () => {
    if (ended) return;
    ended = true;
    kept.readers -= 1;
  };
  return {
    length: body.length,
    async sendTo(sink) {
      try {
        await body.sendTo(sink);
      } finally {
        end();
      }
    },
    close() {
      body.close();
      end();
    },
  };
}
