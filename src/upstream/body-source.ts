import type { Readable } from 'node:stream';
import { noteSpent } from './spent-pieces';

/**
 * The bytes of one body, in their order, once. To be read to its end or destroyed: until then its connection is taken. A failure
 * is told to whoever reads, and to nobody else. What is handed out may be read until the next bytes are asked for, and is written
 * over then: who keeps it keeps a copy.
 */
export interface BodySource extends AsyncIterable<Buffer> {
  /**
   * The next bytes, at least one; undefined at the end. One call at a time, and none beside an iterator.
   * @throws what broke the body off; an AbortError once it is destroyed; the reason of the request's signal.
   */
  next(): Promise<Buffer | undefined>;

  /** Gives up what was not read. A body that was read to its end leaves its connection to others all the same. */
  destroy(): void;
}

/** A stream as a source. */
export function sourceOf(stream: Readable): BodySource {
  return new StreamedBody(stream);
}

class StreamedBody implements BodySource {
  #chunks: AsyncIterator<Buffer> | undefined;

  constructor(private readonly stream: Readable) {
    // Nobody may be reading just then.
    stream.on('error', () => undefined);
  }

  async next(): Promise<Buffer | undefined> {
    this.#chunks ??= this[Symbol.asyncIterator]();
    const { value, done } = await this.#chunks.next();
    if (done) return undefined;
    noteSpent(value.length);
    return value;
  }

  destroy(): void {
    this.stream.destroy();
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    return this.stream[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }
}
