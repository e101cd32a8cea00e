/** The progress of a prefetch, as a line that is drawn again and again on a terminal, or as lines now and then elsewhere. */
import type { PrefetchJob } from './gate-client';

const BAR = 24;
/** How often a line is written where nothing can be drawn again, in milliseconds. */
const QUIET = 5_000;

/** What is written on; stdout. */
export interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

export class ProgressLine {
  #writtenAt = -Infinity;
  #written = '';
  #open = false;

  constructor(
    private readonly screen: Screen,
    private readonly now: () => number = () => performance.now(),
  ) {}

  show(job: PrefetchJob): void {
    if (this.screen.isTTY) {
      // The last column is left free: a full line would break, and could not be drawn over. Some terminals have no width.
      const line = drawn(job).slice(0, Math.max(10, (this.screen.columns || 80) - 1));
      this.screen.write(`\r\u001b[2K${line}`);
      this.#open = true;
      return;
    }
    const line = told(job);
    if (this.now() - this.#writtenAt < QUIET || line === this.#written) return;
    this.#writtenAt = this.now();
    this.#written = line;
    this.screen.write(`${line}\n`);
  }

  /** Lets what was drawn last stand, and goes on below it. */
  end(): void {
    if (this.#open) this.screen.write('\n');
    this.#open = false;
  }
}

function drawn(job: PrefetchJob): string {
  const { done, total } = job.bytes;
  const filled = total > 0 ? Math.floor(BAR * Math.min(1, done / total)) : 0;
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${told(job)}`;
}

function told({ state, bytes, layers, rate, secondsLeft }: PrefetchJob): string {
  if (state === 'waiting') return 'waiting for other jobs';
  if (layers.total === 0) return 'reading manifests';
  const share = bytes.total > 0 ? Math.floor((100 * bytes.done) / bytes.total) : 100;
  const parts = [
    `${Math.min(100, share)} %`,
    `${size(bytes.done)} of ${size(bytes.total)}`,
    `${layers.done}/${layers.total} layers`,
  ];
  if (state === 'running' && rate > 0) parts.push(`${size(rate)}/s`);
  if (state === 'running' && secondsLeft !== undefined) parts.push(`${duration(secondsLeft)} left`);
  return parts.join(', ');
}

/** Decimal units, as registries and `docker images` have them. */
export function size(bytes: number): string {
  let value = bytes;
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (value < 999.5) return `${unit === 'B' ? value : value.toFixed(1)} ${unit}`;
    value /= 1000;
  }
  return `${value.toFixed(1)} TB`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
