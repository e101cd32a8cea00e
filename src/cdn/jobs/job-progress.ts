/** How far a job is, and how fast it goes. */

/** Something that went wrong with one part of a job, while the rest went on. */
export interface JobFault {
  /** A digest, as a rule. */
  readonly what: string;
  /** For people; no secret. */
  readonly message: string;
}

/** Over how much of the past the rate is taken, and how often it is sampled. In milliseconds. */
const WINDOW = 10_000;
const SAMPLE = 500;
/** More are of no more help, and are only counted. */
const MAX_TOLD = 100;

/** Counts what a job has done. Sizes are in bytes. */
export class JobProgress {
  /** Layers of an image, or contents of the store. */
  readonly items = { done: 0, total: 0 };
  readonly bytes = {
    done: 0,
    total: 0,
    /** Of those done: what was held before the job came. */
    held: 0,
  };
  /** Of those done: what was not what its digest says. */
  damaged = 0;
  readonly faults: JobFault[] = [];
  readonly notes: string[] = [];
  faultCount = 0;
  readonly #samples: { readonly at: number; readonly moved: number }[] = [];
  #moved = 0;

  /** @param now a clock in milliseconds that never goes back. */
  constructor(private readonly now: () => number = () => performance.now()) {
    this.#samples.push({ at: this.now(), moved: 0 });
  }

  /** So many more bytes are done; with `held` they cost nothing, and count for no rate. */
  advance(bytes: number, held = false): void {
    this.bytes.done += bytes;
    if (held) this.bytes.held += bytes;
    else this.#moved += bytes;
    const at = this.now();
    const last = this.#samples.at(-1);
    if (!last || at - last.at >= SAMPLE) this.#samples.push({ at, moved: this.#moved });
    // One that is older than the window stays: the rate begins there.
    while ((this.#samples[1]?.at ?? at) <= at - WINDOW) this.#samples.shift();
  }

  fault(what: string, message: string): void {
    this.faultCount += 1;
    if (this.faults.length < MAX_TOLD) this.faults.push({ what, message });
  }

  note(text: string): void {
    if (this.notes.length < MAX_TOLD) this.notes.push(text);
  }

  /** Bytes per second of late. */
  get rate(): number {
    const now = this.now();
    const from = this.#samples.findLast(({ at }) => at <= now - WINDOW) ?? this.#samples[0];
    const seconds = (now - (from?.at ?? now)) / 1000;
    return seconds > 0 ? Math.round((this.#moved - (from?.moved ?? 0)) / seconds) : 0;
  }

  /** What is left at that rate; undefined where nothing moves. */
  get secondsLeft(): number | undefined {
    const left = Math.max(0, this.bytes.total - this.bytes.done);
    const { rate } = this;
    return rate > 0 ? Math.ceil(left / rate) : undefined;
  }
}
