/**
 * Token buckets in memory, for @nestjs/throttler. Its own storage counts hits in windows and then locks out for a whole
 * window (`blockDuration` defaults to `ttl`); a bucket lets a burst through and then the rate, and a refused hit costs
 * nothing. One number a bucket: GCRA, the moment at which the bucket will be full again (ITU-T I.371).
 */
import type { ThrottlerStorage } from '@nestjs/throttler';
import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';

/** What a bucket says of a hit. */
export type BucketState = Awaited<ReturnType<ThrottlerStorage['increment']>>;

/** A throttler's storage that can also be looked at without a charge. Asynchronous, so that a shared one can stand in. */
export interface TokenBuckets extends ThrottlerStorage {
  /** What {@link ThrottlerStorage.increment} would answer, at no cost. */
  peek(key: string, ttl: number, limit: number, name: string): Promise<BucketState>;
  /** Both at once; not of a storage that has to ask somebody. */
  readonly now?: {
    peek(key: string, ttl: number, limit: number, name: string): BucketState;
    increment(key: string, ttl: number, limit: number, name: string): BucketState;
  };
}

export interface TokenBucketOptions {
  /** Milliseconds that never go back. */
  now?: () => number;
  /** Buckets kept for each name; beyond it the one that was unused longest is forgotten, and so is full. */
  max?: number;
}

/** A client that makes up addresses or names fills this many entries and no more. */
const MAX_BUCKETS = 65_536;

/** Below a token by this much of a millisecond is rounding, not a missing token. */
const ROUNDING = 1e-6;

/**
 * A bucket of `limit` tokens that refills wholly within `ttl` milliseconds. Each throttler's name has buckets of its
 * own, so that a flood of addresses cannot push out the count of failed logins.
 */
export class TokenBucketStorage implements TokenBuckets {
  readonly #fullAt = new Map<string, LRUCache<string, number>>();
  readonly #now: () => number;
  readonly #max: number;

  constructor({ now = () => performance.now(), max = MAX_BUCKETS }: TokenBucketOptions = {}) {
    this.#now = now;
    this.#max = max;
  }

  /**
   * Takes a token, if there is one.
   * @param ttl milliseconds in which an empty bucket fills. @param limit tokens of a full bucket.
   * @param _blockDuration unused: nothing is locked out.
   * @param name the throttler's name; it comes from code, never from a client.
   * @returns `isBlocked` when there is no token; then `timeToBlockExpire` is when the next one is due, and else 0;
   *   `timeToExpire` is when the bucket is full. Both in whole seconds, rounded up.
   */
  async increment(
    key: string,
    ttl: number,
    limit: number,
    _blockDuration: number,
    name: string,
  ): Promise<BucketState> {
    return this.now.increment(key, ttl, limit, name);
  }

  async peek(key: string, ttl: number, limit: number, name: string): Promise<BucketState> {
    return this.now.peek(key, ttl, limit, name);
  }

  readonly now: NonNullable<TokenBuckets['now']> = {
    peek: (key, ttl, limit, name) => this.#take(key, ttl, limit, name).state,
    increment: (key, ttl, limit, name) => {
      const { state, fullAt } = this.#take(key, ttl, limit, name);
      if (!state.isBlocked) this.#buckets(name).set(key, fullAt);
      return state;
    },
  };

  #take(
    key: string,
    ttl: number,
    limit: number,
    name: string,
  ): { state: BucketState; fullAt: number } {
    const now = this.#now();
    const token = ttl / limit;
    const fullAt = Math.max(this.#buckets(name).get(key) ?? now, now) + token;
    const missing = fullAt - now - ttl;
    const isBlocked = missing > ROUNDING;
    const busyFor = isBlocked ? fullAt - token - now : fullAt - now;
    const state = {
      totalHits: Math.min(limit, Math.ceil(busyFor / token - ROUNDING)),
      timeToExpire: Math.ceil(busyFor / 1000),
      isBlocked,
      timeToBlockExpire: isBlocked ? Math.max(1, Math.ceil(missing / 1000)) : 0,
    };
    return { state, fullAt };
  }

  #buckets(name: string): LRUCache<string, number> {
    let buckets = this.#fullAt.get(name);
    if (!buckets) {
      buckets = new LRUCache(atMost(this.#max));
      this.#fullAt.set(name, buckets);
    }
    return buckets;
  }
}
