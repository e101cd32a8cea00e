// The index of what is held, as it grows: node bench/index-growth.mjs [digests, 100000 without it] [--into <folder>].
// Prints a table. With --into, what a gate needs to hold so many is left in that folder, to be its DATA_DIR, and the
// figures are printed as JSON.
import { createHash, randomInt } from 'node:crypto';
import {
  closeSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  options: { into: { type: 'string' } },
  allowPositionals: true,
});
const count = Number(positionals[0] ?? 100_000);
if (!Number.isSafeInteger(count) || count < 1000) {
  throw new RangeError('a number of digests, 1000 at least');
}

const dist = join(process.env.TIDEGATE_ROOT ?? dirname(import.meta.dirname), 'dist');
const { SqliteIndex } = await import(join(dist, 'cdn/index/sqlite-index.js'));
const { createLog } = await import(join(dist, 'journal/log.js'));

const LOOKUPS = 20_000;
const TOUCHED = 10_000;
const EVICTED = Math.min(5000, count / 2);
const BATCH = 100;
// So little that whatever the machine, nothing has to be evicted for the room.
const SIZE = 100;
const NAMES = Math.ceil(count / 50);
const VIA = 'anonymous.0123456789abcdef';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

const log = createLog({ logLevel: 'warn' });
const folder = values.into ?? mkdtempSync(join(tmpdir(), 'tidegate-index-growth-'));
const file = join(folder, 'index.sqlite');
const rows = [];
const figures = {};

const digest = (each) => `sha256:${createHash('sha256').update(`${each}`).digest('hex')}`;
const name = (each) => `docker.io/library/repository-${each % NAMES}`;
const ms = (since) => performance.now() - since;

function percentile(sorted, share) {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

/** Microseconds of each, as `median / 99th percentile`, under a name. */
function spread(label, name, times) {
  const sorted = times.map((time) => time * 1000).sort((one, other) => one - other);
  const [p50, p99] = [percentile(sorted, 0.5), percentile(sorted, 0.99)];
  rows.push([label, `${p50.toFixed(0)} / ${p99.toFixed(0)} µs`]);
  figures[`${name}_us`] = p50;
  figures[`${name}_p99_us`] = p99;
}

/** How long others had to wait meanwhile, at most. */
async function withStalls(work) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const start = performance.now();
  await work();
  const took = ms(start);
  await sleep(5);
  delay.disable();
  return { took, stall: delay.max / 1e6 };
}

async function fill(index) {
  for (let each = 0; each < count; each += 1) {
    const one = digest(each);
    await index.add(one, SIZE);
    await index.link(name(each), one, { via: VIA, mediaType: undefined });
    await index.link(name(each + 1), one, { via: VIA, mediaType: MANIFEST });
    if (each % 10 === 0) await tag(index, each, one);
    await turn();
  }
}

async function tag(index, each, digest) {
  const { version } = await index.tag(name(each), `t${each}`, VIA);
  const record = { digest, mediaType: MANIFEST, size: 1000, checkedAt: Date.now() };
  await index.setTag(name(each), `t${each}`, VIA, record, version);
}

async function lookUp(index) {
  const times = [];
  for (let each = 0; each < LOOKUPS; each += 1) {
    const which = randomInt(count);
    const one = digest(which);
    const start = performance.now();
    const [content, links] = await Promise.all([index.content(one), index.links(name(which), one)]);
    times.push(ms(start));
    if (!content || links.length === 0) throw new Error('not found');
    if (each % 10 === 0) await turn();
  }
  return times;
}

async function evict(index) {
  const [times, evicted] = [[], []];
  while (times.length < EVICTED) {
    const start = performance.now();
    const batch = await index.coldest(BATCH);
    const asked = ms(start) / batch.length;
    for (const { digest } of batch) {
      const start = performance.now();
      await index.remove(digest);
      times.push(ms(start) + asked);
      evicted.push(digest);
      // As the deletion of the file does.
      await turn();
    }
  }
  return { times, evicted };
}

/** A file for each: of its size, and without anything in it. A gate reads what it holds when it is asked for it. */
function makeFiles() {
  const blobs = join(folder, 'cache', 'blobs', 'sha256');
  for (let each = 0; each < 256; each += 1) {
    mkdirSync(join(blobs, each.toString(16).padStart(2, '0')), { recursive: true });
  }
  for (let each = 0; each < count; each += 1) {
    const hex = digest(each).slice('sha256:'.length);
    const made = openSync(join(blobs, hex.slice(0, 2), hex), 'w');
    ftruncateSync(made, SIZE);
    closeSync(made);
  }
}

async function repositories(index) {
  for (let after; ;) {
    const page = await index.repositories(after, 100);
    if (page.length < 100) return;
    after = page.at(-1).name;
  }
}

async function timed(times, ask) {
  const start = performance.now();
  const answer = await ask();
  times.push(ms(start));
  return answer;
}

async function measure() {
  const filling = await SqliteIndex.open(file, log);
  const filled = await withStalls(() => fill(filling));
  figures.fill_us = (filled.took * 1000) / count;
  rows.push(['fill', `${figures.fill_us.toFixed(0)} µs per digest`]);
  rows.push(['fill, longest stall', `${filled.stall.toFixed(1)} ms`]);
  const closing = performance.now();
  await filling.close();
  rows.push(['close', `${ms(closing).toFixed(0)} ms`]);
  figures.file_mb = statSync(file).size / 1e6;
  rows.push(['file', `${figures.file_mb.toFixed(0)} MB`]);

  const start = performance.now();
  const index = await SqliteIndex.open(file, log);
  const { contents } = await index.totals();
  rows.push(['start', `${ms(start).toFixed(1)} ms`]);
  if (contents !== count) throw new Error(`${contents} held, not ${count}`);

  spread('look-up, content and links', 'look_up', await lookUp(index));
  const totals = [];
  for (let each = 0; each < 1000; each += 1) await timed(totals, () => index.totals());
  spread('totals', 'totals', totals);

  for (let each = 0; each < TOUCHED; each += 1) index.touch(digest(randomInt(count)));
  const touched = await withStalls(() => index.coldest(1));
  rows.push([`touch ${TOUCHED}`, `${touched.took.toFixed(0)} ms`]);
  rows.push(['touch, longest stall', `${touched.stall.toFixed(1)} ms`]);

  let gone = { times: [], evicted: [] };
  const evicted = await withStalls(async () => (gone = await evict(index)));
  spread(`evict ${gone.times.length}, each`, 'evict', gone.times);
  figures.evict_stall_ms = evicted.stall;
  rows.push(['evict, longest stall', `${evicted.stall.toFixed(1)} ms`]);

  const listed = await withStalls(() => repositories(index));
  rows.push([`all ${NAMES} repositories`, `${listed.took.toFixed(0)} ms`]);
  rows.push(['repositories, longest stall', `${listed.stall.toFixed(1)} ms`]);
  for (const one of gone.evicted) await index.add(one, SIZE);
  await index.close();
}

try {
  await measure();
  if (values.into) makeFiles();
} finally {
  if (!values.into) rmSync(folder, { recursive: true, force: true });
}
const lines = [['measure', `${count} digests`], ['---', '---'], ...rows];
const table = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
process.stdout.write(`${values.into ? JSON.stringify(figures) : table}\n`);
