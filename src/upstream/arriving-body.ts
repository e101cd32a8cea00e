import { errors } from 'undici';
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
/** Where bytes are put as they come, one read of the socket behind the other. */
const BLOCK = 128 * KIB;
/** With less room than that in a block, the next one is begun: reads that are much smaller cost more than they save. */
const LEAST_ROOM = 32 * KIB;
/** So much may wait for the reader before the upstream has to. */
const MOST_UNREAD = 64 * KIB;

/**
 * A body of known length, put by the socket where it is read from. Bytes are written into a block but once, and each block is
 * used for one body alone: whoever got a chunk may keep it.
 */
export class ArrivingBody implements BodySource {
  #line: Line | undefined;
  /** Bytes that are still to come. */
  #left: number;
  #block: Buffer = Buffer.alloc(0);
  /** Where the next byte goes, and where the unread bytes of this block begin. */
  #filled = 0;
  #from = 0;
  /** Unread, of blocks before this one. */
  readonly #pieces: Buffer[] = [];
  #unread = 0;
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
    if (first.length > 0) this.#pieces.push(first);
    this.#count(first.length);
  }

  /** Where its next bytes are to be put, some of them at least; undefined when all are there. */
  room(): Buffer | undefined {
    if (this.#left === 0) return undefined;
    const wanted = Math.min(this.#left, LEAST_ROOM);
    if (this.#block.length - this.#filled < wanted) {
      this.#setAside();
      this.#block = Buffer.allocUnsafeSlow(Math.min(this.#left, BLOCK));
      this.#filled = this.#from = 0;
    }
    // A block is no larger than what was to come: what follows the body is not written among its bytes.
    return this.#block.subarray(this.#filled);
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
    this.#paused = this.#left > 0 && this.#unread >= MOST_UNREAD;
    return !this.#paused;
  }

  next(): Promise<Buffer | undefined> {
    const bytes = this.#take();
    if (bytes) {
      if (this.#paused && this.#unread < MOST_UNREAD) this.#resume();
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
    if (this.#left > 0) return;
    clearTimeout(this.#timer);
    const line = this.#line;
    this.#line = undefined;
    line?.release();
  }

  /** All that is unread in one place. */
  #take(): Buffer | undefined {
    const bytes = this.#pieces.shift() ?? this.#ofBlock();
    if (bytes) this.#unread -= bytes.length;
    return bytes;
  }

  #setAside(): void {
    const bytes = this.#ofBlock();
    if (bytes) this.#pieces.push(bytes);
  }

  #ofBlock(): Buffer | undefined {
    if (this.#from === this.#filled) return undefined;
    const bytes = this.#block.subarray(this.#from, this.#filled);
    this.#from = this.#filled;
    return bytes;
  }

  #end(): void {
    clearTimeout(this.#timer);
    const line = this.#line;
    this.#line = undefined;
    line?.destroy();
    this.#letGo();
  }

  #letGo(): void {
    this.signal?.removeEventListener('abort', this.#onAbort);
  }
}
