/** A soak in figures: what report.json holds, and what the page is drawn from. */
import { KINDS, type Kind } from './deeds';
import type { Finding } from './findings';
import { isRestart, type Trouble } from './plan';
import type { Soak } from './soak';
import type { Entry, Verdict } from './traffic';

/** Columns of the pictures. */
const STEPS = 120;

export interface Totals {
  readonly kind: Kind | 'all';
  readonly tried: number;
  readonly bytes: number;
  readonly verdicts: Readonly<Record<Verdict, number>>;
  /** Milliseconds, of those that succeeded. */
  readonly p50: number | null;
  readonly p99: number | null;
}

/** What happened in one step of time. */
export interface Step {
  /** Milliseconds since the beginning, at its middle. */
  readonly at: number;
  /** A second. */
  readonly deeds: number;
  readonly bytes: number;
  /** In that step. */
  readonly expected: number;
  readonly unexpected: number;
  /** Milliseconds of those that ended well in it: half of them, and all but one of a hundred, took no longer. */
  readonly latency: Readonly<Record<Kind, readonly [p50: number, p99: number] | null>>;
}

/** What the gate had at that moment. Bytes; life counts its processes. */
export interface Look {
  readonly at: number;
  readonly life: number;
  readonly memory: number;
  readonly descriptors: number;
  readonly held: number;
  readonly spooled: number;
}

export interface Felt extends Trouble {
  readonly isRestart: boolean;
  /** Deeds that failed, and were excused by it. */
  readonly failed: number;
}

export interface Summary {
  readonly begun: string;
  /** Milliseconds. */
  readonly lasted: number;
  readonly seed: number;
  readonly capacity: number;
  readonly rate: number;
  readonly cacheLimit: number;
  readonly step: number;
  readonly totals: readonly Totals[];
  readonly steps: readonly Step[];
  readonly looks: readonly Look[];
  readonly troubles: readonly Felt[];
  readonly findings: readonly Finding[];
  /** The first of what should not have happened. */
  readonly bad: readonly Entry[];
}

function quantile(sorted: readonly number[], share: number): number {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return Math.round(value * 10) / 10;
}

function latencyOf(entries: readonly Entry[]): [p50: number, p99: number] | null {
  const times = entries
    .filter(({ verdict }) => verdict === 'succeeded')
    .map(({ begun, ended }) => ended - begun)
    .sort((a, b) => a - b);
  return times.length === 0 ? null : [quantile(times, 0.5), quantile(times, 0.99)];
}

function count(entries: readonly Entry[], verdict: Verdict): number {
  return entries.filter((entry) => entry.verdict === verdict).length;
}

function bytesOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { bytes }) => sum + bytes, 0);
}

function totalsOf(kind: Kind | 'all', entries: readonly Entry[]): Totals {
  const [p50, p99] = latencyOf(entries) ?? [null, null];
  const verdicts = {
    succeeded: count(entries, 'succeeded'),
    expected: count(entries, 'expected'),
    unexpected: count(entries, 'unexpected'),
    lost: count(entries, 'lost'),
    wrong: count(entries, 'wrong'),
  };
  return { kind, tried: entries.length, bytes: bytesOf(entries), verdicts, p50, p99 };
}

function stepsOf(entries: readonly Entry[], step: number): Step[] {
  const columns: Entry[][] = Array.from({ length: STEPS }, () => []);
  for (const entry of entries)
    columns[Math.min(STEPS - 1, Math.floor(entry.ended / step))]?.push(entry);
  return columns.map((column, n) => ({
    at: (n + 0.5) * step,
    deeds: (column.length * 1_000) / step,
    bytes: (bytesOf(column) * 1_000) / step,
    expected: count(column, 'expected'),
    unexpected: column.length - count(column, 'expected') - count(column, 'succeeded'),
    latency: Object.fromEntries(
      KINDS.map((kind) => [kind, latencyOf(column.filter((entry) => entry.kind === kind))]),
    ) as Step['latency'],
  }));
}

function looksOf({ samples }: Soak): Look[] {
  let life = 0;
  return samples.map(({ at, pid, memory, descriptors, held, spooled }, n) => {
    const before = samples[n - 1];
    if (before && before.pid !== pid) life += 1;
    return { at: Math.round(at), life, memory, descriptors, held, spooled };
  });
}

export function summaryOf(soak: Soak): Summary {
  const { entries, lasted, options, troubles } = soak;
  const step = lasted / STEPS;
  const isBad = ({ verdict }: Entry) => verdict !== 'succeeded' && verdict !== 'expected';
  const failed = entries.filter(({ verdict }) => verdict === 'expected');
  return {
    begun: soak.begun.toISOString(),
    lasted,
    seed: options.seed,
    capacity: soak.capacity,
    rate: soak.rate,
    cacheLimit: options.size.cache,
    step,
    totals: [
      ...KINDS.map((kind) =>
        totalsOf(
          kind,
          entries.filter((entry) => entry.kind === kind),
        ),
      ),
      totalsOf('all', entries),
    ],
    steps: stepsOf(entries, step),
    looks: looksOf(soak),
    troubles: troubles.map((trouble) => ({
      ...trouble,
      isRestart: isRestart(trouble.kind),
      failed: failed.filter(({ begun, ended }) => begun < trouble.felt && trouble.from < ended)
        .length,
    })),
    findings: soak.findings,
    bad: entries.filter(isBad).slice(0, 200),
  };
}
