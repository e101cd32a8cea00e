import { setTimeout as pause } from 'node:timers/promises';
import { OciError } from '../../oci/oci-error';
import type { UpstreamResponse } from '../../upstream/upstream-response';
import { readContentAnswer, type ContentAnswer, type Part } from './content-answer';

/**
 * Asks the upstream for bytes [from, to) of one content; to its end without `to`, and without a Range for (0, undefined).
 * Each call is a request of its own to the registry, so that a redirect leads to a fresh signed address. It resolves with 200
 * or 206 only; the body is the caller's to end.
 * @throws OciError for refusals and failures.
 */
export type Ask = (
  from: number,
  to: number | undefined,
  signal: AbortSignal,
) => Promise<UpstreamResponse>;

/** Milliseconds before each of the attempts to go on. */
const PAUSES: readonly number[] = [200, 1_000, 3_000];
/** So many bytes after a break show that it was not the last attempt's. */
const PROGRESS = 1024 * 1024;

interface Order {
  readonly ask: Ask;
  readonly part: Part;
  readonly pauses: readonly number[];
  /** Ends whatever is under way: of this content alone, and of the caller's signal. */
  readonly closing: AbortController;
}

/**
 * Content as it comes from the upstream. Where the body breaks off, ends early or stalls, the upstream is asked again from
 * there on, and whoever reads notices nothing. It is to be read to its end or closed.
 */
export class UpstreamContent {
  /** Bytes of the whole content; undefined where the upstream did not say when it was opened. */
  readonly total: number | undefined;
  #position: number;
  #end: number | undefined;
  #length: number | undefined;
  #response: UpstreamResponse;
  /** Those before it, too, whose bytes are among what was read. */
  readonly #responses: UpstreamResponse[] = [];
  #skip: number;
  #exact: boolean;
  #failures = 0;
  #brokenAt = 0;
  #resumed = 0;
  #ended = false;

  /**
   * @param pauses milliseconds before each attempt to go on after a break; as many attempts as there are entries.
   * @throws OciError the refusal of the first request; BAD_UPSTREAM for an answer that is not the part. The signal's reason.
   */
  static async open(
    ask: Ask,
    part: Part,
    signal: AbortSignal,
    pauses: readonly number[] = PAUSES,
  ): Promise<UpstreamContent> {
    signal.throwIfAborted();
    const closing = new AbortController();
    const close = () => closing.abort(signal.reason);
    signal.addEventListener('abort', close, { once: true });
    const letGo = () => signal.removeEventListener('abort', close);
    try {
      const [response, answer] = await askFor(ask, part, closing.signal);
      return new UpstreamContent({ ask, part, pauses, closing }, response, answer, letGo);
    } catch (error) {
      letGo();
      throw error;
    }
  }

  private constructor(
    private readonly order: Order,
    response: UpstreamResponse,
    { total, skip, exact }: ContentAnswer,
    private readonly letGo: () => void,
  ) {
    const { part, closing } = order;
    this.total = total;
    this.#length = total;
    this.#position = part.from;
    this.#end = total === undefined ? part.to : Math.min(part.to ?? total, total);
    this.#response = response;
    this.#responses.push(response);
    this.#skip = skip;
    this.#exact = exact;
    closing.signal.addEventListener('abort', () => this.#response.body.destroy());
  }

  /** Where the next byte that is read stands in the whole content. */
  get position(): number {
    return this.#position;
  }

  /** Where the part ends: before `to` where the content does; undefined while nobody knows. */
  get end(): number | undefined {
    return this.#end;
  }

  /** The host that really sent the bytes, where the registry led elsewhere. */
  get host(): string | undefined {
    return this.#response.host;
  }

  /** What came is not what it should be: the mirrors that some of it came from are not asked for it again. */
  distrust(): void {
    for (const { mirror } of this.#responses) mirror?.distrust();
  }

  /** How often the upstream had to be asked again. */
  get resumed(): number {
    return this.#resumed;
  }

  /**
   * The next bytes, which hold until the next call; undefined at the end of the part. One call at a time.
   * @throws OciError BAD_UPSTREAM when it broke off for good, or was longer than announced. The signal's reason, and an
   *   AbortError where it was closed before its end.
   */
  async read(): Promise<Buffer | undefined> {
    while (!this.#ended) {
      const chunk = await this.#next();
      if (chunk === undefined) {
        this.#ended = true;
        this.close();
        break;
      }
      const bytes = this.#take(chunk);
      if (bytes.length > 0) return bytes;
    }
    return undefined;
  }

  /** All of it. Leaving the loop closes it. */
  async *chunks(): AsyncGenerator<Buffer, void> {
    try {
      for (let chunk = await this.read(); chunk; chunk = await this.read()) yield chunk;
    } finally {
      this.close();
    }
  }

  /** Gives up what was not read: the upstream's connection ends. */
  close(): void {
    this.letGo();
    // A body that was read to its end leaves its connection to the next request.
    if (this.#ended && this.#exact) this.#response.body.destroy();
    else this.order.closing.abort();
  }

  /** The body's next bytes, of whichever body it takes; undefined at the end of the part. */
  async #next(): Promise<Buffer | undefined> {
    const { signal } = this.order.closing;
    for (;;) {
      signal.throwIfAborted();
      const done = this.#position === this.#end;
      if (done && !this.#exact) return undefined;
      let broken: unknown = new Error('the body ended early');
      try {
        const bytes = await this.#response.body.next();
        if (bytes) return bytes;
        if (done || (this.#length === undefined && this.#skip === 0)) return undefined;
      } catch (error) {
        signal.throwIfAborted();
        // All that was announced is there: how the body ended is nobody's concern.
        if (done) return undefined;
        broken = error;
      }
      await this.#resume(broken);
    }
  }

  /** What of the chunk belongs to the part. */
  #take(chunk: Buffer): Buffer {
    const skipped = Math.min(this.#skip, chunk.length);
    this.#skip -= skipped;
    const left = this.#end === undefined ? Infinity : this.#end - this.#position;
    if (this.#exact && chunk.length - skipped > left) {
      throw this.#broken('sent more of the content than it had announced');
    }
    const bytes = chunk.subarray(skipped, Math.min(chunk.length, skipped + left));
    this.#position += bytes.length;
    return bytes;
  }

  /** Asks again for what is missing, with a pause before each attempt. */
  async #resume(broken: unknown): Promise<void> {
    const { ask, part, pauses, closing } = this.order;
    this.#response.body.destroy();
    if (this.#position - this.#brokenAt >= PROGRESS) this.#failures = 0;
    this.#brokenAt = this.#position;
    let cause = broken;
    for (;;) {
      const wait = pauses[this.#failures];
      if (wait === undefined) throw this.#broken('broke its answer off', cause);
      this.#failures += 1;
      await pause(wait, undefined, { signal: closing.signal });
      try {
        const wanted = { from: this.#position, to: this.#end ?? part.to };
        const [response, answer] = await askFor(ask, wanted, closing.signal);
        return this.#goOn(response, answer);
      } catch (error) {
        closing.signal.throwIfAborted();
        if (isFinal(error)) throw this.#broken('broke its answer off', error);
        cause = error;
      }
    }
  }

  #goOn(response: UpstreamResponse, { total, skip, exact }: ContentAnswer): void {
    if (total === undefined || (this.#length !== undefined && total !== this.#length)) {
      response.body.destroy();
      throw new AnotherContent('the upstream registry has another content there now');
    }
    this.#length = total;
    this.#end = Math.min(this.order.part.to ?? total, total);
    this.#response = response;
    this.#responses.push(response);
    this.#skip = skip;
    this.#exact = exact;
    this.#resumed += 1;
  }

  #broken(what: string, cause?: unknown): OciError {
    this.close();
    return new OciError('BAD_UPSTREAM', { message: `the upstream registry ${what}`, cause });
  }
}

class AnotherContent extends Error {}

/** A refusal stays one, and another content another one; whatever else befalls a request may be over with the next. */
function isFinal(error: unknown): boolean {
  return error instanceof AnotherContent || !(error instanceof OciError) || error.status < 500;
}

async function askFor(
  ask: Ask,
  part: Part,
  signal: AbortSignal,
): Promise<[UpstreamResponse, ContentAnswer]> {
  signal.throwIfAborted();
  const response = await ask(part.from, part.to, signal);
  try {
    signal.throwIfAborted();
    return [response, readContentAnswer(response, part)];
  } catch (error) {
    response.body.destroy();
    if (!response.mirror || !(error instanceof OciError)) throw error;
    response.mirror.distrust();
    return askFor(ask, part, signal);
  }
}
