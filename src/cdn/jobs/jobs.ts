/** Work that an operator starts and looks after: how far it is, how it ended, and its cancelling. */
import type { Log } from '../../journal/log';
import { OciError } from '../../oci/oci-error';
import { Job, type Work } from './job';

const MAX_RUNNING = 4;
const MAX_WAITING = 100;
const MAX_FINISHED = 100;
/** How long a finished job is told of, in milliseconds. */
const KEPT = 60 * 60_000;

/** Jobs of this process, in memory: they end with it. */
export class Jobs {
  /** In the order in which they were started. */
  readonly #jobs = new Map<string, Job>();
  #closed = false;

  constructor(
    private readonly log: Log,
    private readonly now: () => number = Date.now,
  ) {}

  /** Starts the work, or lets it wait for its turn. @throws OciError TOOMANYREQUESTS, UNAVAILABLE while the gate ends. */
  start(work: Work): Job {
    if (this.#closed) throw new OciError('UNAVAILABLE', { message: 'the gate is ending' });
    this.#forgetOld();
    if (this.#in('waiting').length >= MAX_WAITING) {
      throw new OciError('TOOMANYREQUESTS', {
        message: `${MAX_WAITING} jobs are waiting already; wait for some to end, or cancel them`,
        headers: { 'Retry-After': 30 },
      });
    }
    const job = new Job(work, this.now);
    this.#jobs.set(job.id, job);
    this.log.info({ job: job.id, kind: job.kind, ...work.about }, 'a job was started');
    this.#next();
    return job;
  }

  get(id: string): Job | undefined {
    this.#forgetOld();
    return this.#jobs.get(id);
  }

  /** All that are known, the newest first. */
  get all(): readonly Job[] {
    this.#forgetOld();
    return [...this.#jobs.values()].reverse();
  }

  /** One of that kind that has not ended yet. */
  unfinished(kind: Job['kind']): Job | undefined {
    return [...this.#jobs.values()].find((job) => job.kind === kind && !job.ended);
  }

  /** Cancels all, and resolves once none works any more. No job can be started then. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const job of this.#jobs.values()) job.cancel();
    await Promise.all([...this.#jobs.values()].map(({ finished }) => finished));
  }

  /** A cancelled job keeps its place until its work has let go of everything. */
  #next(): void {
    for (const job of this.#in('waiting')) {
      if ([...this.#jobs.values()].filter(({ working }) => working).length >= MAX_RUNNING) return;
      job.run().then(
        () => this.#ended(job),
        (error: unknown) => this.log.error({ err: error, job: job.id }, 'a job could not be ended'),
      );
    }
  }

  #ended(job: Job): void {
    const { id, kind, state, cause } = job;
    if (cause !== undefined) this.log.error({ err: cause, job: id, kind }, 'a job failed');
    else this.log.info({ job: id, kind, state, error: job.error }, 'a job ended');
    this.#next();
  }

  #in(state: Job['state']): Job[] {
    return [...this.#jobs.values()].filter((job) => job.state === state);
  }

  #forgetOld(): void {
    const finished = [...this.#jobs.values()].filter(({ ended, working }) => ended && !working);
    const tooMany = finished.length - MAX_FINISHED;
    finished.forEach((job, index) => {
      const age = this.now() - (job.endedAt?.getTime() ?? 0);
      if (index < tooMany || age > KEPT) this.#jobs.delete(job.id);
    });
  }
}
