/** The page of a soak: one file, without scripts, and without anything from elsewhere. */
import { escaped, figureOf, type Chart, type Mark } from './charts';
import { KINDS, type Kind } from './deeds';
import { MEANING } from './fault-proxy';
import { STYLE } from './page';
import { isRestart, type Trouble } from './plan';
import type { Felt, Look, Summary, Totals } from './summary';

const NAMES: Readonly<Record<Kind | 'all', string>> = {
  'popular pull': 'Pulls of popular images',
  'rare pull': 'Pulls of rare images',
  push: 'Pushes',
  login: 'Logins',
  account: 'Account changes',
  check: 'Checks of pushes and rights',
  all: 'All',
};

function number(value: number, digits = 0): string {
  return value.toLocaleString('en', { maximumFractionDigits: digits });
}

function bytes(value: number): string {
  const power = value < 1024 ? 0 : Math.min(3, Math.floor(Math.log2(value) / 10));
  return `${number(value / 1024 ** power, power > 1 ? 1 : 0)} ${['B', 'KiB', 'MiB', 'GiB'][power]}`;
}

function milliseconds(value: number): string {
  return value >= 1_000
    ? `${number(value / 1_000, 1)} s`
    : `${number(value, value < 10 ? 1 : 0)} ms`;
}

function duration(value: number): string {
  return value < 120_000
    ? `${number(value / 1_000)} s`
    : `${Math.floor(value / 60_000)} min ${number((value % 60_000) / 1_000)} s`;
}

function nameOf(kind: Trouble['kind']): string {
  return kind === 'SIGKILL' ? 'kill -9' : kind;
}

function marksOf({ troubles }: Summary): Mark[] {
  return troubles.map(({ kind, from, to, isRestart }) => ({
    from,
    to,
    isRestart,
    label: isRestart ? nameOf(kind) : `${kind}`,
  }));
}

function tile(value: string, name: string, isBad = false): string {
  return `<div class="tile${isBad ? ' bad' : ''}"><b>${escaped(value)}</b><span>${escaped(name)}</span></div>`;
}

function tiles({ totals, lasted, looks }: Summary): string {
  const all = totals.at(-1);
  if (!all) return '';
  const { verdicts, tried } = all;
  const most = looks.reduce((highest, { memory }) => Math.max(highest, memory), 0);
  return `<div class="tiles">${[
    tile(number(tried), `deeds in ${duration(lasted)}`),
    tile(`${number((verdicts.succeeded * 100) / Math.max(1, tried), 2)} %`, 'succeeded'),
    tile(number(verdicts.expected), 'failed, during a fault or a restart'),
    tile(number(verdicts.unexpected), 'failed without one', verdicts.unexpected > 0),
    tile(number(verdicts.lost), 'acknowledged, and lost', verdicts.lost > 0),
    tile(number(verdicts.wrong), 'wrong bytes', verdicts.wrong > 0),
    tile(bytes(most), 'memory at most'),
  ].join('')}</div>`;
}

type Common = Pick<Chart, 'lasted' | 'marks'>;

function latencies(summary: Summary, common: Common): string {
  const figures = KINDS.map((kind) => {
    const line = (which: 0 | 1) =>
      summary.steps.map(({ at, latency }) => ({ at, value: latency[kind]?.[which] ?? null }));
    return figureOf({
      ...common,
      title: NAMES[kind],
      unit: milliseconds,
      logarithmic: true,
      width: 530,
      height: 190,
      lines: [
        { name: 'p99', colour: 'two', points: line(1) },
        { name: 'p50', colour: 'one', points: line(0) },
      ],
    });
  });
  return `<div class="pairs">${figures.join('')}</div>`;
}

function traffic({ steps, step }: Summary, common: Common): string {
  return [
    figureOf({
      ...common,
      title: 'Deeds a second',
      unit: (value) => number(value, 1),
      height: 170,
      lines: [
        {
          name: 'deeds',
          colour: 'one',
          filled: true,
          points: steps.map(({ at, deeds }) => ({ at, value: deeds })),
        },
      ],
    }),
    figureOf({
      ...common,
      title: 'Bytes a second, pulled and pushed',
      unit: bytes,
      binary: true,
      height: 170,
      lines: [
        {
          name: 'bytes',
          colour: 'three',
          filled: true,
          points: steps.map((one) => ({ at: one.at, value: one.bytes })),
        },
      ],
    }),
    figureOf({
      ...common,
      title: `Failures in each ${number(step / 1_000, 1)} s`,
      unit: (value) => number(value, 1),
      height: 170,
      bars: [
        {
          name: 'expected: during a fault or a restart',
          colour: 'warn',
          points: steps.map(({ at, expected }) => ({ at, value: expected })),
        },
        {
          name: 'unexpected',
          colour: 'bad',
          points: steps.map(({ at, unexpected }) => ({ at, value: unexpected })),
        },
      ],
    }),
  ].join('');
}

/** The line is broken where one process ended and another began. */
function pointsOf(looks: readonly Look[], value: (look: Look) => number) {
  return looks.flatMap((look, n) => {
    const point = { at: look.at, value: value(look) };
    const before = looks[n - 1];
    return before && before.life !== look.life ? [{ at: look.at, value: null }, point] : [point];
  });
}

function gate({ looks, cacheLimit }: Summary, common: Common): string {
  const memory = pointsOf(looks, (look) => look.memory);
  const open = pointsOf(looks, (look) => look.descriptors);
  const held = pointsOf(looks, (look) => look.held);
  const spooled = pointsOf(looks, (look) => look.spooled);
  return [
    figureOf({
      ...common,
      title: 'Memory of the gate (resident)',
      unit: bytes,
      binary: true,
      lines: [{ name: 'memory', colour: 'one', filled: true, points: memory }],
    }),
    figureOf({
      ...common,
      title: 'Open descriptors',
      unit: (value) => number(value),
      height: 170,
      lines: [{ name: 'descriptors', colour: 'three', points: open }],
    }),
    figureOf({
      ...common,
      title: 'The cache on disk',
      unit: bytes,
      binary: true,
      height: 170,
      limit: { name: 'CACHE_MAX_SIZE', value: cacheLimit },
      lines: [
        { name: 'held', colour: 'one', points: held },
        { name: 'on its way in', colour: 'two', points: spooled },
      ],
    }),
  ].join('');
}

function findings(summary: Summary): string {
  const rows = summary.findings.map(
    ({ what, holds, figures }) =>
      `<tr><td class="${holds ? 'holds' : 'fails'}">${holds ? '✓' : '✗'}</td><td class="text">${escaped(what)}</td><td class="text">${escaped(figures)}</td></tr>`,
  );
  return `<div class="table"><table><tbody>${rows.join('')}</tbody></table></div>`;
}

function totalsRow({ kind, tried, verdicts, p50, p99, bytes: all }: Totals): string {
  const bad = (value: number) => `<td${value > 0 ? ' class="bad"' : ''}>${number(value)}</td>`;
  const time = (value: number | null) => `<td>${value === null ? '–' : milliseconds(value)}</td>`;
  return `<tr${kind === 'all' ? ' class="sum"' : ''}><td>${NAMES[kind]}</td><td>${number(tried)}</td><td>${number(verdicts.succeeded)}</td><td>${number(verdicts.expected)}</td>${bad(verdicts.unexpected)}${bad(verdicts.lost)}${bad(verdicts.wrong)}${time(p50)}${time(p99)}<td>${bytes(all)}</td></tr>`;
}

function totals(summary: Summary): string {
  const heads = [
    '',
    'tried',
    'succeeded',
    'failed as expected',
    'unexpected',
    'lost',
    'wrong bytes',
  ];
  const head = [...heads, 'p50', 'p99', 'bytes'].map((text) => `<th>${text}</th>`).join('');
  return `<div class="table"><table><thead><tr>${head}</tr></thead><tbody>${summary.totals.map(totalsRow).join('')}</tbody></table></div>`;
}

function meaning({ kind }: Felt): string {
  if (isRestart(kind)) return 'the gate ends, and starts again on its data';
  return MEANING[kind];
}

function troubles({ troubles }: Summary): string {
  const kinds = [...new Set(troubles.map(({ kind }) => kind))];
  const rows = kinds.map((kind) => {
    const those = troubles.filter((trouble) => trouble.kind === kind);
    const [first] = those;
    const failed = those.reduce((sum, one) => sum + one.failed, 0);
    const lasted = those.reduce((sum, { from, to }) => sum + to - from, 0) / those.length;
    return `<tr><td>${nameOf(kind)}</td><td class="text">${first ? escaped(meaning(first)) : ''}</td><td>${those.length}</td><td>${milliseconds(lasted)}</td><td>${number(failed)}</td></tr>`;
  });
  return `<div class="table"><table><thead><tr><th>Fault</th><th class="text">What it does</th><th>times</th><th>each for</th><th>deeds that failed</th></tr></thead><tbody>${rows.join('')}</tbody></table></div>`;
}

function badOnes({ bad }: Summary): string {
  if (bad.length === 0) return '';
  const rows = bad.map(
    ({ kind, begun, verdict, why = '' }) =>
      `<tr><td>${number(begun / 1_000, 1)} s</td><td class="text">${NAMES[kind]}</td><td class="text bad">${verdict}</td><td class="text">${escaped(why)}</td></tr>`,
  );
  return `<h2>What should not have happened</h2><div class="table"><table><tbody>${rows.join('')}</tbody></table></div>`;
}

export function htmlOf(summary: Summary): string {
  const holds = summary.findings.every((finding) => finding.holds);
  const common: Common = { lasted: summary.lasted, marks: marksOf(summary) };
  const when = summary.begun.slice(0, 16).replace('T', ' ');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tidegate: soak of ${duration(summary.lasted)}</title><style>${STYLE}</style></head><body><main>
<header><h1>Tidegate: soak of ${duration(summary.lasted)}</h1><span class="verdict${holds ? '' : ' fails'}">${holds ? 'everything holds' : 'something does not hold'}</span></header>
<p class="about">Begun ${when} UTC, seed ${summary.seed}. ${number(summary.capacity)} deeds a second went through at most before; ${number(summary.rate)} were asked for, whether those before had ended or not.</p>
${tiles(summary)}
<h2>What had to hold</h2>${findings(summary)}
<h2>Totals</h2>${totals(summary)}
<h2>Traffic</h2><p class="note"><span class="swatch fault"></span>a fault of the registry &ensp;<span class="swatch restart"></span>a restart of the gate. Which one it was shows under the pointer.</p>${traffic(summary, common)}
<h2>Latency</h2><p class="note">From the moment when a deed was due to its end: a pull or push is an image with all its blobs. Of those that succeeded.</p>${latencies(summary, common)}
<h2>The gate</h2>${gate(summary, common)}
<h2>Faults and restarts</h2>${troubles(summary)}
${badOnes(summary)}
</main></body></html>
`;
}
