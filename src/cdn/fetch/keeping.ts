import type { Log } from '../../journal/log';
import type { Digest } from '../../oci/digest';
import type { ContentStore } from '../store/content-store';
import type { ReadBuffers } from '../body/read-buffers';
import type { Spool, Spools } from '../store/spool';
import type { SpooledBytes, SpoolRoom } from './spooled-bytes';

/** Who says whether content may be held, and is told when the disk says no. */
export interface Room {
  /** False while nothing is to be written. */
  readonly storing: boolean;
  /** Makes room for that many more bytes. False: they would not fit, and are not to be held. */
  makeRoom(bytes: number): Promise<boolean>;
  /** So many bytes of what was made room for will not be written after all. */
  giveBack(bytes: number): void;
  /** A write failed; counts where it was for want of room. */
  noteFull(error: unknown): void;
}

/**
 * Called with the size when verified content is in the store, before it can be fetched again.
 * @returns false where it was held before.
 */
export type Settle = (size: number) => Promise<boolean>;

/** What a fetch works with. */
export interface DownloadTools {
  readonly spools: Spools;
  readonly store: ContentStore;
  readonly capacity: Room;
  readonly buffers: ReadBuffers;
  readonly log: Log;
  /** Milliseconds before each attempt to go on after the upstream broke off; the usual ones without it. */
  readonly pauses?: readonly number[];
}

/** Room for content of unknown length is asked for in steps: the first of so many bytes, each as large as what there is. */
const FIRST_STEP = 256 * 1024;
const LAST_STEP = 16 * 1024 * 1024;

/** There is room for other content, or none at all: no fault, and said elsewhere. */
class NoRoom extends Error {}

/** How what is fetched comes to be held, as far as there is room. A failure costs a later hit, and nobody's pull. */
export class Keeping implements SpoolRoom {
  #reserved = 0;

  /** @param total bytes that are announced, asked when the spool is made. */
  constructor(
    private readonly digest: Digest,
    private readonly tools: DownloadTools,
    private readonly total: () => number | undefined,
  ) {}

  async create(): Promise<Spool> {
    const { capacity, spools } = this.tools;
    if (!capacity.storing) throw new NoRoom();
    await this.#take(this.total() ?? 0);
    return spools.create();
  }

  async reserve(size: number): Promise<void> {
    while (size > this.#reserved) {
      await this.#take(Math.min(LAST_STEP, Math.max(FIRST_STEP, this.#reserved)));
    }
  }

  /**
   * Puts what was verified into the store.
   * @param settle awaited when it is there; says whether it is new there.
   * @returns whether all went well; if not, the spool is removed.
   */
  async keep(bytes: SpooledBytes, settle: Settle): Promise<boolean> {
    try {
      await this.tools.store.put(this.digest, await bytes.whole());
      const isNew = await settle(bytes.received).catch(async (error: unknown) => {
        // Nobody could find it, and nobody would count it.
        await this.tools.store.delete(this.digest).catch(() => false);
        throw error;
      });
      // Fetched from another registry meanwhile, it takes the place of the same bytes: its promise is not needed.
      this.#giveBack(isNew ? this.#reserved - bytes.received : this.#reserved);
      return true;
    } catch (error) {
      this.noteNotKept(error);
      await this.discard(bytes);
      return false;
    }
  }

  async discard(bytes: SpooledBytes): Promise<void> {
    // What cannot be removed now is swept at the next start.
    await bytes.discard().catch(() => undefined);
    // Only now: a write that was under way asks for room as it goes on.
    this.#giveBack(this.#reserved);
  }

  #giveBack(bytes: number): void {
    this.#reserved -= bytes;
    if (bytes > 0) this.tools.capacity.giveBack(bytes);
  }

  async #take(bytes: number): Promise<void> {
    if (!(await this.tools.capacity.makeRoom(bytes))) throw new NoRoom();
    this.#reserved += bytes;
  }

  noteNotKept(error: unknown): void {
    if (error instanceof NoRoom) return;
    this.tools.capacity.noteFull(error);
    this.tools.log.warn({ digest: this.digest, err: error }, 'what was fetched cannot be held');
  }
}
