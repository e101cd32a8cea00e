/** Bad bytes from an upstream are never told to be good ones, and a tag leads where the upstream says. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import { answer, corrupt, type Behaviour } from '../support/fault-server';
import { errorCode, sha256 } from '../support/http';
import { eventually } from '../support/lifecycle';
import { manifestOf, Pause, ScriptedRegistry } from '../support/scripted-registry';

const SMALL = Buffer.from('{"architecture":"amd64","os":"linux"}');
const LARGE = randomBytes(300_000);
const HTML = '<html><body>Too many people are here just now. Please come again.</body></html>';

const html = answer(200, HTML, { 'content-type': 'text/html' });
const blobPath = (bytes: Buffer, repository = 'team/app') =>
  `/v2/${repository}/blobs/${sha256(bytes)}`;

async function before(env: Record<string, string> = {}) {
  const upstream = await ScriptedRegistry.start();
  const stand = await CachedStand.open({ ...upstream.settings, ...env });
  return { upstream, stand };
}

describe('S5, F6: what an upstream sends in place of a blob', () => {
  let upstream: ScriptedRegistry;
  let stand: CachedStand;

  beforeAll(async () => {
    ({ upstream, stand } = await before());
  });

  const unannounced = { 'content-length': undefined };
  it.each<[string, number, (bytes: Buffer) => Behaviour]>([
    ['HTML, in place of a large one', 300_000, () => html],
    ['HTML, in place of a small one', 30, () => html],
    ['nothing', 300_000, () => answer(200, '')],
    ['other bytes of the right length', 300_000, () => answer(200, randomBytes(300_000))],
    ['its first byte wrong', 300_000, (bytes) => corrupt(bytes)],
    ['its last byte wrong', 300_000, (bytes) => corrupt(bytes, bytes.length - 1)],
    ['the last byte of a small one wrong', 30, (bytes) => corrupt(bytes, 29)],
    ['one byte too few', 300_000, (bytes) => answer(200, bytes.subarray(1))],
    ['one byte too many', 300_000, (bytes) => answer(200, Buffer.concat([bytes, SMALL]))],
    ['something longer', 30, () => answer(200, LARGE)],
    ['something of a length that is not told', 300_000, () => answer(200, HTML, unannounced)],
  ])(
    '%s: is refused or breaks the transfer, leaves nothing behind, and is asked for again',
    async (_, n, bad) => {
      const bytes = randomBytes(n);
      const { mismatches } = await stand.overview();
      upstream.blob('team/app', bytes);
      upstream.fault = ({ method }) => (method === 'GET' ? bad(bytes) : undefined);

      const got = await stand.pull(blobPath(bytes));

      // What is seen to be wrong before the answer is begun is no answer; else there is no last byte.
      expect([got.status, got.whole]).not.toEqual([200, true]);
      expect([200, 502]).toContain(got.status);
      await eventually('nothing is left', () => stand.files('spool').length === 0);
      expect(stand.holds(sha256(bytes))).toBe(false);
      expect((await stand.overview()).mismatches).toBe(mismatches + 1);

      upstream.fault = () => undefined;
      const again = await stand.pull(blobPath(bytes));

      expect([again.status, again.whole]).toEqual([200, true]);
      expect(again.body.equals(bytes)).toBe(true);
      expect(upstream.asked('GET', sha256(bytes))).toHaveLength(2);
      await stand.untilHeld(sha256(bytes));
    },
  );

  it('one byte wrong: every reader gets all but the last byte, however many there are', async () => {
    const wrong = Buffer.from(LARGE);
    wrong[1000]! ^= 1;
    const pause = new Pause(wrong, 100_000);
    upstream.fault = ({ method }) => (method === 'GET' ? pause.behaviour : undefined);
    upstream.blob('team/app', LARGE);

    const first = await stand.begin(blobPath(LARGE));
    const others = await Promise.all([1, 2, 3].map(() => stand.begin(blobPath(LARGE))));
    const all = [first, ...others];
    await eventually('all of them read', () =>
      all.every((transfer) => transfer.received().length === 100_000),
    );
    pause.goOn();

    for (const transfer of all) {
      expect(await transfer.whole).toBe(false);
      // Of the rest, the end of the connection may have overtaken some.
      const got = transfer.received();
      expect([got.length < LARGE.length, got.equals(wrong.subarray(0, got.length))]).toEqual([
        true,
        true,
      ]);
    }
    expect(first.headers['content-length']).toBe(String(LARGE.length));
    expect(upstream.asked('GET', sha256(LARGE))).toHaveLength(1);
    expect(stand.holds(sha256(LARGE))).toBe(false);
  });

  it('the last byte waits for the digest: a reader has all but one while the last is on its way', async () => {
    upstream.blob('team/app', LARGE);
    const pause = new Pause(LARGE, LARGE.length - 1);
    upstream.fault = ({ method }) => (method === 'GET' ? pause.behaviour : undefined);

    const transfer = await stand.begin(blobPath(LARGE));
    await eventually('all but one', () => transfer.received().length === LARGE.length - 1);
    expect(stand.holds(sha256(LARGE))).toBe(false);
    pause.goOn();

    expect(await transfer.whole).toBe(true);
    expect(transfer.received().equals(LARGE)).toBe(true);
  });

  it('a manifest that is not its digest is 502, by digest and by tag, and nothing is kept', async () => {
    const right = manifestOf([LARGE]);
    const wrong = manifestOf([SMALL]);
    upstream.fault = () =>
      answer(200, wrong.bytes, {
        'content-type': wrong.mediaType,
        'docker-content-digest': right.digest,
      });

    for (const reference of ['1', right.digest]) {
      const got = await stand.ask(`/v2/team/app/manifests/${reference}`);
      expect([reference, got.status, errorCode(got)]).toEqual([reference, 502, 'UNAVAILABLE']);
    }

    expect([stand.holds(right.digest), stand.holds(wrong.digest)]).toEqual([false, false]);
    upstream.fault = () => undefined;
    upstream.manifest('team/app', '1', right);
    expect((await stand.ask('/v2/team/app/manifests/1')).body.equals(right.bytes)).toBe(true);
  });
});

describe('S6: a tag that moves', () => {
  const old = manifestOf([SMALL]);
  const fresh = manifestOf([LARGE]);

  it('is seen after the TTL and not before, and the old digest’s bytes stay', async () => {
    const { upstream, stand } = await before();
    upstream.manifest('team/app', '1', old);
    await stand.ask('/v2/team/app/manifests/1');
    upstream.manifest('team/app', '1', fresh);

    const within = await stand.untilHit('/v2/team/app/manifests/1');
    await stand.restart({ CACHE_TAG_TTL: '0s' });
    const after = await stand.ask('/v2/team/app/manifests/1');
    const byDigest = await stand.ask(`/v2/team/app/manifests/${old.digest}`);

    expect(within.headers['docker-content-digest']).toBe(old.digest);
    expect(after.headers['docker-content-digest']).toBe(fresh.digest);
    expect(after.body.equals(fresh.bytes)).toBe(true);
    expect(byDigest.body.equals(old.bytes)).toBe(true);
    expect(byDigest.headers['cache-status']).toBe('tidegate; hit');
  });

  it('is seen when a short TTL has passed, without anybody’s doing', async () => {
    const { upstream, stand } = await before({ CACHE_TAG_TTL: '300ms' });
    upstream.manifest('team/app', '1', old);
    await stand.ask('/v2/team/app/manifests/1');
    upstream.manifest('team/app', '1', fresh);

    await eventually('the new one', async () => {
      const { headers } = await stand.ask('/v2/team/app/manifests/1', { method: 'HEAD' });
      return headers['docker-content-digest'] === fresh.digest;
    });

    expect((await stand.ask('/v2/team/app/manifests/1')).body.equals(fresh.bytes)).toBe(true);
  });

  it('is seen at once by all when it was pushed through the gate', async () => {
    const { upstream, stand } = await before();
    upstream.manifest('team/app', '1', old);
    const reader = await stand.account([{ repository: '**', actions: ['pull'] }]);
    await stand.ask('/v2/team/app/manifests/1', { as: reader });

    const push = await stand.ask('/v2/team/app/manifests/1', {
      method: 'PUT',
      headers: { 'content-type': fresh.mediaType },
      body: fresh.bytes,
    });

    expect(push.status).toBe(201);
    for (const as of [undefined, reader]) {
      const got = await stand.ask('/v2/team/app/manifests/1', { as });
      expect(got.headers['docker-content-digest']).toBe(fresh.digest);
    }
  });
});

describe('S8: HEAD of what is not held', () => {
  it('has the length of the GET; nothing is stored, and no GET goes upstream', async () => {
    const { upstream, stand } = await before();
    const manifest = manifestOf([LARGE]);
    upstream.blob('team/app', LARGE);
    upstream.manifest('team/app', '1', manifest);
    const wanted = [
      [blobPath(LARGE), LARGE.length],
      ['/v2/team/app/manifests/1', manifest.bytes.length],
      [`/v2/team/app/manifests/${manifest.digest}`, manifest.bytes.length],
    ] as const;

    for (const [path, length] of wanted) {
      const head = await stand.ask(path, { method: 'HEAD' });
      expect([path, head.status, head.headers['content-length'], head.body.length]).toEqual([
        path,
        200,
        String(length),
        0,
      ]);
    }

    expect(upstream.asked('GET')).toEqual([]);
    expect(stand.files()).toEqual([]);
    for (const [path] of wanted) {
      const head = await stand.ask(path, { method: 'HEAD' });
      const get = await stand.ask(path);
      for (const name of ['content-length', 'content-type', 'docker-content-digest', 'etag'])
        expect([path, name, head.headers[name]]).toEqual([path, name, get.headers[name]]);
    }
  });
});
