import type { Hash } from 'node:crypto';
import type { Digest } from '../../oci/digest';
import { OciError } from '../../oci/oci-error';
import type { Outlet } from '../body/outlet';
import type { SpooledBytes } from './spooled-bytes';
import { UpstreamContent, type Ask } from './upstream-content';

/** Readers who are told of each chunk; bytes after which all others are told, and milliseconds after which they are anyway. */
const FEW = 4;
const MUCH = 256 * 1024;
const MOMENT = 5;

/** How to go on from where a fetch gave up being shared. */
export interface Rest {
  /** Where it begins: everything before was received. */
  readonly at: number;
  readonly ask: Ask;
  readonly pauses: readonly number[] | undefined;
  /** Hash of everything before; to be copied. */
  readonly hash: Hash;
  /** Told when what came does not hash to the digest. */
  readonly onMismatch: (host: string | undefined) => void;
}

/**
 * What the readers of one fetch follow: how far it has come, and what became of it. At first it grows; then it is whole, or
 * broken, or it has a rest that every reader fetches for itself.
 */
export class GrowingContent {
  /** Bytes of the whole content; undefined while nobody knows, and where the upstream does not say. */
  total: number | undefined;
  #whole = false;
  #failure: Error | undefined;
  #rest: Rest | undefined;
  #spare: UpstreamContent | undefined;
  readonly #waiting = new Set<() => void>();
  #unheard = 0;
  #waking: NodeJS.Timeout | undefined;

  constructor(
    readonly digest: Digest,
    readonly bytes: SpooledBytes,
  ) {}

  /** All of it was received, and its digest holds. */
  get whole(): boolean {
    return this.#whole;
  }

  get failure(): Error | undefined {
    return this.#failure;
  }

  get rest(): Rest | undefined {
    return this.#rest;
  }

  /** Nothing more will be received here. */
  get over(): boolean {
    return this.#whole || this.#failure !== undefined || this.#rest !== undefined;
  }

  /** Up to where it may be sent: the last byte of all, or what may be it, only once the digest holds. */
  get visible(): number {
    const { received } = this.bytes;
    if (this.#whole) return received;
    return Math.max(0, Math.min(received, (this.total ?? received) - 1));
  }

  /**
   * Takes the next bytes. A few readers get them at once; many wait a moment for more, since to wake all of them for each small
   * chunk would cost more than to send it. The first bytes go out as they come.
   */
  add(chunk: Buffer): void {
    const first = this.bytes.received === 0;
    this.bytes.push(chunk);
    this.#unheard += chunk.length;
    if (first || this.#waiting.size <= FEW || this.#unheard >= MUCH) this.#wake();
    else this.#waking ??= setTimeout(() => this.#wake(), MOMENT);
  }

  complete(): void {
    this.#whole = true;
    this.#wake();
  }

  /** What was received stays readable; whoever wants more gets the error. */
  break(error: Error): void {
    this.#failure ??= error;
    this.#wake();
  }

  /** @param spare the upstream's content, open there, for the first reader who comes so far. */
  splitOff(rest: Rest, spare: UpstreamContent): void {
    this.#rest = rest;
    this.#spare = spare;
    this.#wake();
  }

  /** Ends the upstream's content that nobody took over. */
  dropSpare(): void {
    this.#spare?.close();
    this.#spare = undefined;
  }

  /** The upstream's content from `from` on, which no reader needs before the rest begins. */
  async openRest(
    { at, ask, pauses }: Rest,
    { from, to }: { from: number; to: number | undefined },
    signal: AbortSignal,
  ): Promise<UpstreamContent> {
    const spare = this.#spare;
    if (spare?.position === at) {
      this.#spare = undefined;
      return spare;
    }
    const content = await UpstreamContent.open(ask, { from, to }, signal, pauses);
    if (this.total === undefined || content.total === undefined || content.total === this.total) {
      return content;
    }
    content.close();
    throw new OciError('BAD_UPSTREAM', {
      message: 'the upstream registry has another content there now',
    });
  }

  /** Resolves at the next change; rejects when the outlet closes. */
  async change(outlet: Outlet): Promise<void> {
    let waiting: (() => void) | undefined;
    try {
      await outlet.wait((done) => {
        waiting = done;
        this.#waiting.add(done);
      });
    } finally {
      if (waiting) this.#waiting.delete(waiting);
    }
  }

  #wake(): void {
    clearTimeout(this.#waking);
    this.#waking = undefined;
    this.#unheard = 0;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const done of waiting) done();
  }
}
