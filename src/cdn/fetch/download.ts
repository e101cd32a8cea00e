import type { Hash } from 'node:crypto';
import { hasherFor, type Digest } from '../../oci/digest';
import { OciError } from '../../oci/oci-error';
import type { Body } from '../body/body';
import { assertDigest, DigestMismatch } from './digest-mismatch';
import { DownloadReader } from './download-reader';
import { GrowingContent } from './growing-content';
import { Keeping, type DownloadTools, type Settle } from './keeping';
import { SpooledBytes } from './spooled-bytes';
import { UpstreamContent, type Ask } from './upstream-content';

/** What is fetched, and who is told of it. */
export interface DownloadOrder {
  readonly digest: Digest;
  readonly ask: Ask;
  readonly settle: Settle;
  /** Nobody else may join from here on. */
  readonly onOver: (download: Download) => void;
  /** Nobody reads any more, and nothing is left of it. */
  readonly onReleased: (download: Download) => void;
  readonly onMismatch: () => void;
}

/**
 * One fetch with any number of readers, each at its own place and pace. What comes is hashed, sent to whoever waits for it,
 * and written to a spool from which the others read; it goes to the store once its digest holds. Where it cannot be written,
 * every reader fetches what is missing for itself.
 */
export class Download {
  readonly digest: Digest;
  readonly since = Date.now();
  /** Resolves when the upstream has begun to send; rejects with its refusal. */
  readonly opened: Promise<{ readonly total: number | undefined }>;
  /**
   * Resolves when it is settled, or at once where it turns out that it cannot be held while its readers go on. Rejects where it
   * broke off, was not what its digest says, or was given up.
   */
  readonly finished: Promise<{ readonly stored: boolean }>;
  readonly #opening = Promise.withResolvers<{ total: number | undefined }>();
  readonly #aborting = new AbortController();
  readonly #readers = new Set<DownloadReader>();
  readonly #hash: Hash;
  readonly #content: GrowingContent;
  readonly #keeping: Keeping;
  #joined = 0;
  #settled = false;
  #released = false;

  constructor(
    private readonly order: DownloadOrder,
    private readonly tools: DownloadTools,
  ) {
    this.digest = order.digest;
    this.#hash = hasherFor(order.digest);
    this.#keeping = new Keeping(order.digest, tools, () => this.total);
    this.#content = new GrowingContent(
      order.digest,
      new SpooledBytes(this.#keeping, () => this.readers),
    );
    this.opened = this.#opening.promise;
    this.finished = this.#run();
    // Whoever wants to know asks; that nobody does is no fault.
    this.opened.catch(() => undefined);
    this.finished.catch(() => undefined);
  }

  /** Bytes received; all there will be, once it is finished. */
  get received(): number {
    return this.#content.bytes.received;
  }

  /** Bytes of the whole content; undefined before it is open, and where the upstream does not say. */
  get total(): number | undefined {
    return this.#content.total;
  }

  get readers(): number {
    return this.#readers.size;
  }

  /**
   * A reader of bytes [from, to), to the end without `to`; it counts until it has sent them or is closed. To be called while
   * the fetch is running, or joined.
   */
  body(from: number, to?: number): Body {
    const reader = new DownloadReader(this.#content, { from, to }, this.tools.buffers, (self) => {
      this.#readers.delete(self);
      this.#look();
    });
    this.#readers.add(reader);
    if (this.#released) reader.close();
    return reader;
  }

  /**
   * Keeps it going as a reader does, without reading.
   * @returns what ends that, and may be called more than once.
   */
  join(): () => void {
    let here = true;
    this.#joined += 1;
    return () => {
      if (!here) return;
      here = false;
      this.#joined -= 1;
      this.#look();
    };
  }

  /** Ends it, and all its readers, at once. */
  abort(error: Error = new OciError('UNAVAILABLE', { message: 'the fetch was given up' })): void {
    if (!this.#content.whole) this.#content.break(error);
    this.order.onOver(this);
    this.#aborting.abort(error);
    this.#breakReaders(error);
  }

  async #run(): Promise<{ stored: boolean }> {
    const started = performance.now();
    let content: UpstreamContent | undefined;
    try {
      const { ask } = this.order;
      const { signal } = this.#aborting;
      content = await UpstreamContent.open(ask, { from: 0 }, signal, this.tools.pauses);
      this.#content.total = content.total;
      this.#opening.resolve({ total: content.total });
      const shared = await this.#receive(content);
      const stored = shared && (await this.#keeping.keep(this.#content.bytes, this.order.settle));
      this.#report(content, started, stored);
      return { stored };
    } catch (error) {
      await this.#fail(error, content);
      throw error;
    } finally {
      this.order.onOver(this);
      this.#settled = true;
      this.#look();
    }
  }

  /** @returns false when it is not shared any more. */
  async #receive(content: UpstreamContent): Promise<boolean> {
    const { bytes } = this.#content;
    bytes.start();
    for (let chunk = await content.read(); chunk; chunk = await content.read()) {
      this.#hash.update(chunk);
      this.#content.add(chunk);
      await bytes.relief();
      if (bytes.failure !== undefined && bytes.received !== content.end) {
        this.#splitOff(content);
        return false;
      }
    }
    assertDigest(this.digest, this.#hash);
    this.#content.complete();
    return true;
  }

  /** From here on every reader goes its own way; what was received serves them up to here. */
  #splitOff(content: UpstreamContent): void {
    const { bytes } = this.#content;
    this.#keeping.noteNotKept(bytes.failure);
    const rest = {
      at: bytes.received,
      ask: this.order.ask,
      pauses: this.tools.pauses,
      hash: this.#hash,
      onMismatch: (host: string | undefined) => this.#noteMismatch(host, content),
    };
    this.order.onOver(this);
    this.#content.splitOff(rest, content);
    void this.#keeping.discard(bytes);
  }

  async #fail(error: unknown, content: UpstreamContent | undefined): Promise<void> {
    const failure = error instanceof Error ? error : new Error(String(error));
    content?.close();
    this.order.onOver(this);
    this.#content.break(failure);
    this.#opening.reject(failure);
    const { digest } = this;
    const host = content?.host;
    if (this.#aborting.signal.aborted) this.tools.log.debug({ digest }, 'a fetch was given up');
    else if (error instanceof DigestMismatch) {
      this.#noteMismatch(host, content);
      this.#breakReaders(error);
    } else if (content) {
      this.tools.log.warn({ digest, host, err: error }, 'a fetch broke off');
    }
    await this.#keeping.discard(this.#content.bytes);
  }

  #breakReaders(error: Error): void {
    for (const reader of this.#readers) reader.break(error);
  }

  /** Acts on the last one's leaving: not at once, since others may be about to join. */
  #look(): void {
    if (this.#isAttended()) return;
    setImmediate(() => {
      if (this.#isAttended() || this.#released) return;
      if (this.#content.rest) this.#content.dropSpare();
      if (this.#settled) this.#release();
      else if (!this.#content.over && !this.#isMoreThanHalf()) this.abort();
    });
  }

  #isAttended(): boolean {
    return this.#joined + this.#readers.size > 0;
  }

  #isMoreThanHalf(): boolean {
    return this.total !== undefined && this.received > this.total / 2;
  }

  #release(): void {
    this.#released = true;
    void this.#content.bytes.release();
    this.order.onReleased(this);
  }

  #noteMismatch(host: string | undefined, content: UpstreamContent | undefined): void {
    content?.distrust();
    this.order.onMismatch();
    this.tools.log.warn(
      { digest: this.digest, host },
      'the upstream sent content that is not what its digest says',
    );
  }

  #report({ host, resumed }: UpstreamContent, started: number, stored: boolean): void {
    const { digest, received: bytes } = this;
    const ms = Math.round(performance.now() - started);
    this.tools.log.info({ digest, bytes, ms, host, resumed, stored }, 'fetched');
  }
}
