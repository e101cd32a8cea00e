import { errors } from 'undici';
import type { BodyBlocks } from './body-blocks';
import type { BodySource } from './body-source';

/** What a body needs of the connection that it arrives on. */
export interface Line {
  /** Lets more come, after {@link ArrivingBody.took} said that this is enough. */
  resume(): void;
  /** All of the body is there: the connection is not the body's any more. */
  release(): void;
  /** Ends the connection. */
  destroy(): void;
}

const KIB = 1024;
/** With less room than that in a block, the next one is begun: reads that are much smaller cost more than they save. */
const LEAST_ROOM = 32 * KIB;
/** So much may wait for the reader before the upstream has to: bytes, or where that is more, this part of a block. */
const MOST_UNREAD = 64 * KIB;
const UNREAD_PART = 1 / 4;

const NONE = Buffer.alloc(0);

/** Unread bytes, and the block that they lie in; without one where nothing is written beside them. */
interface Piece {
  readonly bytes: Buffer;
  readonly block?: Buffer;
}

/**
 * A body of known length, put by the socket where it is read from. Two blocks take turns: one is in the reader's hands, the
 * other one fills. New ones for each read would be the collector's, which takes longer over them than the bytes themselves do.
 */
export class ArrivingBody implements BodySource {
  #line: Line | undefined;
  /** Bytes that are still to come. */
  #left: number;
  /** Where bytes are put: the socket has a place in it in any case, until it asks for the next one. */
  #block: Buffer = NONE;
  /** Where the next byte goes, and where the unread bytes of this block begin. */
  #filled = 0;
  #from = 0;
  /** Unread, of blocks before this one. */
  readonly #pieces: Piece[] = [];
  #unread = 0;
  /** The block in the reader's hands, and one in nobody's. */
  #lent: Buffer | undefined;
  #spare: Buffer | undefined;
  /** Bytes of all blocks. */
  #taken = 0;
  #paused = false;
  #failure: Error | undefined;
  #resolve: ((bytes: Buffer | undefined) => void) | undefined;
  #reject: ((error: Error) => void) | undefined;
  readonly #timer: NodeJS.Timeout;

  /**
   * @param first bytes of it that are there already, which nobody else will write to; none behind its end.
   * @param idle milliseconds without a byte, while the gate waits for one, after which it fails.
   * @param signal ends it, with its reason.
   */
  constructor(
    line: Line,
    private readonly blocks: BodyBlocks,
    length: number,
    first: Buffer,
    idle: number,
    private readonly signal?: AbortSignal,
  ) {
    this.#line = line;
    this.#left = length;
    this.#timer = setTimeout(() => {
      // A reader who takes his time is no silence of the upstream's.
      if (!this.#paused) this.fail(new errors.BodyTimeoutError());
    }, idle);
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (first.length > 0) this.#pieces.push({ bytes: first });
    this.#count(first.length);
  }

  /** Where its next bytes are to be put, some of them at least; undefined when all are there. */
  room(): Buffer | undefined {
    if (!this.#line) return undefined;
    const room = this.#block.length - this.#filled;
    const allRead = this.#from === this.#filled;
    if (room < Math.min(this.#left, LEAST_ROOM) || (allRead && this.#spare)) this.#nextBlock();
    // What follows the body is not written among its bytes.
    return this.#block.subarray(this.#filled, this.#filled + this.#left);
  }

  /**
   * So many bytes were put into the room that was given last.
   * @returns false when no more should come for now.
   */
  took(bytes: number): boolean {
    this.#filled += bytes;
    this.#timer.refresh();
    this.#count(bytes);
    if (this.#resolve) {
      const resolve = this.#resolve;
      this.#resolve = this.#reject = undefined;
      resolve(this.#take());
    }
    this.#paused = this.#left > 0 && this.#isFarAhead();
    return !this.#paused;
  }

  next(): Promise<Buffer | undefined> {
    const given = this.#lent;
    this.#lent = undefined;
    const bytes = this.#take();
    if (given !== this.#lent && given !== this.#block) this.#spare ??= given;
    if (bytes) {
      if (this.#paused && !this.#isFarAhead()) this.#resume();
      return Promise.resolve(bytes);
    }
    if (this.#failure) return Promise.reject(this.#failure);
    if (this.#left === 0) {
      this.#letGo();
      return Promise.resolve(undefined);
    }
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** What came before is still read. */
  fail(error: Error): void {
    if (this.#left === 0 || this.#failure) return;
    this.#failure = error;
    this.#end();
    this.#reject?.(error);
    this.#resolve = this.#reject = undefined;
  }

  destroy(): void {
    this.#giveUp(new errors.RequestAbortedError());
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    try {
      for (let bytes = await this.next(); bytes; bytes = await this.next()) yield bytes;
    } finally {
      this.destroy();
    }
  }

  readonly #onAbort = (): void => this.#giveUp(this.signal?.reason as Error);

  #giveUp(error: Error): void {
    const over = this.#left === 0 && this.#unread === 0;
    this.#pieces.length = 0;
    this.#from = this.#filled;
    this.#unread = 0;
    this.fail(error);
    if (!over) this.#failure ??= error;
    this.#letGo();
  }

  #resume(): void {
    this.#paused = false;
    this.#timer.refresh();
    this.#line?.resume();
  }

  #count(bytes: number): void {
    this.#left -= bytes;
    this.#unread += bytes;
    if (this.#left === 0) this.#over()?.release();
  }

  /** Nothing more is put into its blocks. @returns the line that it had until now. */
  #over(): Line | undefined {
    clearTimeout(this.#timer);
    this.blocks.done(this.#taken);
    this.#taken = 0;
    const line = this.#line;
    this.#line = undefined;
    return line;
  }

  /** All that is unread in one place. */
  #take(): Buffer | undefined {
    const { bytes, block } = this.#pieces.shift() ?? this.#ofBlock() ?? {};
    if (!bytes) return undefined;
    this.#lent = block;
    this.#unread -= bytes.length;
    return bytes;
  }

  #ofBlock(): Piece | undefined {
    if (this.#from === this.#filled) return undefined;
    const bytes = this.#block.subarray(this.#from, this.#filled);
    this.#from = this.#filled;
    return { bytes, block: this.#block };
  }

  #nextBlock(): void {
    const rest = this.#ofBlock();
    if (rest) this.#pieces.push(rest);
    this.#block = this.#spare ?? this.#anew();
    this.#spare = undefined;
    this.#filled = this.#from = 0;
  }

  #anew(): Buffer {
    const block = this.blocks.take(this.#left);
    this.#taken += block.length;
    return block;
  }

  #isFarAhead(): boolean {
    return this.#unread >= Math.max(MOST_UNREAD, this.#block.length * UNREAD_PART);
  }

  #end(): void {
    this.#over()?.destroy();
    this.#letGo();
  }

  #letGo(): void {
    this.signal?.removeEventListener('abort', this.#onAbort);
  }
}
