import { randomUUID } from 'node:crypto';
import { OciError } from '../../oci/oci-error';
import { JobProgress } from './job-progress';

export type JobKind = 'prefetch' | 'verify';
export type JobState = 'waiting' | 'running' | 'done' | 'failed' | 'cancelled';

/** What a job is to do. */
export interface Work {
  readonly kind: JobKind;
  /** What it was started with, to be shown: `image`, `platforms`. */
  readonly about: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Does it. To be given up, and rejected, when the signal comes. @throws JobFailure, OciError: their message is shown. */
  run(progress: JobProgress, signal: AbortSignal): Promise<void>;
}

/** Why a job failed, in words for whoever started it; no secret may stand in them. */
export class JobFailure extends Error {
  override readonly name = 'JobFailure';
}

/** One piece of work under way. */
export class Job {
  /** Random: whoever knows one knows no other. */
  readonly id = randomUUID();
  readonly createdAt: Date;
  readonly progress = new JobProgress();
  /** Resolves, and never rejects, when nothing works on it any more. */
  readonly finished: Promise<void>;
  readonly #ending = new AbortController();
  #finish!: () => void;
  #state: JobState = 'waiting';
  #working = false;
  #startedAt: Date | undefined;
  #endedAt: Date | undefined;
  #error: string | undefined;
  #cause: unknown;

  constructor(
    readonly work: Work,
    private readonly now: () => number = Date.now,
  ) {
    this.createdAt = new Date(now());
    this.finished = new Promise((resolve) => (this.#finish = resolve));
  }

  get kind(): JobKind {
    return this.work.kind;
  }

  get state(): JobState {
    return this.#state;
  }

  get ended(): boolean {
    return this.#endedAt !== undefined;
  }

  /** True until its work has let go of everything, which takes a moment longer than to cancel it. */
  get working(): boolean {
    return this.#working;
  }

  get startedAt(): Date | undefined {
    return this.#startedAt;
  }

  get endedAt(): Date | undefined {
    return this.#endedAt;
  }

  /** Why it failed, for people. */
  get error(): string | undefined {
    return this.#error;
  }

  /** What went wrong within the gate itself; for its log alone. */
  get cause(): unknown {
    return this.#cause;
  }

  /** Does the work, once. Never rejects. */
  async run(): Promise<void> {
    if (this.#state !== 'waiting') return;
    this.#state = 'running';
    this.#startedAt = new Date(this.now());
    this.#working = true;
    try {
      await this.work.run(this.progress, this.#ending.signal);
      this.#end('done');
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#working = false;
      this.#finish();
    }
  }

  /** Without effect on one that has ended. */
  cancel(): void {
    const waiting = this.#state === 'waiting';
    this.#end('cancelled');
    this.#ending.abort();
    if (waiting) this.#finish();
  }

  #fail(error: unknown): void {
    if (this.ended) return;
    const told = error instanceof OciError || error instanceof JobFailure;
    this.#error = told ? error.message : 'the gate failed; its log says more';
    if (!told) this.#cause = error;
    this.#end('failed');
  }

  #end(state: JobState): void {
    if (this.ended) return;
    this.#state = state;
    this.#endedAt = new Date(this.now());
  }
}
