/** Deeds at a steady rate: each begins when its time has come, whether those before it have ended or not. */
import { setTimeout as pause } from 'node:timers/promises';
import { KINDS, perform, type Done, type Kind } from './deeds';
import { excused, type Trouble } from './plan';
import type { Stand } from './stand';

/** Of a hundred deeds. */
export const SHARES: Readonly<Record<Kind, number>> = {
  'popular pull': 44,
  'rare pull': 18,
  push: 6,
  login: 14,
  account: 4,
  check: 14,
};

/** At most that many of one kind at once; the next ones wait, and their wait counts. */
const AT_ONCE = 200;

export type Verdict = 'succeeded' | 'expected' | 'unexpected' | 'lost' | 'wrong';

/** A deed that has ended. Times are milliseconds since the traffic began. */
export interface Entry {
  readonly kind: Kind;
  readonly begun: number;
  readonly ended: number;
  readonly bytes: number;
  readonly verdict: Verdict;
  /** Which trouble excused it, or what went wrong. */
  readonly why?: string;
}

/** How many deeds in a second go through when eight are always under way. */
export async function calibrate(stand: Stand, milliseconds: number): Promise<number> {
  const began = performance.now();
  const bag = KINDS.flatMap((kind) => Array.from({ length: SHARES[kind] }, () => kind));
  let count = 0;
  const client = async () => {
    while (performance.now() - began < milliseconds) {
      const done = await perform(stand.random.of(bag), stand);
      const isBad = done.lost ?? done.wrong ?? done.fault;
      if (isBad !== undefined) throw new Error(`with no trouble at all: ${done.at ?? isBad}`);
      count += 1;
    }
  };
  await Promise.all(Array.from({ length: 8 }, client));
  return (count * 1_000) / (performance.now() - began);
}

export class Traffic {
  readonly entries: Entry[] = [];
  readonly #began = performance.now();
  readonly #running = new Set<Promise<void>>();
  readonly #counts = new Map<Kind, number>();

  constructor(
    private readonly stand: Stand,
    private readonly troubles: readonly Trouble[],
  ) {}

  /** Milliseconds since it began. */
  get now(): number {
    return performance.now() - this.#began;
  }

  get underWay(): number {
    return this.#running.size;
  }

  /** @param rate deeds a second. */
  async run(rate: number, until: number): Promise<void> {
    await Promise.all(KINDS.map((kind) => this.#steady(kind, (rate * SHARES[kind]) / 100, until)));
    await Promise.all(this.#running);
  }

  async #steady(kind: Kind, rate: number, until: number): Promise<void> {
    const between = 1_000 / rate;
    for (let due = between * this.stand.random.fraction(); due < until; due += between) {
      if (due > this.now) await pause(due - this.now);
      while ((this.#counts.get(kind) ?? 0) >= AT_ONCE) await Promise.race(this.#running);
      const deed: Promise<void> = this.#one(kind, due).finally(() => this.#running.delete(deed));
      this.#running.add(deed);
    }
  }

  async #one(kind: Kind, due: number): Promise<void> {
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + 1);
    const begun = this.now;
    const done = await perform(kind, this.stand);
    this.#counts.set(kind, (this.#counts.get(kind) ?? 0) - 1);
    const ended = this.now;
    const times = { kind, begun: Math.min(due, begun), ended, bytes: done.bytes };
    this.entries.push({ ...times, ...this.#judge(done, begun, ended) });
  }

  #judge(done: Done, begun: number, ended: number): Pick<Entry, 'verdict' | 'why'> {
    if (done.wrong !== undefined) return { verdict: 'wrong', why: done.wrong };
    if (done.lost !== undefined) return { verdict: 'lost', why: done.lost };
    if (done.fault === undefined) return { verdict: 'succeeded' };
    const then = this.troubles.filter(({ from, felt }) => begun < felt && from < ended);
    const kinds = [...new Set(then.map(({ kind }) => kind))].join(', ');
    if (excused(done, then, done.held === true)) return { verdict: 'expected', why: kinds };
    const during = kinds ? ` during ${kinds}` : '';
    return { verdict: 'unexpected', why: `${done.fault} ${done.at ?? ''}${during}` };
  }
}
