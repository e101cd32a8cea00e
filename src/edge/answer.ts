/** How the gate says no: one shape for every error, and a connection that is left in good order. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { OciError, OciErrorCode } from '../oci/oci-error';

/**
 * What is still read of a body that nobody wants, so that the client can read the refusal before the connection ends: a
 * manifest that is a little too large (4 MiB is what fits) comes whole, or its client would see a reset in place of 413.
 */
const DRAIN_BYTES = 5 * 1024 * 1024;
const DRAIN_MILLISECONDS = 2_000;

/**
 * Sends an error. Where the answer has begun already, the connection is broken instead: half a blob must never look whole.
 * A body that is still on its way is not wanted any more: the answer goes out at once, the rest is drained within bounds,
 * and the connection ends.
 */
export function sendError(
  request: IncomingMessage,
  response: ServerResponse,
  error: OciError,
): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  refusals.set(response, error.code);
  const body = Buffer.from(JSON.stringify(error));
  const bodyUnread = !request.complete;
  for (const name of response.getHeaderNames()) if (!KEPT.has(name)) response.removeHeader(name);
  response.writeHead(error.status, {
    ...error.headers,
    'Content-Type': 'application/json',
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    ...(bodyUnread ? { Connection: 'close' } : {}),
  });
  if (!bodyUnread || request.method === 'HEAD' || awaitsContinue(request)) {
    response.end(request.method === 'HEAD' ? undefined : body);
    return;
  }
  response.write(body);
  drain(request, () => response.end());
}

const refusals = new WeakMap<ServerResponse, OciErrorCode>();

/** The code of the error that was answered, if one was; for the log. */
export function refusedWith(response: ServerResponse): OciErrorCode | undefined {
  return refusals.get(response);
}

const HOW = Symbol('how the answer came about');

type Answer = ServerResponse & { [HOW]?: string };

/** Notes how the answer comes about, in the words of its `Cache-Status`; for the log. */
export function noteHow(response: Answer, how: string): void {
  response[HOW] = how;
}

/** What was noted last: `hit`, `fwd=miss; stored`. */
export function howOf(response: Answer): string | undefined {
  return response[HOW];
}

/** Headers that say how a request was dealt with, whatever its answer is. */
const KEPT = new Set([
  'x-request-id',
  'docker-distribution-api-version',
  'cache-status',
  'oci-namespace',
  'x-content-type-options',
  'content-security-policy',
]);

const continued = new WeakSet<IncomingMessage>();

/** Notes that the client was told to send its body. */
export function noteContinued(request: IncomingMessage): void {
  continued.add(request);
}

/** True for a client that will send no body before it is told to. RFC 9110 § 10.1.1. */
function awaitsContinue(request: IncomingMessage): boolean {
  return request.headers.expect !== undefined && !continued.has(request);
}

function drain(request: IncomingMessage, done: () => void): void {
  if (request.destroyed) return done();
  let left = DRAIN_BYTES;
  const finish = () => {
    clearTimeout(timer);
    request.off('data', count).off('end', finish).off('close', finish);
    done();
  };
  const count = (chunk: Buffer) => {
    left -= chunk.length;
    if (left < 0) finish();
  };
  const timer = setTimeout(finish, DRAIN_MILLISECONDS);
  request.unpipe();
  request.on('data', count).on('end', finish).on('close', finish).resume();
}
