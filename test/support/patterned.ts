/**
 * Content of any size that is made as it is sent and checked as it comes, a piece at a time: no two pieces are alike,
 * so that bytes which are missing, doubled or out of order show at once, without a hash for each of many clients.
 */
import { createCipheriv, createHash } from 'node:crypto';

/** The noise that is repeated: the same for contents of one salt. */
export const NOISE = 1024 * 1024;
/** Each piece begins with its number, in eight bytes. crowd-clients.mjs knows this too. */
export const PIECE = 64 * 1024;

export class Patterned {
  readonly noise: Buffer;
  #digest: string | undefined;

  /** @param salt contents of different salts share no bytes. */
  constructor(
    readonly size: number,
    salt = 'tidegate',
  ) {
    const key = createHash('sha256').update(salt).digest().subarray(0, 16);
    this.noise = createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(NOISE));
  }

  get digest(): string {
    if (this.#digest !== undefined) return this.#digest;
    const hash = createHash('sha256');
    for (const bytes of this.slices()) hash.update(bytes);
    this.#digest = `sha256:${hash.digest('hex')}`;
    return this.#digest;
  }

  /** Bytes [from, to), at most a MiB at a time; each slice is the caller's own. */
  *slices(from = 0, to = this.size): Generator<Buffer, void> {
    for (let at = from; at < to;) {
      const start = at - (at % NOISE);
      const block = Buffer.from(this.noise);
      for (let stamp = 0; stamp < NOISE; stamp += PIECE) {
        block.writeBigUInt64BE(BigInt((start + stamp) / PIECE), stamp);
      }
      const end = Math.min(to, start + NOISE);
      yield block.subarray(at - start, end - start);
      at = end;
    }
  }

  /** Bytes [from, to) in one. */
  bytes(from = 0, to = this.size): Buffer {
    return Buffer.concat([...this.slices(from, to)]);
  }
}
