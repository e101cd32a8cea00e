/** What the controllers share: the context of their request, its end, and where its content comes from. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { noteHow } from '../edge/answer';
import type { NamedRepository } from '../edge/names';
import {
  accountIn,
  admittedContextOf,
  askedOf,
  type Asked,
  type Identity,
  type RequestContext,
} from '../edge/request-context';
import { formatCacheStatus, howItCame, type CacheStatus } from '../cdn/cache-status';
import type { Reader } from '../cdn/content.service';
import type { MemoryBudget } from './memory-budget';

/** A request that got past the guards: who asks, and what, narrowed to the controller's noun. */
export interface Admitted<N extends Asked['noun']> {
  readonly context: RequestContext;
  readonly identity: Identity;
  readonly asked: Extract<Asked, { noun: N }>;
}

export function admitted<N extends Asked['noun']>(request: IncomingMessage, noun: N): Admitted<N> {
  const context = admittedContextOf(request);
  return { context, identity: context.identity, asked: askedOf(context, noun) };
}

/** Aborts when the client leaves before its answer is whole: nobody waits for the upstream then. */
export function untilClientLeaves(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  // It may have left while the guards were still asking: that event does not come again.
  if (response.closed) controller.abort();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

/** To whom what is begun is counted: the account, else the client's address. */
export function ownerOf({
  identity,
  context,
}: {
  readonly identity: Identity;
  readonly context: RequestContext;
}): string {
  return accountIn(identity) ?? `address ${context.client}`;
}

/** The repository as the upstream knows it, asked for with the credentials that the reader is entitled to. */
export function sourceOf(name: NamedRepository, identity: Identity) {
  return {
    registry: name.registry,
    repository: name.repository,
    as: identity.upstreamAs(name.canonical),
  };
}

/**
 * For whom content is got: when they leave, how much may be held for them, and how the answer came about, which goes into its
 * `Cache-Status` (RFC 9211).
 */
export function readerOf(
  { identity, context }: { identity: Identity; context: RequestContext },
  response: ServerResponse,
  budget: MemoryBudget,
): Reader {
  const client = accountIn(identity) ?? context.client;
  return {
    signal: untilClientLeaves(response),
    hold: budget.for(response, client),
    holdNow: (bytes) => budget.takeNow(bytes, response, client),
    note: (status) => noteCacheStatus(response, status),
  };
}

const STATUS = Symbol('cache status');

type Answer = ServerResponse & { [STATUS]?: CacheStatus };

/** Sets how the answer comes about; the last word counts. Too late, once its head is out. */
export function noteCacheStatus(response: Answer, status: CacheStatus): void {
  if (response.headersSent) return;
  response[STATUS] = status;
  noteHow(response, howItCame(status));
  response.setHeader('Cache-Status', formatCacheStatus(status));
}

export function cacheStatusOf(response: Answer): CacheStatus | undefined {
  return response[STATUS];
}
