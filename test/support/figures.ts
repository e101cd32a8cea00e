/** Figures of the long runs, which `npm run test:chaos` gathers into one report. In other runs they cost nothing. */
import { appendFileSync } from 'node:fs';

/** True in the long runs, which take minutes and try the whole number of times. */
export const LONG = process.env['LONG_TESTS'] === '1';

/** How often a test that kills something does so: the long run's own number there, else a few. */
export function rounds(few: number): number {
  return LONG ? Number(process.env['CHAOS_ROUNDS'] ?? 200) : few;
}

export interface Figures {
  /** Kills, clients, requests: how many there were, how many of them ended as they must, and how many did not. */
  readonly tried?: number;
  readonly survived?: number;
  readonly lost?: number;
  /** All else, each with its unit in its name: `peakMiB`, `p99Ms`. */
  readonly [name: string]: number | string | undefined;
}

/**
 * Notes what was seen, before it is judged, so that the report has it of what failed, too. FIGURES_FILE gathers it, one
 * JSON document a line; SHOW_FIGURES=1 shows it at once.
 * @param row of the threat table: `F16`
 */
export function figure(row: string, what: string, figures: Figures): void {
  const line = `${JSON.stringify({ row, what, ...figures })}\n`;
  const file = process.env['FIGURES_FILE'];
  if (file) appendFileSync(file, line);
  if (process.env['SHOW_FIGURES']) process.stderr.write(line);
}

/** What was lost of what was tried, beside the rest that was counted. */
export function lossOf<T extends { readonly tried: number; readonly survived: number }>(seen: T) {
  const { tried, survived, ...more } = seen;
  return { tried, survived, lost: tried - survived, ...more };
}

/** The value below which that share of the numbers is, 0.99 for p99. */
export function quantile(numbers: readonly number[], share: number): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
