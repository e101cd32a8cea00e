/** How much may be held: within CACHE_MAX_SIZE, leaving CACHE_MIN_FREE on the disk, and nothing older than CACHE_MAX_AGE. */
import type { CacheSettings } from '../../config/settings';
import type { Log } from '../../journal/log';
import type { ContentIndex } from '../index/content-index';
import type { ContentStore } from '../store/content-store';
import { Eviction } from './eviction';
import { codeOfFull, probe } from './full-disk';
import { Reservations } from './reservations';
import { Limits } from './limits';
import type { Spools } from '../store/spool';

/** In milliseconds: between two looks at size and age, and between two attempts to write to a full disk. */
export interface Pace {
  readonly check: number;
  readonly probe: number;
}

const PACE: Pace = { check: 30_000, probe: 5000 };
/** A download waits no longer for room, in milliseconds: it goes on uncached. */
const PATIENCE = 2000;
/** Readers keep the bytes of what was evicted until they end: what went may not show at once. */
const ROUNDS = 2;
/** What goes at a time where bytes are free and still nothing can be written, as with a quota. */
const STEP = 64 * 1024 * 1024;
/** What fails is told again after so many milliseconds. */
const QUIET = 60_000;

/** Nothing can be written (with the reason); or there is less free than is to be left, by others' doing. */
type Fault = { readonly full: string } | 'crowded';

/**
 * Nothing here fails its callers: what goes wrong is logged, and the answer is not to store. One eviction runs at a time.
 */
export class Capacity {
  readonly #limits: Limits;
  readonly #eviction: Eviction;
  readonly #reservations = new Reservations();
  readonly #maxAge: number | undefined;
  readonly #background = new Map<() => Promise<void>, Promise<void>>();
  #fault: Fault | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #checkTimer: NodeJS.Timeout | undefined;
  #probeTimer: NodeJS.Timeout | undefined;
  #quietUntil = -Infinity;
  #stopped = false;

  constructor(
    settings: Pick<CacheSettings, 'maxSize' | 'minFree' | 'maxAge'>,
    private readonly store: ContentStore & Spools,
    index: ContentIndex,
    private readonly log: Log,
    private readonly pace: Pace = PACE,
  ) {
    this.#maxAge = settings.maxAge;
    this.#limits = new Limits(settings, store, index);
    this.#eviction = new Eviction(store, index, (error) => this.#complain(error));
  }

  /** False while the disk is full. */
  get storing(): boolean {
    return this.#fault === undefined || this.#fault === 'crowded';
  }

  /** What is wrong, and the remedy; for operators. */
  get fault(): string | undefined {
    if (this.#fault === undefined) return undefined;
    return this.#fault === 'crowded'
      ? "the cache's disk has less free than CACHE_MIN_FREE, though nothing is held: free some room or lower CACHE_MIN_FREE; pulls go on uncached"
      : `the cache's disk is full (${this.#fault.full}): free some room or lower CACHE_MAX_SIZE; pulls go on uncached`;
  }

  /** Whether content of that size could be held at all, as far as is known at once. */
  mayHold(bytes: number): boolean {
    return this.#fault === undefined && bytes <= (this.#limits.most ?? Infinity);
  }

  /** Contents evicted since the start. */
  get evicted(): number {
    return this.#eviction.contents;
  }

  /**
   * Makes room for so many bytes more, at the cost of what is coldest, and promises it to the caller.
   * @returns false where they would not fit, or not soon: they are not to be stored.
   */
  async makeRoom(bytes: number): Promise<boolean> {
    if (!Number.isFinite(bytes) || bytes < 0) return false;
    const deadline = performance.now() + PATIENCE;
    try {
      if ((await this.#reserve(bytes, 'known')) <= 0) return true;
      const made = await this.#inTurn(() => this.#evictFor(bytes, deadline));
      // Others may have filled the disk: operators are told now, not at the next look.
      if (!made) this.#run(this.#check);
      return made;
    } catch (error) {
      this.#complain(error);
      return false;
    }
  }

  /** So many bytes of what {@link makeRoom} promised will not be stored after all. Without it they count for ten minutes. */
  giveBack(bytes: number): void {
    this.#reservations.giveBack(bytes);
  }

  /**
   * A write failed for want of room: nothing is stored any more, until something can be written again. Other errors are not
   * for here, and without effect.
   */
  noteFull(error: unknown): void {
    const full = codeOfFull(error);
    if (full === undefined || !this.storing || this.#stopped) return;
    this.#fault = { full };
    this.log.warn({ code: full }, this.fault);
    this.#probeTimer = setInterval(() => this.#run(this.#probe), this.pace.probe).unref();
    this.#run(this.#clearDisk);
  }

  /** Looks after size and age, from now on. */
  start(): void {
    this.#checkTimer = setInterval(() => this.#run(this.#check), this.pace.check).unref();
    this.#run(this.#check);
  }

  /** Resolves when nothing is being evicted any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#checkTimer);
    clearInterval(this.#probeTimer);
    await Promise.all(this.#background.values());
    await this.#queue;
  }

  /** Promises the bytes where they fit. @returns the bytes that have to go before they do, as {@link Limits.lack}. */
  async #reserve(bytes: number, disk: 'known' | 'now'): Promise<number> {
    const [held, space] = await Promise.all([
      this.#limits.held(),
      disk === 'now' ? this.#limits.diskNow() : this.#limits.disk(),
    ]);
    // What this evicted had been held: the sum grows by what is stored alone.
    this.#reservations.noteStored(held + this.#eviction.bytes);
    if (this.#stopped || !this.storing) return Infinity;
    // From here to the promise nothing else can run: two callers never get the same room.
    const lack = this.#limits.lack(this.#reservations.total + bytes, held, space);
    if (lack <= 0) this.#reservations.add(bytes);
    return lack <= held ? lack : Infinity;
  }

  async #evictFor(bytes: number, deadline: number): Promise<boolean> {
    for (let round = 0; ; round += 1) {
      let lack = await this.#reserve(bytes, 'now');
      if (lack <= 0) return true;
      if (lack === Infinity || round === ROUNDS) return false;
      while (lack > 0) {
        if (performance.now() > deadline || this.#stopped) return false;
        const gone = await this.#eviction.coldest(lack);
        if (gone.contents === 0) return false;
        lack -= gone.bytes;
      }
    }
  }

  readonly #check = async (): Promise<void> => {
    this.#eviction.retry();
    try {
      if (this.#maxAge !== undefined) await this.#evict(Infinity, Date.now() - this.#maxAge);
      const [held, disk] = await Promise.all([this.#limits.held(), this.#limits.diskNow()]);
      await this.#evict(this.#limits.lack(0, held, disk));
      await this.#noteCrowd();
    } catch (error) {
      this.#complain(error);
      // The index may only be unreadable because the disk is full to the brim.
      await this.#clearDisk();
    }
  };

  async #noteCrowd(): Promise<void> {
    if (!this.storing) return;
    const lack = this.#limits.lackOnDisk(0, await this.#limits.diskNow());
    const isCrowded = lack > 0 && (await this.#limits.held()) === 0;
    if (isCrowded === (this.#fault === 'crowded') || !this.storing) return;
    this.#fault = isCrowded ? 'crowded' : undefined;
    if (isCrowded) this.log.warn(this.fault);
    else this.log.info("the cache's disk has room again");
  }

  /** Makes the room that a disk must have before anything is stored there again. */
  readonly #clearDisk = async (): Promise<void> => {
    const disk = await this.#limits.diskNow();
    const lack = this.#limits.lackOnDisk(this.#limits.margin(disk), disk);
    if (lack <= 0) return;
    try {
      await this.#evict(lack);
    } catch (error) {
      this.#complain(error);
      await this.#inTurn(() => this.#eviction.any(lack));
    }
  };

  readonly #probe = async (): Promise<void> => {
    await this.#clearDisk();
    const disk = await this.#limits.diskNow();
    if (this.#limits.lackOnDisk(this.#limits.margin(disk), disk) > 0) return;
    try {
      await probe(this.store);
    } catch (error) {
      if (codeOfFull(error) === undefined) throw error;
      return this.#evict(STEP);
    }
    clearInterval(this.#probeTimer);
    if (this.#stopped) return;
    this.#fault = undefined;
    this.log.info("the cache's disk has room again: what is pulled is held again");
  };

  /** Evicts so many bytes, or all that was last used before that time; others get their turn in between. */
  async #evict(bytes: number, before?: number): Promise<void> {
    for (let lack = bytes; lack > 0 && !this.#stopped;) {
      const rest = lack;
      const gone = await this.#inTurn(() => this.#eviction.coldest(rest, before));
      if (gone.contents === 0) return;
      lack -= gone.bytes;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => undefined);
    return done;
  }

  /** Runs it unless it is running still. */
  #run(work: () => Promise<void>): void {
    if (this.#stopped || this.#background.has(work)) return;
    const done = work()
      .catch((error: unknown) => this.#complain(error))
      .finally(() => this.#background.delete(work));
    this.#background.set(work, done);
  }

  #complain(error: unknown): void {
    if (performance.now() < this.#quietUntil) return;
    this.#quietUntil = performance.now() + QUIET;
    this.log.warn({ err: error }, 'the cache cannot look after its size; it is tried again');
  }
}
