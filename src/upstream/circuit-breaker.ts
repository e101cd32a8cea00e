/** Keeps a registry that does not answer from costing every request its timeout. */

/** What became of one request. Exactly one of `failed` and `left` ends one that did not end with an answer. */
export interface Attempt {
  /** The registry gave an HTTP answer, whatever it says. */
  answered(): void;
  /** It could not be reached, or did not answer in time. @param error the same one, told twice, is one failure. */
  failed(error: unknown): void;
  /** Nobody waits for the answer any more: that says nothing of the registry. */
  left(): void;
}

const FAILURES = 3;
const FIRST_PAUSE = 2_000;
const LONGEST_PAUSE = 30_000;

/**
 * Opens after three failures in a row, for 2 s. Then one request may go and see; while it sees nothing, the pause doubles, to
 * 30 s at most. Any answer closes it.
 */
export class CircuitBreaker {
  #failures = 0;
  #lastFailure: unknown;
  /** Answers so far. A failure of what was asked before the latest of them is not the latest news. */
  #answers = 0;
  /** How long it is open, and until when; undefined while it is closed. */
  #open: { readonly pause: number; readonly until: number } | undefined;
  #probe: Attempt | undefined;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(private readonly now: () => number) {}

  get isOpen(): boolean {
    return this.#open !== undefined;
  }

  /** Milliseconds until a request may go; 0 when one may. While the probe is out, nobody knows: then a second. */
  get wait(): number {
    if (!this.#open) return 0;
    const left = this.#open.until - this.now();
    return left > 0 ? left : this.#probe ? 1_000 : 0;
  }

  /** Begins a request. One that begins while the breaker is open is the probe, unless it goes whatever `wait` says. */
  begin({ regardless = false }: { regardless?: boolean } = {}): Attempt {
    const before = this.#answers;
    const attempt: Attempt = {
      answered: () => this.#close(),
      failed: (error) => this.#fail(attempt, error, before),
      left: () => this.#free(attempt),
    };
    if (this.#open && !regardless) this.#probe = attempt;
    return attempt;
  }

  #close(): void {
    this.#answers += 1;
    this.#failures = 0;
    this.#open = undefined;
    this.#probe = undefined;
  }

  #fail(attempt: Attempt, error: unknown, before: number): void {
    if (this.#open) {
      if (this.#free(attempt)) this.#pauseFor(Math.min(this.#open.pause * 2, LONGEST_PAUSE));
      return;
    }
    if (error === this.#lastFailure || before !== this.#answers) return;
    this.#lastFailure = error;
    this.#failures += 1;
    if (this.#failures >= FAILURES) this.#pauseFor(FIRST_PAUSE);
  }

  /** @returns whether the attempt was the probe. */
  #free(attempt: Attempt): boolean {
    if (this.#probe !== attempt) return false;
    this.#probe = undefined;
    return true;
  }

  #pauseFor(pause: number): void {
    this.#open = { pause, until: this.now() + pause };
  }
}
