import type { Writable } from 'node:stream';

/**
 * The bytes of one answer, given at the pace at which the client takes them. Each is to be sent or closed, once.
 */
export interface Body {
  /**
   * Bytes that will be sent; undefined where the upstream did not say, and then the answer is chunked and whoever sends it
   * must break the connection when this fails.
   */
  readonly length: number | undefined;
  /** Why it will not come to its end, where that is known before anything of it was sent: an answer can still say so. */
  readonly failure?: Error | undefined;
  /**
   * Writes all of it to the sink, which is not ended, and resolves when the last byte was taken. The last byte of the whole
   * content is written only once the digest is known to hold.
   * @throws OciError where the content broke off or was not what its digest says; Error when the sink was closed.
   */
  sendTo(sink: Writable): Promise<void>;
  /** Gives it up unsent. */
  close(): void;
}
