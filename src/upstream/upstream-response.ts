/** An upstream's answer, and how its body is read or given up. */
import type { IncomingHttpHeaders } from 'node:http';
import { OciError } from '../oci/oci-error';
import type { BodySource } from './body-source';

export interface UpstreamResponse {
  readonly status: number;
  /** Lower-case names; several values of one name are joined by `, `. Cookies are left out. */
  readonly headers: Readonly<Record<string, string>>;
  /**
   * To be read to its end, or destroyed: until then its socket is taken. It fails when the upstream's body is cut short
   * or stalls; a failure that nobody listens for is no unhandled error. For HEAD it is empty.
   */
  readonly body: BodySource;
  /** Set where a mirror answered in the registry's place. */
  readonly mirror?: {
    /** What it sent is not what it should be: it is not asked for that again for a good while. */
    distrust(): void;
  };
  /** `host[:port]` that answered, after redirects: for the log alone, since it is the upstream's own affair. */
  readonly host?: string;
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
 * True when the body is the content itself, as the gate asks for it: digests, lengths and ranges are those of the
 * content, and unpacking what an upstream packed would be a door for bombs. RFC 9110 § 8.4, RFC 9112 § 6.1.
 */
export function isAsItIs({ headers }: Pick<UpstreamResponse, 'headers'>): boolean {
  return (
    only('identity', headers['content-encoding']) && only('chunked', headers['transfer-encoding'])
  );
}

function only(coding: string, list = ''): boolean {
  return list.split(',').every((entry) => ['', coding].includes(entry.trim().toLowerCase()));
}

/** What comes more slowly, once some time has passed, comes to no end that anybody waits for. Milliseconds; bytes per millisecond. */
const GRACE = 30_000;
const SLOWEST = 16;

/**
 * The whole body, for small documents: manifests, lists, tokens.
 * @param limit bytes. A longer one, announced or not, is refused and its socket destroyed.
 * @param hold awaited before the body is read, with what it may come to, so that the caller can bound what all requests
 *   together hold in memory; what it returns is called with what it came to. What it throws is thrown on as it is, and the
 *   body destroyed.
 * @throws OciError BAD_UPSTREAM when the body is too long, breaks off, or only drips: an idle rule alone would hold whoever
 *   shares the answer, and what is held for it, for days.
 */
export async function readBody(
  { headers, body }: UpstreamResponse,
  limit: number,
  hold?: (bytes: number) => Promise<(actual: number) => void>,
): Promise<Buffer> {
  if (Number(headers['content-length'] ?? 0) > limit) {
    body.destroy();
    throw tooLong(limit);
  }
  const settle = await hold?.(Number(headers['content-length'] ?? limit)).catch(
    (error: unknown) => {
      body.destroy();
      throw error;
    },
  );
  const chunks: Buffer[] = [];
  let length = 0;
  const began = performance.now();
  // Leaving the loop destroys the body.
  for await (const chunk of unbroken(body)) {
    length += chunk.length;
    if (length > limit) throw tooLong(limit);
    if (performance.now() - began > GRACE + length / SLOWEST) throw tooSlow();
    chunks.push(Buffer.from(chunk));
  }
  settle?.(length);
  return Buffer.concat(chunks, length);
}

/** The body's chunks; where the upstream breaks them off, that is said. */
async function* unbroken(body: BodySource): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    if (isAbort(error)) throw error;
    throw new OciError('BAD_UPSTREAM', {
      message: 'the upstream registry broke its answer off',
      cause: error,
    });
  }
}

function tooLong(limit: number): OciError {
  return new OciError('BAD_UPSTREAM', {
    message: `the upstream registry's answer is longer than the ${limit} bytes it may have here`,
  });
}

function tooSlow(): OciError {
  return new OciError('BAD_UPSTREAM', {
    message: 'the upstream registry sends its answer too slowly to be of use',
  });
}

/** What a caller's own signal makes of a request. */
function isAbort(error: unknown): boolean {
  return (error as { name?: unknown } | null | undefined)?.name === 'AbortError';
}

/** Reading on costs less than a new connection only while the rest is short, and soon there. */
const WORTH_READING = 64 * 1024;
const WORTH_WAITING = 1_000;

/**
 * Gives the body up: one that is short and soon there is read away so that its connection can be used again, else the
 * socket is destroyed. It takes a second at most, however slowly the upstream sends, and never throws.
 */
export async function discard({ body }: UpstreamResponse): Promise<void> {
  let length = 0;
  const timer = setTimeout(() => body.destroy(), WORTH_WAITING);
  try {
    for await (const chunk of body) {
      length += chunk.length;
      if (length > WORTH_READING) break;
    }
  } catch {
    // Broken off or not, nobody wanted it.
  } finally {
    clearTimeout(timer);
  }
}
