import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { BlobUpstream } from '../support/blob-upstream';
import { CacheFolder, healthOf } from '../support/cache-folder';
import { Crowd, summaryOf } from '../support/crowd';
import { startGate, type Gate } from '../support/gate';
import { send, type Account } from '../support/http';
import { MIB } from '../support/images';
import { eventually } from '../support/lifecycle';
import { describeUnless } from '../support/means';
import { Patterned } from '../support/patterned';
import { noSmallDisk, SmallDisk } from '../support/small-disk';
import { logsIn, visit, type Visitor } from '../support/stand';

const noDisk = noSmallDisk();

interface Scene {
  upstream: BlobUpstream;
  gate: Gate;
  who: Visitor;
  account: Account;
  held: CacheFolder;
  /** Pulls the whole blob; true when every byte is right. */
  pull(content: Patterned): Promise<boolean>;
  isHeld(content: Patterned): boolean;
}

async function scene(env: Record<string, string>): Promise<Scene> {
  const upstream = await BlobUpstream.start();
  const gate = await startGate({ ...upstream.settings, ...env });
  const account = await gate.addAccount();
  const who = await visit(gate, account, 'team/app', 'pull');
  const held = new CacheFolder(gate);
  const pull = async (content: Patterned) => {
    upstream.add(content);
    const { status, body } = await who.ask(`/v2/team/app/blobs/${content.digest}`);
    return status === 200 && body.equals(content.bytes());
  };
  const isHeld = ({ digest }: Patterned) => held.digests().includes(digest);
  return { upstream, gate, who, account, held, pull, isHeld };
}

const pathOf = ({ digest }: Patterned) => `/v2/team/app/blobs/${digest}`;

describeUnless(noDisk, 'F19: CACHE_DIR on a disk of 32 MiB (as root, on a tmpfs)', () => {
  let disk: SmallDisk;
  let here: Scene;

  beforeEach(async () => {
    disk = new SmallDisk(32 * MIB);
    here = await scene({ CACHE_DIR: join(disk.folder, 'cache'), CACHE_MIN_FREE: '0' });
  });

  afterEach(() => here.gate.stop('SIGKILL'));

  it('what is larger than the disk streams on, uncached and right, and evicts nothing', async () => {
    const { upstream, gate, who, pull, isHeld, held } = here;
    const [small, large] = [new Patterned(MIB, 'fits'), new Patterned(64 * MIB, 'too-large')];
    upstream.add(large);
    await pull(small);
    await eventually('it is held', () => isHeld(small));

    const crowd = new Crowd(gate, {
      clients: 5,
      path: pathOf(large),
      content: large,
      token: who.token,
      hashing: 5,
    });
    const ends = await crowd.ended();

    expect(summaryOf(ends)).toEqual({ whole: 5, statuses: { 200: 5 }, digests: [large.digest] });
    await eventually('nothing is left of it', () => held.spools().length === 0);
    expect(held.digests()).toEqual([small.digest]);
    expect(await pull(small)).toBe(true);
    expect(upstream.asked('GET', small)).toHaveLength(1);
  });

  it('a pull during which the disk becomes full goes on for all its readers, right to the end', async () => {
    const { upstream, gate, who, held } = here;
    const content = new Patterned(24 * MIB, 'becomes-full');
    upstream.add(content);
    upstream.sendUpTo(6 * MIB);
    const crowd = new Crowd(gate, {
      clients: 20,
      path: pathOf(content),
      content,
      token: who.token,
      hashing: 3,
      pauseAt: 2 * MIB,
    });
    await crowd.paused();

    disk.fill();
    crowd.goOn();
    upstream.sendUpTo();
    const ends = await crowd.ended();

    expect(summaryOf(ends)).toEqual({
      whole: 20,
      statuses: { 200: 20 },
      digests: [content.digest],
    });
    expect(held.wrong()).toEqual([]);
    await eventually('nothing is left of it', () => held.spools().length === 0);
  });

  it('health says so, pulls go on, and it recovers by itself once there is room', async () => {
    const { gate, pull, isHeld, upstream } = here;
    const contents = Array.from({ length: 3 }, (_, n) => new Patterned(4 * MIB, `full-${n}`));
    expect((await healthOf(gate)).status).toBe('ok');
    upstream.add(contents[0]!);
    upstream.sendUpTo(MIB);
    const first = pull(contents[0]!);
    await eventually('it is being fetched', () => upstream.sending === 1);
    disk.fill();
    upstream.sendUpTo();

    expect(await first).toBe(true);
    const full = await eventually('health says so', async () => {
      const health = await healthOf(gate);
      return health.status === 'degraded' && health;
    });
    const stranger = await send(`${gate.url}/health`);
    const ready = await send(`${gate.url}/health/ready`);
    const during = [await pull(contents[1]!), await pull(contents[1]!)];
    disk.clear();
    await eventually('it recovers', async () => (await healthOf(gate)).status === 'ok', 20_000);
    const after = await pull(contents[2]!);

    expect(full.code).toBe(200);
    expect(full.checks['cache']?.status).toBe('degraded');
    expect(full.checks['cache']?.detail).toMatch(/full/);
    expect(stranger.json()).toEqual({ status: 'degraded' });
    expect(ready.status).toBe(200);
    expect(during).toEqual([true, true]);
    expect(upstream.asked('GET', contents[1])).toHaveLength(2);
    expect(after).toBe(true);
    await eventually('it is held again', () => isHeld(contents[2]!));
  });

  it('starts on a disk that is full already, and serves', async () => {
    const { gate, pull, isHeld } = here;
    const [before, during] = [new Patterned(MIB, 'start-1'), new Patterned(MIB, 'start-2')];
    await pull(before);
    await eventually('it is held', () => isHeld(before));
    disk.fill();

    await gate.restart();

    expect(await pull(before)).toBe(true);
    expect(await pull(during)).toBe(true);
    disk.clear();
  });
});

describeUnless(noDisk, 'F19: DATA_DIR on a full disk (as root, on a tmpfs)', () => {
  it('account changes answer 503 and the old files stand, while logins and pulls go on', async () => {
    const [disk, cache] = [new SmallDisk(16 * MIB), new SmallDisk(64 * MIB)];
    const { gate, account, pull } = await scene({
      DATA_DIR: disk.folder,
      CACHE_DIR: join(cache.folder, 'cache'),
    });
    expect(await pull(new Patterned(MIB, 'data-1'))).toBe(true);
    const files = ['htpasswd', 'accounts.json'].map((name) => join(disk.folder, name));
    const before = files.map((file) => readFileSync(file, 'utf8'));
    disk.fill();

    const newcomer = { username: 'newcomer', password: 'a-good-passphrase', access: [] };
    const refused = [
      await gate.rest('POST', '/users', newcomer),
      await gate.rest('PATCH', `/users/${account.username}`, { password: 'another-passphrase' }),
    ];
    const during = {
      files: files.map((file) => readFileSync(file, 'utf8')),
      health: (await healthOf(gate)).status,
      login: await logsIn(gate, account),
      pulls: [await pull(new Patterned(MIB, 'data-2')), await pull(new Patterned(MIB, 'data-1'))],
    };
    disk.clear();

    expect(refused.map(({ status }) => status)).toEqual([503, 503]);
    expect(during).toEqual({
      files: before,
      health: 'degraded',
      login: true,
      pulls: [true, true],
    });
    await eventually('accounts can be made again', async () => {
      return (await gate.rest('POST', '/users', newcomer)).status === 201;
    });
    expect(await logsIn(gate, newcomer)).toBe(true);
    expect(await pull(new Patterned(MIB, 'data-3'))).toBe(true);
    await eventually('health is well', async () => (await healthOf(gate)).status === 'ok');
    await gate.restart();
    expect(await logsIn(gate, newcomer)).toBe(true);
    await gate.stop('SIGKILL');
  });
});

describe('CACHE_MAX_SIZE', () => {
  it('evicts what was used longest ago first, and never holds more', async () => {
    const { pull, isHeld, held, upstream } = await scene({ CACHE_MAX_SIZE: '10MiB' });
    const [a, b, c] = ['a', 'b', 'c'].map((name) => new Patterned(4 * MIB, `lru-${name}`)) as [
      Patterned,
      Patterned,
      Patterned,
    ];
    for (const content of [a, b]) {
      await pull(content);
      await eventually('it is held', () => isHeld(content));
      await sleep(5); // times of use are in milliseconds
    }
    await pull(a);

    await pull(c);
    await eventually('it is held', () => isHeld(c));

    expect([a, b, c].map(isHeld)).toEqual([true, false, true]);
    expect(held.bytes()).toBeLessThanOrEqual(10 * MIB);
    expect(await pull(b)).toBe(true);
    expect(upstream.asked('GET', b)).toHaveLength(2);
    expect(upstream.asked('GET', a)).toHaveLength(1);
  });

  it('streams on what is larger than all of it, and keeps what is held', async () => {
    const { pull, isHeld, held } = await scene({ CACHE_MAX_SIZE: '4MiB' });
    const [small, large] = [
      new Patterned(2 * MIB, 'max-small'),
      new Patterned(6 * MIB, 'max-large'),
    ];
    await pull(small);
    await eventually('it is held', () => isHeld(small));

    expect(await pull(large)).toBe(true);

    expect([small, large].map(isHeld)).toEqual([true, false]);
    expect(held.spools()).toEqual([]);
  });

  it('lets those finish who read what is evicted', async () => {
    const { gate, who, pull, isHeld, held } = await scene({ CACHE_MAX_SIZE: '50MiB' });
    const [read, next] = [new Patterned(40 * MIB, 'read'), new Patterned(20 * MIB, 'next')];
    await pull(read);
    await eventually('it is held', () => isHeld(read));
    const reader = new Crowd(gate, {
      clients: 3,
      path: pathOf(read),
      content: read,
      token: who.token,
      hashing: 1,
      pauseAt: MIB,
    });
    await reader.paused();

    await pull(next);
    await eventually('the next one is held', () => isHeld(next));
    const during = { held: isHeld(read), gone: reader.gone };
    reader.goOn();

    expect(summaryOf(await reader.ended())).toEqual({
      whole: 3,
      statuses: { 200: 3 },
      digests: [read.digest],
    });
    expect(during).toEqual({ held: false, gone: 0 });
    expect(held.bytes()).toBeLessThanOrEqual(50 * MIB);
  });

  it('holds under a herd of different blobs: never more than it may, and all of them right', async () => {
    const { gate, who, held, upstream } = await scene({ CACHE_MAX_SIZE: '16MiB' });
    const contents = Array.from({ length: 16 }, (_, n) => new Patterned(3 * MIB, `many-${n}`));
    upstream.add(...contents);

    const answers = await Promise.all(contents.map((content) => who.ask(pathOf(content))));

    expect(answers.map(({ body }, n) => body.equals(contents[n]!.bytes()))).toEqual(
      contents.map(() => true),
    );
    await eventually('nothing is spooled', () => held.spools().length === 0);
    expect(held.bytes()).toBeLessThanOrEqual(16 * MIB);
    expect(held.wrong()).toEqual([]);
    expect(gate.running).toBe(true);
  });
});

describe('CACHE_MAX_AGE', () => {
  it('evicts what was not used for so long, and nothing else', async () => {
    const { gate, pull, isHeld } = await scene({ CACHE_MAX_AGE: '1h' });
    const [old, used] = [new Patterned(MIB, 'old'), new Patterned(MIB, 'used')];
    for (const content of [old, used]) await pull(content);
    await eventually('both are held', () => isHeld(old) && isHeld(used));

    // Ages are looked at when the gate starts, and each half minute from then on.
    await restartLater(gate, 50);
    expect([isHeld(old), isHeld(used)]).toEqual([true, true]);
    await pull(used);
    await restartLater(gate, 20);

    await eventually('the old one is gone', () => !isHeld(old));
    expect(isHeld(used)).toBe(true);
  });

  /** As though the gate had stood still for so many minutes. */
  async function restartLater(gate: Gate, minutes: number): Promise<void> {
    await gate.stop();
    const index = new DatabaseSync(join(gate.dataDir, 'index.sqlite'));
    index.exec(`UPDATE content SET used_at = used_at - ${minutes * 60_000}`);
    index.close();
    await gate.restart();
  }
});
