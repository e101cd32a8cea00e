/** Bytes that were promised to downloads and do not show yet, neither in what is held nor (wholly) in what is free. */

/** Milliseconds after which a promise counts no more: the download failed, or is so slow that the disk itself tells. */
const LIFETIME = 600_000;

export class Reservations {
  #promised: { readonly at: number; bytes: number }[] = [];
  #total = 0;
  #stored = 0;

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Bytes promised, and not yet held. */
  get total(): number {
    this.#expire();
    return this.#total;
  }

  add(bytes: number): void {
    this.#promised.push({ at: this.now(), bytes });
    this.#total += bytes;
  }

  /** The latest of so many bytes are not needed after all. */
  giveBack(bytes: number): void {
    this.#take(bytes, -1);
  }

  /**
   * Whatever came to be held had been promised: the oldest promises are kept by it first.
   * @param stored bytes that ever came to be held; only its growth counts.
   */
  noteStored(stored: number): void {
    const grown = stored - this.#stored;
    this.#stored = stored;
    this.#take(grown, 0);
  }

  /** Takes bytes out of the promises, beginning with the first or (-1) with the last. */
  #take(bytes: number, from: 0 | -1): void {
    for (let rest = bytes, next; rest > 0 && (next = this.#promised.at(from));) {
      const taken = Math.min(rest, next.bytes);
      next.bytes -= taken;
      rest -= taken;
      this.#total -= taken;
      if (next.bytes === 0) this.#promised.splice(from, 1);
    }
  }

  #expire(): void {
    const past = this.now() - LIFETIME;
    for (let oldest; (oldest = this.#promised[0]) && oldest.at <= past; this.#promised.shift()) {
      this.#total -= oldest.bytes;
    }
  }
}
