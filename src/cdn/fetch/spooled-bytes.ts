import type { Outlet } from '../body/outlet';
import type { ReadBuffers } from '../body/read-buffers';
import type { Spool } from '../store/spool';

/** Where a content that is being received may be written. */
export interface SpoolRoom {
  /** Makes the spool. @throws where there is none to be had. */
  create(): Promise<Spool>;
  /** Awaited before each write, with the bytes that will then be written. @throws where there is no room for them. */
  reserve(size: number): Promise<void>;
}

const KIB = 1024;
/** What may wait for the disk before the upstream has to. */
const MOST_UNWRITTEN = 1024 * KIB;
/** What is kept in memory though it is written: readers who keep up need no file. */
const RECENT = 512 * KIB;

/** In one place, so that a reader who lags takes much at a time; little where many read, as a stalled one keeps its piece. */
const LARGEST_PIECE = 512 * KIB;
const SMALLEST_PIECE = 64 * KIB;
const ALL_PIECES = 48 * 1024 * KIB;

/** Bytes in one place; the newest one has room for more. */
interface Piece {
  readonly from: number;
  readonly room: Buffer;
  length: number;
  /** Readers whose client is being sent some of it. */
  users: number;
}

/** Rooms that wait to be used again: to get one anew from the system costs more than to fill it. */
const MOST_SPARE = 4;

/**
 * What was received of one content so far: the newest part in memory, the rest in a spool that is written behind, one write
 * at a time. All of it can be read at any time, whether or not the writing fails.
 */
export class SpooledBytes {
  /** In memory, without gaps; the last one ends where the received bytes do. */
  readonly #pieces: Piece[] = [];
  readonly #spare: Buffer[] = [];
  #received = 0;
  #written = 0;
  #spool: Spool | undefined;
  #writing: Promise<void> | undefined;
  #failure: unknown;
  #relieve: (() => void) | undefined;

  /** @param readers how many read along. */
  constructor(
    private readonly room: SpoolRoom,
    private readonly readers: () => number,
  ) {}

  get received(): number {
    return this.#received;
  }

  /** Why the spool does not, and will not, hold everything. */
  get failure(): unknown {
    return this.#failure;
  }

  /** Makes the spool, in the background. */
  start(): void {
    this.#writing ??= this.#write();
  }

  /** Takes a copy of the next bytes, which can be read from here on. Many small chunks of the upstream's become one piece. */
  push(bytes: Buffer): void {
    for (let taken = 0; taken < bytes.length;) {
      const piece = this.#roomFor(bytes.length - taken);
      const copied = bytes.copy(piece.room, piece.length, taken);
      piece.length += copied;
      taken += copied;
      this.#received += copied;
    }
    if (this.#failure === undefined) this.start();
  }

  /** Resolves when more may come: at once, unless the disk is far behind. */
  async relief(): Promise<void> {
    while (this.#writing && this.#isFarBehind()) {
      await new Promise<void>((resolve) => {
        this.#relieve = resolve;
      });
    }
  }

  /** The spool with everything in it. @throws what kept it from being written. */
  async whole(): Promise<Spool> {
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
    if (!this.#spool) throw new Error('a spool was never begun');
    // All of it can be read from the spool now: who reads slowly, or not at all, keeps no memory.
    this.#pieces.length = 0;
    this.#spare.length = 0;
    return this.#spool;
  }

  /** The newest bytes from that position on, which lie within the last piece. */
  newest(position: number): Buffer {
    const last = this.#pieces.at(-1);
    return last
      ? last.room.subarray(Math.max(0, position - last.from), last.length)
      : Buffer.alloc(0);
  }

  /**
   * Sends bytes from that position on, as many as there are in one place and none behind `end`.
   * @returns how many.
   */
  async send(outlet: Outlet, position: number, end: number, buffers: ReadBuffers): Promise<number> {
    const piece = this.#pieces.findLast(({ from }) => from <= position);
    if (piece) {
      const bytes = piece.room.subarray(
        position - piece.from,
        Math.min(piece.length, end - piece.from),
      );
      piece.users += 1;
      // A write that fails may still be under way: then nobody says when it is over, and the room is not used again.
      await outlet.write(bytes);
      piece.users -= 1;
      return bytes.length;
    }
    const most = Math.min(end, this.#written) - position;
    const buffer = await buffers.filled(most, async (into) => {
      const length = (await this.#spool?.read(into, position)) ?? 0;
      if (length === 0) throw new Error('a spool is shorter than what was written to it');
      return length;
    });
    await outlet.write(buffer.bytes, buffer);
    return buffer.bytes.length;
  }

  /** Removes the spool from where it lies. What was received can still be read. */
  async discard(): Promise<void> {
    await this.#writing;
    await this.#spool?.discard();
  }

  /** To be called once, when nobody reads any more. */
  async release(): Promise<void> {
    await this.#writing;
    this.#spool?.release();
    this.#spool = undefined;
    this.#pieces.length = 0;
    this.#spare.length = 0;
  }

  #isFarBehind(): boolean {
    return this.#received - this.#written > MOST_UNWRITTEN;
  }

  async #write(): Promise<void> {
    try {
      this.#spool ??= await this.room.create();
      while (this.#written < this.#received) {
        const size = this.#received;
        const batch = this.#unwritten();
        await this.room.reserve(size);
        await this.#spool.append(batch);
        this.#written = size;
        this.#forgetOld();
        this.#relieve?.();
      }
    } catch (error) {
      this.#failure = error;
    } finally {
      this.#writing = undefined;
      this.#relieve?.();
    }
  }

  /** The newest piece, where it has room; else a new one. */
  #roomFor(bytes: number): Piece {
    const last = this.#pieces.at(-1);
    if (last && last.length < last.room.length) return last;
    const share = Math.min(LARGEST_PIECE, ALL_PIECES / Math.max(1, this.readers()));
    // The first of small content is as small.
    const size = this.#received === 0 ? Math.min(bytes, share) : Math.max(SMALLEST_PIECE, share);
    const spare = this.#spare.pop();
    const room = spare && spare.length >= size ? spare : Buffer.allocUnsafeSlow(Math.ceil(size));
    const piece = { from: this.#received, room, length: 0, users: 0 };
    this.#pieces.push(piece);
    return piece;
  }

  #unwritten(): Buffer[] {
    return this.#pieces
      .filter(({ from, length }) => from + length > this.#written)
      .map(({ from, room, length }) => room.subarray(Math.max(0, this.#written - from), length));
  }

  /** Of what is written, only the newest stays in memory. */
  #forgetOld(): void {
    const old = (piece: Piece | undefined) =>
      piece !== undefined &&
      piece.from + piece.length <= this.#written &&
      this.#received - (piece.from + piece.length) >= RECENT;
    // The last one stays in any case: its last byte may have to be withheld.
    while (this.#pieces.length > 1 && old(this.#pieces[0])) {
      const gone = this.#pieces.shift();
      if (gone?.users === 0 && this.#spare.length < MOST_SPARE) this.#spare.push(gone.room);
    }
  }
}
