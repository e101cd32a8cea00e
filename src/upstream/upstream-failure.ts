/** What a client is told when an upstream cannot be reached or used. It names the registry, never an address within. */
import { errors } from 'undici';
import { OciError, type OciErrorCode } from '../oci/oci-error';
import { DialError } from './dialer';
import type { Peer } from './upstream-faults';

/**
 * Codes of a connection that ended before it answered: the upstream's end, or a kept socket that it had just closed.
 */
const CUT_OFF: ReadonlySet<string> = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** undici's words, under the code of an ended connection, for one that it ended itself: 100 or 101 for an answer. */
const NOT_AN_ANSWER: ReadonlySet<string> = new Set(['bad response', 'bad upgrade']);

/** Whose failure it is, and whether anybody still waits for the answer. */
export interface Asked {
  readonly registry: string;
  readonly peer?: Peer;
  readonly signal?: AbortSignal;
}

/** How a message names whom the gate asked. */
export function nameOf({ registry, peer = 'registry' }: Asked): string {
  switch (peer) {
    case 'registry':
      return registry;
    case 'tokens':
      return `the token endpoint of ${registry}`;
    case 'content':
      return `the content host of ${registry}`;
    default:
      return peer satisfies never;
  }
}

/** True when the same request may fare better on a new connection. */
export function isCutOff(failure: unknown): boolean {
  return failure instanceof OciError && cutOff(failure.cause);
}

/**
 * The OciError for what the sending of a request ended with. Only two things stay as they are: the caller's own abort,
 * and a request of ours that was refused before a byte of it was sent. All else is the upstream's doing, whatever
 * undici makes of it: to some malformed answers it fails with an AssertionError.
 */
export function upstreamFailure(error: unknown, asked: Asked): unknown {
  if (asked.signal?.aborted || error instanceof errors.InvalidArgumentError) return error;
  const failure = (code: OciErrorCode, what: string) =>
    new OciError(code, { message: `${nameOf(asked)} ${what}`, cause: error });
  if (error instanceof DialError) return dialFailure(error, asked);
  if (error instanceof errors.HeadersTimeoutError)
    return failure('UPSTREAM_TIMEOUT', 'did not answer in time');
  if (cutOff(error)) return failure('UNAVAILABLE', 'closed the connection');
  if (error instanceof errors.ClientDestroyedError)
    return new OciError('UNAVAILABLE', { message: 'the gate is stopping', cause: error });
  return failure('BAD_UPSTREAM', 'gave an answer that is not HTTP');
}

function dialFailure(error: DialError, asked: Asked): OciError {
  const failure = (code: OciErrorCode, who = nameOf(asked)) =>
    new OciError(code, { message: `${who} ${error.message}`, cause: error });
  switch (error.fault) {
    case 'unreachable':
    case 'timeout':
    case 'proxy':
      return failure('UNAVAILABLE');
    case 'tls':
      return failure('BAD_UPSTREAM');
    case 'forbidden':
      return failure('BAD_UPSTREAM', asked.registry);
    default:
      return error.fault satisfies never;
  }
}

/** What an operator has to be told of, as far as the failure tells: see UpstreamFaults. */
export function faultOf({ code, cause }: OciError): 'silent' | 'untrusted' | undefined {
  if (cause instanceof errors.ClientDestroyedError) return undefined;
  if (code === 'UNAVAILABLE' || code === 'UPSTREAM_TIMEOUT') return 'silent';
  return cause instanceof DialError && cause.fault === 'tls' ? 'untrusted' : undefined;
}

function cutOff(error: unknown): boolean {
  if (error instanceof DialError) return false;
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  return CUT_OFF.has(String(code)) && !NOT_AN_ANSWER.has(String(message));
}
