/** Memory for reading files out to clients, so that many slow ones together cost little, and few fast ones read large. */

const KIB = 1024;
const MIB = 1024 * KIB;

/** What all buffers together are to stay near. Beyond it each reader still gets the least, or it could not go on. */
const BUDGET = 48 * MIB;
const LEAST = 64 * KIB;
const MOST = 512 * KIB;
/** Of what is left of the budget, no reader takes more than this part: the next ones want some too. */
const PART = 8;
/** Bytes of returned buffers that are kept for the next readers. */
const KEPT = 8 * MIB;
/**
 * Readers whose buffer is being read into at once; the others wait for their turn. The threads that read are fewer, and a
 * thousand buffers that wait for those would be small ones.
 */
const READING = 32;

/** A buffer on loan. Either call ends the loan; those after the first are without effect. */
export interface ReadBuffer {
  /** Holds what an earlier reader left in it: only what was read into it may be sent. */
  readonly bytes: Buffer;
  /** Gives it back, to be used again at once: nobody may still be reading from it. */
  give(): void;
  /** Ends the loan where somebody may still read from the buffer, as the kernel does after a write that was given up. */
  drop(): void;
}

/**
 * Lends buffers of 64 to 512 KiB, smaller ones the more are out: a reader holds one only while it is read into and while
 * its bytes are on their way to the client, so that those that are out are those of slow clients. 500 of them come to
 * about 72 MiB.
 */
export class ReadBuffers {
  #lent = 0;
  #out = 0;
  #kept = 0;
  #reading = 0;
  readonly #waiting: (() => void)[] = [];
  readonly #free = new Map<number, Buffer[]>();

  /** Bytes that are out. */
  get out(): number {
    return this.#out;
  }

  /** Buffers that are out. */
  get lent(): number {
    return this.#lent;
  }

  /** @param wanted bytes that the reader could use; it may get fewer. */
  take(wanted: number = MOST): ReadBuffer {
    const bytes = this.#find(this.#sizeFor(wanted));
    this.#lent += 1;
    this.#out += bytes.length;
    let ended = false;
    const end = (reusable: boolean) => {
      if (ended) return;
      ended = true;
      this.#lent -= 1;
      this.#out -= bytes.length;
      if (reusable) this.#keep(bytes);
    };
    return { bytes, give: () => end(true), drop: () => end(false) };
  }

  /**
   * Lends a buffer with what is read into it, in its turn.
   * @param wanted bytes, of which it may get fewer. @param read gives the number of bytes that it has read.
   */
  async filled(wanted: number, read: (into: Buffer) => Promise<number>): Promise<ReadBuffer> {
    if (this.#reading < READING) this.#reading += 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const buffer = this.take(wanted);
    try {
      const length = await read(buffer.bytes.subarray(0, wanted));
      return { ...buffer, bytes: buffer.bytes.subarray(0, length) };
    } catch (error) {
      buffer.give();
      throw error;
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#reading -= 1;
    }
  }

  /** A power of two, so that what comes back fits the next. */
  #sizeFor(wanted: number): number {
    const share = Math.min(MOST, BUDGET / (this.#lent + 1), (BUDGET - this.#out) / PART);
    let size = LEAST;
    while (size < wanted && size * 2 <= share) size *= 2;
    return size;
  }

  #find(size: number): Buffer {
    const known = this.#free.get(size)?.pop();
    if (!known) return Buffer.allocUnsafeSlow(size);
    this.#kept -= size;
    return known;
  }

  #keep(bytes: Buffer): void {
    if (!this.#makeRoom(bytes.length)) return;
    this.#kept += bytes.length;
    const same = this.#free.get(bytes.length);
    if (same) same.push(bytes);
    else this.#free.set(bytes.length, [bytes]);
  }

  /** Those of other sizes go: what comes back now is of the size that is lent now. */
  #makeRoom(size: number): boolean {
    for (const [other, free] of this.#free) {
      if (other === size) continue;
      while (this.#kept + size > KEPT && free.pop()) this.#kept -= other;
    }
    return this.#kept + size <= KEPT;
  }
}
