/** Failed logins, counted before any hash is computed: guessing stops, and hashing stays free for those who know. */
import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
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
import type { Bucket } from './token-queue';
import type { TokenBuckets } from './token-bucket.storage';

/** Ten failures of one user name from one address, and one more every 6 s. The owner, from elsewhere, is not disturbed. */
const PER_LOGIN = { limit: 10, ttl: 60_000, name: 'login' };
/** A hundred failures of one address under any names, and one more every second: room for a team with a stale password. */
const PER_ADDRESS = { limit: 100, ttl: 100_000, name: 'login-address' };

/**
 * Refuses a login with 429 while a bucket of its failures is empty. The charge falls when the answer is known, and only
 * on failure. Guesses that run at the same time pass before any is charged; the account store's own bound on hashes per
 * address keeps those few.
 */
@Injectable()
export class LoginThrottle extends ThrottlerGuard implements Gatekeeper {
  constructor(
    @InjectThrottlerOptions() options: ThrottlerModuleOptions,
    @InjectThrottlerStorage() private readonly buckets: TokenBuckets,
    reflector: Reflector,
  ) {
    super(options, buckets, reflector);
  }

  protected override async shouldSkip(execution: ExecutionContext): Promise<boolean> {
    return bucketsOf(exchangeOf(execution).context).length === 0;
  }

  protected override async handleRequest({ context }: ThrottlerRequest): Promise<boolean> {
    await this.admit(exchangeOf(context));
    return true;
  }

  async admit({ context, response }: Omit<Exchange, 'request'>): Promise<void> {
    const buckets = bucketsOf(context);
    if (buckets.length === 0) return;
    for (const { key, ttl, limit, name } of buckets) {
      const { isBlocked, timeToBlockExpire } = await this.buckets.peek(key, ttl, limit, name);
      if (isBlocked) throw tooManyFailures(timeToBlockExpire);
    }
    response.once('close', () => void this.#charge(context, response));
  }

  admitNow({ context }: Pick<Exchange, 'context'>): Charge | undefined {
    return bucketsOf(context).length === 0 ? FREE : undefined;
  }

  async #charge(context: RequestContext, response: ServerResponse): Promise<void> {
    if (!isFailedLogin(context, response)) return;
    for (const { key, ttl, limit, name } of bucketsOf(context)) {
      // Nobody is left to be told of a storage that cannot be asked; the next login's own peek fails for all to see.
      await this.buckets.increment(key, ttl, limit, ttl, name).catch(() => undefined);
    }
  }
}

/** Nobody looks at a stranger's credentials there, so that there is nothing to guess. */
const UNSEEN: ReadonlySet<RequestContext['asked']['noun']> = new Set(['status', 'ping', 'help']);

/** The buckets that a login draws on; none when the request is no login. */
function bucketsOf(context: RequestContext): Bucket[] {
  const { asked, client, credentials } = context;
  if (UNSEEN.has(asked.noun)) return [];
  const wide = { ...PER_ADDRESS, key: client };
  const grant = asked.noun === 'token' ? asked.request.grant : undefined;
  const username =
    grant?.kind === 'password'
      ? grant.username
      : credentials.scheme === 'basic'
        ? credentials.username
        : undefined;
  if (username !== undefined) return [{ ...PER_LOGIN, key: loginKey(client, username) }, wide];
  // A posted form may still be unread here; whoever posts one logs in.
  return asked.noun === 'token' && asked.request.method === 'POST' ? [wide] : [];
}

/** Hashed, since a client chooses the name and its length. */
function loginKey(client: string, username: string): string {
  return createHash('sha256').update(`${client}\0${username.toLowerCase()}`).digest('base64url');
}

/**
 * 401 with nobody identified. Also an answer that names nobody though credentials were shown: of health, whatever its
 * status, the lack of details would else tell a wrong password for free. A token by a refresh token names its account,
 * one for an anonymous reader nobody.
 */
function isFailedLogin({ asked, identity }: RequestContext, response: ServerResponse): boolean {
  if (identity?.username !== undefined) return false;
  if (identity?.unjudged) return response.statusCode === 401;
  // Whoever leaves before the verdict is charged as well: how soon it comes the next time would tell it.
  if (!response.headersSent) return true;
  const { statusCode: status } = response;
  if (asked.noun === 'health') return true;
  return status === 401 || (status < 400 && asked.noun !== 'token');
}

function tooManyFailures(retryAfter: number): OciError {
  return new OciError('TOOMANYREQUESTS', {
    message: `too many failed logins; check user name and password, and try again in ${retryAfter} s`,
    headers: { 'Retry-After': String(retryAfter) },
  });
}
