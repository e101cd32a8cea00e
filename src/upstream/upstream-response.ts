/** An upstream's answer, and how its body is read or given up. */
import type { IncomingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { OciError } from '../oci/oci-error';

export interface UpstreamResponse {
  readonly status: number;
  /** Lower-case names; several values of one name are joined by `, `. Cookies are left out. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * To be read to its end, or destroyed: until then its socket is taken. It fails when the upstream's body is cut short
   * or stalls; a failure that nobody listens for is no unhandled error. For HEAD it is empty.
   */
  readonly body: Readable;
}

/** The headers as {@link UpstreamResponse} gives them. */
export function plainHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const plain = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers)) {
    // The gate keeps no cookies, and a client has no use for an upstream's.
    if (value === undefined || name.toLowerCase() === 'set-cookie') continue;
    plain[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : value;
  }
  return plain;
}

/**
 * The whole body, for small documents: manifests, lists, tokens.
 * @param limit bytes. A longer one, announced or not, is refused and its socket destroyed.
 * @throws OciError BAD_UPSTREAM
 */
export async function readBody(
  { headers, body }: UpstreamResponse,
  limit: number,
): Promise<Buffer> {
  if (Number(headers['content-length'] ?? 0) > limit) {
    body.destroy();
    throw tooLong(limit);
  }
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      // Leaving the loop destroys the body.
      if (length > limit) throw tooLong(limit);
      chunks.push(chunk);
    }
  } catch (error) {
    if (error instanceof OciError || isAbort(error)) throw error;
    throw new OciError('BAD_UPSTREAM', {
      message: 'the upstream registry broke its answer off',
      cause: error,
    });
  }
  return Buffer.concat(chunks, length);
}

function tooLong(limit: number): OciError {
  return new OciError('BAD_UPSTREAM', {
    message: `the upstream registry's answer is longer than the ${limit} bytes it may have here`,
  });
}

/** What a caller's own signal makes of a request. */
function isAbort(error: unknown): boolean {
  return (error as { name?: unknown } | null | undefined)?.name === 'AbortError';
}

/** Reading on costs less than a new connection only while the rest is short. */
const WORTH_READING = 64 * 1024;

/** Gives the body up: a short one is read away so that its connection can be used again, else the socket is destroyed. */
export async function discard({ body }: UpstreamResponse): Promise<void> {
  let length = 0;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length > WORTH_READING) break;
    }
  } catch {
    // Broken off or not, nobody wanted it.
  }
}
