/** What the throttles of addresses and of accounts share: one bucket a client, one token a request, whatever its route. */
import { Injectable, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import {
  InjectThrottlerOptions,
  InjectThrottlerStorage,
  ThrottlerGuard,
  type ThrottlerModuleOptions,
  type ThrottlerRequest,
} from '@nestjs/throttler';
import { FREE, type Charge, type Exchange, type Gatekeeper } from '../edge/gatekeeper';
import type { RequestContext } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import { exchangeOf } from './exchange-of';
import type { TokenBuckets } from './token-bucket.storage';
import { TokenQueue, type Bucket } from './token-queue';

@Injectable()
export abstract class BucketThrottle extends ThrottlerGuard implements Gatekeeper {
  constructor(
    @InjectThrottlerOptions() options: ThrottlerModuleOptions,
    @InjectThrottlerStorage() private readonly buckets: TokenBuckets,
    reflector: Reflector,
    private readonly queue: TokenQueue,
  ) {
    super(options, buckets, reflector);
  }

  /** Whose bucket it is: `address` or `account`. */
  protected abstract readonly throttle: string;
  /** How many times the rate that is set. */
  protected abstract readonly share: number;

  /** The client within the throttle; undefined when this request is not counted. */
  protected abstract clientOf(context: RequestContext): string | undefined;

  /** Whether the request may wait for a token; one 429 on a blob ends a docker pull. */
  protected abstract mayWait(context: RequestContext): boolean;

  protected override async shouldSkip(context: ExecutionContext): Promise<boolean> {
    return this.clientOf(exchangeOf(context).context) === undefined;
  }

  protected override async handleRequest({ context }: ThrottlerRequest): Promise<boolean> {
    await this.admit(exchangeOf(context));
    return true;
  }

  async admit({ context, response }: Omit<Exchange, 'request'>): Promise<void> {
    const client = this.clientOf(context);
    if (client === undefined) return;
    const bucket = this.#bucketOf(client);
    const retryAfter = await this.#take(bucket);
    if (retryAfter === 0) return;
    if (this.mayWait(context) && (await this.queue.wait(bucket, response))) return;
    throw new OciError('TOOMANYREQUESTS', {
      message: `too many requests from this ${this.throttle}, try again in ${retryAfter} s; the operator may raise RATE_LIMIT and RATE_BURST`,
      headers: { 'Retry-After': String(retryAfter) },
    });
  }

  admitNow({ context }: Pick<Exchange, 'context'>): Charge | undefined {
    const client = this.clientOf(context);
    if (client === undefined) return FREE;
    const bucket = this.#bucketOf(client);
    const { now } = this.buckets;
    // Those who wait already come first.
    if (!now || this.queue.length(bucket) > 0) return undefined;
    const { key, ttl, limit, name } = bucket;
    if (now.peek(key, ttl, limit, name).isBlocked) return undefined;
    return () => void now.increment(key, ttl, limit, name);
  }

  #bucketOf(client: string): Bucket {
    // The one that the module gives, in plain numbers.
    const { limit, ttl } = this.throttlers[0] as { limit: number; ttl: number };
    return {
      key: `${this.throttle}:${client}`,
      limit: limit * this.share,
      ttl,
      name: this.throttle,
    };
  }

  /** @returns 0 when a token was taken, else the seconds until one can be. Those who wait already come first. */
  async #take(bucket: Bucket): Promise<number> {
    const { key, ttl, limit, name } = bucket;
    const waiting = this.queue.length(bucket);
    if (waiting > 0) return Math.max(1, Math.ceil((waiting * ttl) / limit / 1000));
    const { isBlocked, timeToBlockExpire } = await this.storageService.increment(
      key,
      ttl,
      limit,
      ttl,
      name,
    );
    return isBlocked ? timeToBlockExpire : 0;
  }
}
