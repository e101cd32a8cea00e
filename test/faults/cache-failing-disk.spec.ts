/** An index that cannot be written, a medium that errs, a row that lies: pulls go on, and nothing false is let out. */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { StoredFile } from '../../src/cdn/store/stored-file';
import { whileUnwritable } from '../support/unwritable-index';
import { CachedStand } from '../support/cached-stand';
import { sha256 } from '../support/http';
import { eventually } from '../support/lifecycle';
import { manifestOf, ScriptedRegistry } from '../support/scripted-registry';

const MIB = 1024 * 1024;

async function before(env: Record<string, string> = {}) {
  const upstream = await ScriptedRegistry.start();
  const stand = await CachedStand.open({ ...upstream.settings, ...env });
  return { upstream, stand };
}

describe('F19: an index that can be read and not written', () => {
  const bytes = randomBytes(100_000);
  const manifest = manifestOf([bytes]);
  const blob = (name: string) => `/v2/${name}/blobs/${sha256(bytes)}`;

  async function withImage() {
    const here = await before();
    for (const name of ['team/one', 'team/two']) {
      here.upstream.blob(name, bytes);
      here.upstream.manifest(name, '1', manifest);
    }
    await here.stand.untilHit(blob('team/one'));
    await here.stand.untilHit(`/v2/team/one/manifests/${manifest.digest}`);
    return here;
  }

  it('fails no pull of what is held, under whichever name, nor of what is not', async () => {
    const { upstream, stand } = await withImage();
    const fresh = upstream.blob('team/one', randomBytes(100_000));

    const statuses = await whileUnwritable(stand.dataDir, async () => {
      const seen: unknown[] = [];
      for (const name of ['team/one', 'team/two'])
        for (const what of [blob(name), `/v2/${name}/manifests/${manifest.digest}`])
          for (const method of ['HEAD', 'GET'])
            seen.push((await stand.ask(what, { method })).status);
      seen.push((await stand.ask('/v2/team/two/manifests/1')).status);
      seen.push((await stand.ask(`/v2/team/one/blobs/${fresh}`)).status);
      return seen;
    });

    expect(statuses).toEqual(statuses.map(() => 200));
  });

  it('S12: does not bring back after a restart what was deleted meanwhile', async () => {
    const { stand } = await withImage();

    const deleted = await whileUnwritable(stand.dataDir, () =>
      stand.ask(blob('team/one'), { method: 'DELETE' }),
    );
    await stand.restart();

    expect([deleted.status, (await stand.ask(blob('team/one'))).status]).toEqual([202, 404]);
  });

  it('leaves no file behind that nobody would find or count', async () => {
    const { upstream, stand } = await before();
    const contents = [randomBytes(70), randomBytes(200_000), randomBytes(2_000_000)];
    upstream.manifest('team/app', '1', manifestOf([contents[0]!]));
    const paths = contents.map((bytes) => `/v2/team/app/blobs/${upstream.blob('team/app', bytes)}`);

    await whileUnwritable(stand.dataDir, async () => {
      for (const [n, path] of paths.entries()) {
        const got = await stand.pull(path);
        expect([got.whole, got.body.equals(contents[n]!)]).toEqual([true, true]);
      }
      expect((await stand.ask('/v2/team/app/manifests/1')).status).toBe(200);
      await stand.untilEmpty();
    });

    for (const path of paths) await stand.untilHit(path);
  });
});

describe('held content', () => {
  async function holding(size: number, env: Record<string, string> = {}) {
    const here = await before(env);
    const bytes = randomBytes(size);
    const digest = here.upstream.blob('team/app', bytes);
    const path = `/v2/team/app/blobs/${digest}`;
    await here.stand.untilHit(path);
    return { ...here, bytes, digest, path };
  }

  it.each([1000, 100_000, 2_000_000])(
    'whose medium errs, of %d bytes: is fetched anew after one broken transfer at most',
    async (size) => {
      const { upstream, stand, bytes, digest, path } = await holding(size, { CACHE_MEMORY: '0' });
      const { read } = StoredFile.prototype;
      const bad = new WeakSet<StoredFile>();
      let erring = true;
      const medium = jest.spyOn(StoredFile.prototype, 'read').mockImplementation(async function (
        this: StoredFile,
        into,
      ) {
        if (erring && this.size === size) bad.add(this);
        if (bad.has(this)) throw Object.assign(new Error('EIO: i/o error'), { code: 'EIO' });
        return read.call(this, into);
      });

      const broken = await stand.pull(path);
      erring = false;
      const next = await stand.pull(path);
      medium.mockRestore();

      expect(broken.whole && !broken.body.equals(bytes)).toBe(false);
      expect([next.status, next.whole, next.body.equals(bytes)]).toEqual([200, true, true]);
      expect(upstream.asked('GET', digest)).toHaveLength(2);
    },
  );

  it('S5: that is damaged near its end: a part up to the end, after a restart, never ends well', async () => {
    const { stand, bytes, digest, path } = await holding(12 * MIB);
    await stand.restart({}, () => {
      const file = openSync(stand.fileOf(digest), 'r+');
      writeSync(file, 'DAMAGED', bytes.length - 100);
      closeSync(file);
    });

    for (const from of [bytes.length - MIB, bytes.length - 1]) {
      const headers = { range: `bytes=${from}-` };
      const got = await stand.pull(path, { headers });
      expect(got.whole && !got.body.equals(bytes.subarray(from))).toBe(false);
    }
    const healed = await eventually('it is fetched anew', async () => {
      const got = await stand.pull(path);
      return got.whole && got;
    });
    expect(healed.body.equals(bytes)).toBe(true);
  });

  it.each([
    [1000, 2000],
    [1000, 500],
    [100_000, 200_000],
    [100_000, 50_000],
  ])('of %d bytes whose row says %d: is served whole, and no client waits', async (size, said) => {
    const { stand, bytes, path } = await holding(size);
    const index = new DatabaseSync(join(stand.dataDir, 'index.sqlite'), { timeout: 5_000 });
    index.prepare('UPDATE content SET size = ?').run(said);
    index.close();

    const got = await stand.pull(path);

    expect([got.status, got.whole, got.body.equals(bytes)]).toEqual([200, true, true]);
    expect((await stand.untilHit(path)).body.equals(bytes)).toBe(true);
  });
});

it('CACHE_DIR removed while the gate runs, all of it: pulls go on, and hold again', async () => {
  const { upstream, stand } = await before();
  const bytes = [randomBytes(100_000), randomBytes(100_000)];
  const [held, next] = bytes.map((content) => upstream.blob('team/app', content));
  await stand.untilHit(`/v2/team/app/blobs/${held}`);

  rmSync(join(stand.dataDir, 'cache'), { recursive: true });
  const again = await stand.pull(`/v2/team/app/blobs/${held}`);

  expect([again.whole, again.body.equals(bytes[0]!)]).toEqual([true, true]);
  const back = await stand.untilHit(`/v2/team/app/blobs/${next}`);
  expect(back.body.equals(bytes[1]!)).toBe(true);
});
