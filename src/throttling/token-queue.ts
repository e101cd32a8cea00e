/** Requests that wait for a token of an empty bucket, first come, first served. */
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ThrottlerStorage } from '@nestjs/throttler';
import { WaitingRoom } from './waiting-room';

/** A bucket of `limit` tokens that fills within `ttl` milliseconds. */
export interface Bucket {
  readonly key: string;
  readonly limit: number;
  readonly ttl: number;
  /** The throttler's name: each has buckets of its own. */
  readonly name: string;
}

export class TokenQueue {
  readonly #served = new Set<string>();

  constructor(
    private readonly storage: ThrottlerStorage,
    private readonly room = new WaitingRoom(),
  ) {}

  /** How many requests wait for a token of that bucket; they come before any new one. */
  length({ key }: Pick<Bucket, 'key'>): number {
    return this.room.length(key);
  }

  /** Waits for a token. @returns true once one was taken; false when no place was free, patience ended or the client left. */
  async wait(bucket: Bucket, response: ServerResponse): Promise<boolean> {
    const turn = this.room.join(bucket.key, response);
    if (!this.#served.has(bucket.key)) void this.#serve(bucket);
    return (await turn) === 'turn';
  }

  /** Hands out the bucket's tokens as they come, until nobody waits. */
  async #serve(bucket: Bucket): Promise<void> {
    const { key, ttl, limit, name } = bucket;
    const pause = Math.min(Math.max(ttl / limit, 10), 1000);
    this.#served.add(key);
    try {
      while (this.room.length(key) > 0) {
        await sleep(pause);
        while (this.room.length(key) > 0) {
          if ((await this.storage.increment(key, ttl, limit, ttl, name)).isBlocked) break;
          this.room.callNext(key);
        }
      }
    } catch {
      // A storage that cannot be asked: those who wait are told to come again, as if their patience had ended.
      this.room.dismiss(key);
    } finally {
      this.#served.delete(key);
    }
  }
}
