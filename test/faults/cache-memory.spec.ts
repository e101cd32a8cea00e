import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BlobUpstream } from '../support/blob-upstream';
import { CacheFolder, descriptors } from '../support/cache-folder';
import { Crowd, fatesOf, summaryOf, type ClientEnd, type CrowdOrder } from '../support/crowd';
import { figure, LONG } from '../support/figures';
import { startGate, type Gate } from '../support/gate';
import { countedMemory, memoryInUse } from '../support/gate-memory';
import { unique } from '../support/http';
import { MIB } from '../support/images';
import { atTheEnd, eventually } from '../support/lifecycle';
import { Patterned } from '../support/patterned';
import { visit } from '../support/stand';

const ALLOWED = 200 * MIB;

interface Scene {
  gate: Gate;
  upstream: BlobUpstream;
  crowd(content: Patterned, order: Partial<CrowdOrder>): Crowd;
}

async function scene(
  contents: readonly Patterned[],
  env: Record<string, string> = {},
  wrapper: readonly string[] = [],
): Promise<Scene> {
  const upstream = await BlobUpstream.start(...contents);
  const settings = { ...upstream.settings, MAX_CONNECTIONS: '1000', ...env };
  const gate = await startGate(settings, wrapper);
  const { token } = await visit(gate, await gate.addAccount(), 'team/app', 'pull');
  const crowd: Scene['crowd'] = (content, order) => {
    const path = `/v2/team/app/blobs/${content.digest}`;
    return new Crowd(gate, { clients: 1, path, content, token, ...order });
  };
  return { gate, upstream, crowd };
}

/** What the gate took beyond that at its highest. */
function moreAtPeak(gate: Gate, idle: number, row: string, what: string, ends: ClientEnd[]) {
  const more = gate.memory().peak - idle;
  const inMiB = { idleMiB: Math.round(idle / MIB), moreAtPeakMiB: Math.round(more / MIB) };
  figure(row, what, { ...fatesOf(ends), ...inMiB });
  return more;
}

describe('500 stalled readers beside 20 fast ones', () => {
  const size = (LONG ? 256 : 32) * MIB;

  it('cost little memory and do not disturb them, on held content', async () => {
    const content = new Patterned(size, 'stalled-held');
    const { gate, crowd, upstream } = await scene([content]);
    await eventually('it is served from here', async () => {
      const [end] = await crowd(content, {}).ended();
      return end?.whole && end.cache === 'tidegate; hit';
    });
    const idle = gate.memory().now;
    gate.forgetPeak();

    const stalled = crowd(content, { clients: 500, pauseAt: 128 * 1024 });
    await stalled.paused();
    const fast = await crowd(content, { clients: 20, hashing: 2 }).ended();
    const more = moreAtPeak(gate, idle, 'F22', '20 beside 500 stalled, on held content', fast);

    expect(summaryOf(fast)).toEqual({
      whole: 20,
      statuses: { 200: 20 },
      digests: [content.digest],
    });
    expect(fast.every(({ cache }) => cache === 'tidegate; hit')).toBe(true);
    expect(stalled.gone).toBe(0);
    expect(more).toBeLessThan(ALLOWED);
    expect(upstream.asked('GET')).toHaveLength(1);
    stalled.leave();
    await stalled.ended();
  }, 120_000);

  it('cost little memory and do not disturb them, on content that is being fetched', async () => {
    const content = new Patterned(size, 'stalled-growing');
    const { gate, crowd, upstream } = await scene([content]);
    const idle = gate.memory().now;
    gate.forgetPeak();
    upstream.sendUpTo(4 * MIB);

    const stalled = crowd(content, { clients: 500, pauseAt: 128 * 1024 });
    await stalled.paused();
    const fast = crowd(content, { clients: 20, hashing: 2, pauseAt: 2 * MIB });
    await fast.paused();
    fast.goOn();
    upstream.sendUpTo();
    const ends = await fast.ended();
    const more = moreAtPeak(gate, idle, 'F22', '20 beside 500 stalled, on growing content', ends);

    expect(summaryOf(ends)).toEqual({
      whole: 20,
      statuses: { 200: 20 },
      digests: [content.digest],
    });
    expect(ends.every(({ cache }) => cache?.endsWith('collapsed'))).toBe(true);
    expect(stalled.gone).toBe(0);
    expect(upstream.asked('GET')).toHaveLength(1);
    expect(more).toBeLessThan(ALLOWED);
    stalled.leave();
    await stalled.ended();
  }, 120_000);

  it('get every right byte once they read on, though the fetch has long ended', async () => {
    const content = new Patterned(8 * MIB, 'stalled-go-on');
    const { crowd, upstream } = await scene([content]);
    const stalled = crowd(content, { clients: 200, pauseAt: 128 * 1024 });
    await stalled.paused();
    await crowd(content, { clients: 2 }).ended();

    stalled.goOn();

    expect(summaryOf(await stalled.ended()).whole).toBe(200);
    expect(upstream.asked('GET')).toHaveLength(1);
  }, 120_000);
});

describe('F14: 100 clients that leave in the middle of a pull', () => {
  const LEAVERS = 100;

  /** Descriptors as they are when nothing goes on. */
  async function settled(gate: Gate, most: number): Promise<void> {
    await eventually(
      `not more than ${most} descriptors: ${JSON.stringify(descriptors(gate))}`,
      () => descriptors(gate).all <= most,
      15_000,
    );
  }

  it('end a fetch that is less than half done, and leave nothing behind', async () => {
    const contents = Array.from({ length: 8 }, (_, n) => new Patterned(32 * MIB, `leave-${n}`));
    const { gate, crowd, upstream } = await scene(contents, countedMemory());
    const memory: number[] = [];
    let most = Infinity;

    for (const content of contents) {
      upstream.sendUpTo(8 * MIB);
      const leavers = crowd(content, { clients: LEAVERS, pauseAt: MIB });
      await leavers.paused();
      leavers.leave();
      await leavers.ended();
      await eventually('the upstream sends no more', () => upstream.sending === 0);
      await settled(gate, most + 2);
      most = Math.min(most, descriptors(gate).all);
      memory.push(await memoryInUse(gate));
    }

    figure('F14', 'rounds of 100 clients that leave in the middle', {
      tried: memory.length,
      inUseMiB: memory.map((bytes) => (bytes / MIB).toFixed(1)).join(' '),
    });
    expect(contents.map((content) => upstream.asked('GET', content).length)).toEqual(
      contents.map(() => 1),
    );
    await eventually('nothing is spooled', () => new CacheFolder(gate).spools().length === 0);
    expect(new CacheFolder(gate).blobs()).toEqual([]);
    expect(descriptors(gate).removed).toBe(0);
    // The first rounds fill what is kept to be used again, in pieces of megabytes; those after them leave nothing.
    const [earlier, later] = [memory.slice(2, 5), memory.slice(5)];
    expect(Math.min(...later) - Math.min(...earlier)).toBeLessThan(3 * MIB);
  }, 120_000);

  it('do not end a fetch that is more than half done: it is held, and they leave nothing behind', async () => {
    const content = new Patterned(32 * MIB, 'leave-late');
    const { gate, crowd, upstream } = await scene([content]);
    const before = descriptors(gate).all;
    upstream.sendUpTo(20 * MIB);
    const leavers = crowd(content, { clients: LEAVERS, pauseAt: 18 * MIB });
    await leavers.paused();

    leavers.leave();
    await leavers.ended();
    await eventually('they are gone', () => descriptors(gate).all < before + LEAVERS / 2);
    expect(upstream.sending).toBe(1);
    upstream.sendUpTo();
    await eventually('it is held', () => new CacheFolder(gate).digests().length === 1);
    const [later] = await crowd(content, { hashing: 1 }).ended();

    expect(later).toMatchObject({ whole: true, digest: content.digest, cache: 'tidegate; hit' });
    expect(upstream.asked('GET')).toHaveLength(1);
    expect(new CacheFolder(gate).spools()).toEqual([]);
    // One connection to the upstream may be kept for the next request.
    await settled(gate, before + 3);
    expect(descriptors(gate).removed).toBe(0);
  }, 120_000);
});

/** A group of processes that may use so much memory together, page cache and all; undefined where there can be none. */
function memoryGroup(bytes: number): string | undefined {
  const group = join('/sys/fs/cgroup/memory', unique('tidegate-'));
  try {
    mkdirSync(group);
    writeFileSync(join(group, 'memory.limit_in_bytes'), String(bytes));
    atTheEnd(() => rmdirSync(group));
    return group;
  } catch {
    return undefined;
  }
}

describe('F22: a gate with 256 MiB of memory', () => {
  const group = memoryGroup(256 * MIB);
  const size = (LONG ? 1024 : 48) * MIB;
  const limit = group ? 'by a cgroup' : 'seen by its peak alone: no cgroup can be made here';

  it(`serves 50 pulls of ${size / MIB} MiB, a third of them slow, and is not killed (limited ${limit})`, async () => {
    const contents = Array.from({ length: 10 }, (_, n) => new Patterned(size, `small-${n}`));
    const enter = ['sh', '-c', `echo $$ > ${group}/cgroup.procs && exec "$@"`, 'sh'];
    const { gate, crowd, upstream } = await scene(contents, {}, group ? enter : []);
    const idle = gate.memory().now;
    gate.forgetPeak();
    const slow = { clients: 2, rate: LONG ? 16 * MIB : 8 * MIB };

    const crowds = contents.flatMap((content) => [
      crowd(content, { clients: 3, hashing: 1 }),
      crowd(content, slow),
    ]);
    const ends = (await Promise.all(crowds.map((each) => each.ended()))).flat();

    moreAtPeak(gate, idle, 'F22', `pulls of ${size / MIB} MiB, ${limit}`, ends);
    expect(ends.filter(({ whole }) => !whole)).toEqual([]);
    expect(summaryOf(ends)).toEqual({
      whole: 50,
      statuses: { 200: 50 },
      digests: expect.arrayContaining(contents.map(({ digest }) => digest)),
    });
    expect(gate.running).toBe(true);
    expect(gate.memory().peak).toBeLessThan(256 * MIB);
    expect(contents.map((content) => upstream.asked('GET', content).length)).toEqual(
      contents.map(() => 1),
    );
    if (group)
      expect(readFileSync(join(group, 'memory.oom_control'), 'utf8')).toMatch(/oom_kill 0/);
  }, 900_000);
});
