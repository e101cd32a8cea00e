/** A soak from its beginning to its end: what happened, and what has to be true of it. */
import { setTimeout as pause } from 'node:timers/promises';
import { descriptors } from '../support/cache-folder';
import { MIB } from '../support/images';
import {
  ofDescriptors,
  ofDisk,
  ofIndex,
  ofLedger,
  ofLog,
  ofMemory,
  ofTraffic,
  ofUpstream,
  type Finding,
} from './findings';
import { afterpains, isRestart, planOf, type Restart, type Trouble } from './plan';
import { Random } from './random';
import { fill, openStand, type Size, type Stand } from './stand';
import { pulled } from './deeds';
import { calibrate, Traffic, type Entry } from './traffic';
import { sample, type Sample } from './watch';

export interface Options {
  readonly minutes: number;
  readonly restarts: readonly Restart[];
  readonly size: Size;
  readonly seed: number;
  /** Told from time to time. */
  readonly say: (text: string) => void;
}

export interface Soak {
  readonly options: Options;
  readonly begun: Date;
  /** Milliseconds of traffic. */
  readonly lasted: number;
  /** Deeds a second: what went through at most, and what was asked for. */
  readonly capacity: number;
  readonly rate: number;
  readonly entries: readonly Entry[];
  readonly samples: readonly Sample[];
  readonly troubles: readonly Trouble[];
  readonly findings: readonly Finding[];
}

export const LONG: Size = { popular: 8, rare: 120, layer: 256 * 1024, cache: 32 * MIB };
export const SHORT: Size = { popular: 3, rare: 24, layer: 24 * 1024, cache: MIB };

export async function soak(options: Options): Promise<Soak> {
  const { minutes, restarts, size, seed, say } = options;
  const total = minutes * 60_000;
  const stand = await openStand(size, new Random(seed));
  await fill(stand);
  await warm(stand);
  const idle = descriptors(stand.gate).all;
  const capacity = await calibrate(stand, Math.min(20_000, Math.max(3_000, total / 20)));
  const rate = Math.max(4, capacity / 2);
  say(`${capacity.toFixed(0)} deeds a second go through; ${rate.toFixed(0)} are asked for`);

  const begun = new Date();
  const troubles = planOf(total, restarts);
  const traffic = new Traffic(stand, troubles);
  const samples: Sample[] = [];
  const codes: string[] = [];
  const over = new AbortController();
  const beside = Promise.all([
    watch(stand, traffic, { samples, every: Math.max(1_000, total / 1_800), over: over.signal }),
    trouble(stand, traffic, { troubles, codes, say, over: over.signal }),
    tell(stand, traffic, { say, over: over.signal }),
  ]);
  await traffic.run(rate, total);
  over.abort();
  await beside;
  const lasted = traffic.now;

  say('the traffic is over; looking at everything once more');
  const findings = [
    ...ofTraffic(traffic.entries),
    ...(await ofLedger(stand)),
    ofMemory(samples),
    await ofDescriptors(stand, idle),
    ...(await ofDisk(stand, samples)),
    ofUpstream(stand),
    await theEnd(stand, codes),
    ofIndex(stand),
    ...(await ofLog(stand)),
  ];
  const { entries } = traffic;
  const came = troubles.filter(({ to }) => to < Infinity);
  return { options, begun, lasted, capacity, rate, entries, samples, troubles: came, findings };
}

/** What is popular is held before anything goes wrong. */
async function warm(stand: Stand): Promise<void> {
  for (const image of stand.ledger.popular) await pulled(stand, image);
}

async function theEnd({ gate }: Stand, codes: string[]): Promise<Finding> {
  codes.push(`${await gate.stop()}`);
  return {
    what: 'The gate ends with 0 at each SIGTERM',
    holds: codes.every((code) => code === '0'),
    figures: codes.join(', '),
  };
}

interface Watching {
  readonly samples: Sample[];
  readonly every: number;
  readonly over: AbortSignal;
}

async function watch(stand: Stand, traffic: Traffic, { samples, every, over }: Watching) {
  while (!over.aborted) {
    const one = sample(stand.gate, traffic.now);
    if (one) samples.push(one);
    // What the registry says is not kept: it would fill this process.
    stand.registry.service.stdout = '';
    stand.registry.service.stderr = '';
    await pause(every, undefined, { signal: over }).catch(() => undefined);
  }
}

interface Making {
  readonly troubles: readonly Trouble[];
  readonly codes: string[];
  readonly say: (text: string) => void;
  readonly over: AbortSignal;
}

/** Makes the trouble that is planned; a restart is felt until the gate is ready again, and a little longer. */
async function trouble({ gate, proxy }: Stand, traffic: Traffic, making: Making): Promise<void> {
  for (const one of making.troubles) {
    await pause(Math.max(0, one.due - traffic.now), undefined, { signal: making.over }).catch(
      () => undefined,
    );
    if (making.over.aborted) return;
    one.from = traffic.now;
    making.say(`${(one.from / 1_000).toFixed(0)} s: ${one.kind}`);
    if (isRestart(one.kind)) {
      const code = await gate.stop(one.kind);
      if (one.kind === 'SIGTERM') making.codes.push(`${code}`);
      await gate.restart();
    } else {
      proxy.begin(one.kind);
      await pause(one.lasts);
      proxy.end();
    }
    one.to = traffic.now;
    one.felt = one.to + (isRestart(one.kind) ? 1_000 : afterpains(one));
  }
}

interface Telling {
  readonly say: (text: string) => void;
  readonly over: AbortSignal;
}

async function tell(stand: Stand, traffic: Traffic, { say, over }: Telling): Promise<void> {
  for (;;) {
    await pause(60_000, undefined, { signal: over }).catch(() => undefined);
    if (over.aborted) return;
    const of = (verdict: Entry['verdict']) =>
      traffic.entries.filter((entry) => entry.verdict === verdict).length;
    const memory = (stand.gate.running ? stand.gate.memory().now : 0) / MIB;
    say(
      `${(traffic.now / 60_000).toFixed(0)} min: ${traffic.entries.length} done, ${traffic.underWay} under way, ` +
        `${of('expected')} failed as expected, ${of('unexpected')} not, ${of('lost')} lost, ` +
        `${of('wrong')} wrong; ${memory.toFixed(0)} MiB`,
    );
  }
}
