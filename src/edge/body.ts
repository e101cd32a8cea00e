import type { IncomingMessage } from 'node:http';
import { OciError } from '../oci/oci-error';

export interface BodyBounds {
  /** Bytes. */
  readonly limit: number;
  /** What the body is, for the message: `a manifest`. */
  readonly what: string;
  /** Milliseconds until it must have come whole; without it, the connection's idle rule alone counts. */
  readonly within?: number;
  /** Asks for room before the body is read; for bodies that are not tiny. */
  readonly hold?: (bytes: number) => Promise<(actual: number) => void>;
}

/**
 * Reads a small body whole. What is too large is refused before it is asked for, or as soon as it shows.
 * @param wantBody the context's: it sends `100 Continue` where the client waits for it.
 * @throws OciError BODY_TOO_LARGE, or BODY_INVALID where it does not come whole.
 */
export async function readSmallBody(
  request: IncomingMessage,
  wantBody: () => void,
  { limit, what, within, hold }: BodyBounds,
): Promise<Buffer> {
  const tooLarge = () =>
    new OciError('BODY_TOO_LARGE', { message: `${what} is at most ${limit} bytes` });
  const cutShort = () => new OciError('BODY_INVALID', { message: `${what} did not come whole` });
  if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge();
  // Of a chunked body nobody knows the size before its end.
  const release = await hold?.(Number(request.headers['content-length'] ?? limit));
  if (request.destroyed) throw cutShort();
  wantBody();
  const chunks: Buffer[] = [];
  let size = 0;
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: OciError) => {
      clearTimeout(late);
      request.off('data', onData).off('end', onEnd).off('close', onClose);
      if (error) reject(error);
      else resolve();
    };
    const onData = (chunk: Buffer) => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else settle(tooLarge());
    };
    const onEnd = () => settle();
    const onClose = () => settle(cutShort());
    const late = within === undefined ? undefined : setTimeout(() => settle(cutShort()), within);
    request.on('data', onData).on('end', onEnd).on('close', onClose);
  });
  release?.(size);
  return Buffer.concat(chunks);
}
