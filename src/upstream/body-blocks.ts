const KIB = 1024;
const MIB = 1024 * KIB;

/** What the blocks of all bodies together are to stay near. Beyond it each still gets the least. */
const BUDGET = 16 * MIB;
const LEAST = 64 * KIB;
const MOST = MIB;
/** Of what is left of the budget, no block takes more than this part: the next bodies want some too. */
const PART = 8;

/**
 * Where the bytes of bodies are put as they come: large blocks while few bodies are on their way, since a read costs much the
 * same whatever it brings, and smaller ones the more there are.
 */
export class BodyBlocks {
  #out = 0;

  /** A block of that many bytes, or fewer. What it holds is nobody's business. */
  take(most: number): Buffer {
    const share = Math.min(MOST, (BUDGET - this.#out) / PART);
    let size = LEAST;
    while (size < most && size * 2 <= share) size *= 2;
    const block = Buffer.allocUnsafeSlow(Math.min(size, most));
    this.#out += block.length;
    return block;
  }

  /** Blocks of so many bytes are written to no more. */
  done(bytes: number): void {
    this.#out -= bytes;
  }
}
