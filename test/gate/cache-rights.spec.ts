/** What one account has pulled is in the gate's store; nobody else gets it from there who would not get it upstream. */
import { randomBytes } from 'node:crypto';
import { CachedStand, type Asking } from '../support/cached-stand';
import { sha256, type Account } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry, type Registry } from '../support/registry';
import {
  heldManifest,
  INDEX,
  manifestOf,
  Pause,
  ROBOT,
  ScriptedRegistry,
  type HeldManifest,
} from '../support/scripted-registry';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const LOGIN = { UPSTREAM_USERNAME: ROBOT.username, UPSTREAM_PASSWORD: ROBOT.password };
const SECRET = [{ repository: 'secret/**', actions: ['pull' as const] }];
const OWN = [{ repository: 'team/**', actions: ['pull' as const, 'push' as const] }];
const REFUSED = [401, 403, 404];

/** All ways of asking for a blob. */
const WAYS: readonly Asking[] = [
  {},
  { method: 'HEAD' },
  { headers: { range: 'bytes=0-9' } },
  { headers: { range: 'bytes=-5' } },
];

/** A refusal comes at once; whoever waits is waiting for bytes. */
function patience(): Promise<undefined> {
  return new Promise((resolve) => setTimeout(resolve, 2_000, undefined));
}

/** Every way of asking, by that account and under that path, that was not refused, or gave something of these bytes. */
async function openWays(
  stand: CachedStand,
  path: string,
  as: Account | null,
  bytes: Buffer,
): Promise<string[]> {
  const digest = sha256(bytes);
  const conditional: Asking = { headers: { 'if-none-match': `"${digest}"` } };
  const open: string[] = [];
  const ways: readonly Asking[] = [...WAYS, conditional, { ...conditional, method: 'HEAD' }];
  for (const way of ways) {
    const asked = `${way.method ?? 'GET'} ${JSON.stringify(way.headers)} ${path}`;
    const got = await Promise.race([stand.begin(path, { ...way, as }), patience()]);
    if (!got) open.push(`no answer to ${asked}`);
    else if (!REFUSED.includes(got.status) || got.headers.etag !== undefined)
      open.push(`${got.status} to ${asked}`);
    // What is refused ends soon; what is not may be on its way for long.
    else if ((await got.whole) && got.received().includes(bytes.subarray(0, 5)))
      open.push(`bytes to ${asked}`);
    got?.leave();
  }
  return open;
}

describeWith(['docker-registry', 'htpasswd', 'openssl'], 'S9: a real registry', () => {
  describe.each(['htpasswd', 'token'] as const)('with a login by %s', (auth) => {
    const image = imageOf(layersWith(80_000));
    const layer = [...image.blobs.values()].at(-1) ?? Buffer.alloc(0);
    const small = [...image.blobs.values()][0] ?? Buffer.alloc(0);
    let registry: Registry;
    let stand: CachedStand;
    let owner: Account;
    let pusher: Account;

    beforeAll(async () => {
      registry = await startRegistry({ auth });
      stand = await CachedStand.open({ ...registry.settings, ANONYMOUS_ACCESS: 'pull' });
      await seed(registry, 'secret/app', '1', image);
      [owner, pusher] = [await stand.account(SECRET), await stand.account(OWN)];
      await stand.untilHit('/v2/secret/app/manifests/1', { as: owner });
      for (const digest of image.blobs.keys())
        await stand.untilHit(`/v2/secret/app/blobs/${digest}`, { as: owner });
    });

    const pathsOf = (name: string) => [
      [`/v2/${name}/manifests/1`, image.manifest] as const,
      [`/v2/${name}/manifests/${image.digest}`, image.manifest] as const,
      [`/v2/${name}/blobs/${sha256(layer)}`, layer] as const,
      [`/v2/${name}/blobs/${sha256(small)}`, small] as const,
    ];

    it('held: neither an account without the right nor a stranger gets it, in any way', async () => {
      const open: string[] = [];
      for (const as of [pusher, null])
        for (const [path, bytes] of pathsOf('secret/app'))
          open.push(...(await openWays(stand, path, as, bytes)));

      expect(open).toEqual([]);
    });

    it('S11: a mount without pull on its source, or without a source, is an ordinary upload', async () => {
      const at = `/v2/team/mounted/blobs/uploads/?mount=${sha256(layer)}`;

      const answers = await Promise.all(
        [at, `${at}&from=secret/app`, `${at}&from=`].map((path) =>
          stand.ask(path, { method: 'POST', as: pusher }),
        ),
      );

      for (const { status } of answers) expect([202, 400]).toContain(status);
      expect(answers.slice(0, 2).map(({ status }) => status)).toEqual([202, 202]);
      const asked = await registry.requests();
      expect(asked.filter(({ path }) => path.includes('mount='))).toEqual([]);
      const path = `/v2/team/mounted/blobs/${sha256(layer)}`;
      expect(await openWays(stand, path, pusher, layer)).toEqual([]);
    });

    it('S12: a delete through the gate is seen there, and nowhere else', async () => {
      for (const name of ['team/one', 'team/two']) {
        await seed(registry, name, '1', image);
        await stand.untilHit(`/v2/${name}/manifests/1`);
        await stand.untilHit(`/v2/${name}/blobs/${sha256(layer)}`);
      }
      const before = await registry.requests();

      const blob = await stand.ask(`/v2/team/one/blobs/${sha256(layer)}`, { method: 'DELETE' });
      const path = `/v2/team/one/manifests/${image.digest}`;
      const manifest = await stand.ask(path, { method: 'DELETE' });

      expect([blob.status, manifest.status]).toEqual([202, 202]);
      for (const [at] of pathsOf('team/one').slice(0, 3))
        for (const method of ['GET', 'HEAD'])
          expect([at, (await stand.ask(at, { method })).status]).toEqual([at, 404]);
      for (const [at, bytes] of pathsOf('team/two')) {
        const got = await stand.ask(at);
        expect([at, got.status, got.body.equals(bytes)]).toEqual([at, 200, true]);
      }
      const gets = (await registry.requests()).slice(before.length);
      expect(gets.filter((r) => r.method === 'GET' && r.path.includes('team/two'))).toEqual([]);
    });
  });
});

describe('S9: an upstream that takes manifests which name what is not theirs', () => {
  let upstream: ScriptedRegistry;
  let stand: CachedStand;
  let owner: Account;
  let pusher: Account;

  beforeAll(async () => {
    upstream = await ScriptedRegistry.start();
    for (const name of ['secret/app', 'secret/twin', 'team/mine', 'team/twin'])
      upstream.close(name);
    const env = { ...upstream.settings, ...LOGIN, ANONYMOUS_ACCESS: 'pull' };
    stand = await CachedStand.open(env);
    [owner, pusher] = [await stand.account(SECRET), await stand.account(OWN)];
  });

  async function push(manifest: HeldManifest): Promise<number> {
    const headers = { 'content-type': manifest.mediaType };
    const sending = { method: 'PUT', headers, body: manifest.bytes, as: pusher };
    return (await stand.ask('/v2/team/mine/manifests/mine', sending)).status;
  }

  it('held: a pusher whose own manifest names the digests gets none of them', async () => {
    const [small, large] = [randomBytes(300), randomBytes(200_000)];
    const secret = manifestOf([small, large]);
    upstream.fault = () => undefined;
    upstream.manifest('secret/app', '1', secret);
    for (const bytes of [small, large]) upstream.blob('secret/app', bytes);
    const digests = [small, large].map((bytes) => sha256(bytes));
    await stand.untilHit('/v2/secret/app/manifests/1', { as: owner });
    for (const digest of digests)
      await stand.untilHit(`/v2/secret/app/blobs/${digest}`, { as: owner });
    const own = manifestOf([small, large, randomBytes(5)]);

    expect(await push(own)).toBe(201);
    const pulled = await stand.ask('/v2/team/mine/manifests/mine', { as: pusher });
    const open: string[] = [];
    for (const as of [pusher, null])
      for (const name of ['team/mine', 'team/other', 'secret/app'])
        for (const [at, bytes] of [
          [`manifests/${secret.digest}`, secret.bytes] as const,
          [`blobs/${secret.digest}`, secret.bytes] as const,
          [`blobs/${sha256(small)}`, small] as const,
          [`blobs/${sha256(large)}`, large] as const,
        ])
          open.push(...(await openWays(stand, `/v2/${name}/${at}`, as, bytes)));

    expect([pulled.status, pulled.body.equals(own.bytes)]).toEqual([200, true]);
    expect(open).toEqual([]);
  });

  it('held: an index that names a private manifest opens none of it', async () => {
    const secret = manifestOf([randomBytes(10)]);
    upstream.fault = () => undefined;
    upstream.manifest('secret/app', '2', secret);
    await stand.untilHit('/v2/secret/app/manifests/2', { as: owner });
    const manifests = [{ ...secret, size: secret.bytes.length, bytes: undefined }];
    const text = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests });

    expect(await push(heldManifest(text, INDEX))).toBe(201);
    expect((await stand.ask('/v2/team/mine/manifests/mine', { as: pusher })).status).toBe(200);
    const path = `/v2/team/mine/manifests/${secret.digest}`;

    expect(await openWays(stand, path, pusher, secret.bytes)).toEqual([]);
  });

  /** A private blob whose fetch, begun by its owner, stands still in the middle. */
  async function halfFetched() {
    const bytes = randomBytes(200_000);
    const digest = upstream.blob('secret/app', bytes);
    const pause = new Pause(bytes, 100_000);
    upstream.fault = ({ method, url, headers }) =>
      method === 'GET' && url.includes(digest) && headers.authorization === upstream.opensWith
        ? pause.behaviour
        : undefined;
    const path = `/v2/secret/app/blobs/${digest}`;
    const transfer = await stand.begin(path, { as: owner });
    expect(transfer.status).toBe(200);
    return { bytes, digest, path, pause, transfer };
  }

  it('being fetched: nobody without the right reads along: no other account, no stranger, no pusher', async () => {
    const { bytes, digest, path, pause, transfer } = await halfFetched();
    expect(await push(manifestOf([bytes]))).toBe(201);
    expect((await stand.ask('/v2/team/mine/manifests/mine', { as: pusher })).status).toBe(200);

    const open: string[] = [];
    for (const as of [pusher, null])
      for (const at of [path, `/v2/team/mine/blobs/${digest}`, `/v2/team/other/blobs/${digest}`])
        open.push(...(await openWays(stand, at, as, bytes)));
    pause.goOn();

    expect(open).toEqual([]);
    expect([await transfer.whole, transfer.received().equals(bytes)]).toEqual([true, true]);
  });

  it('being fetched: whoever has the right joins, under that name and under another, without a second GET', async () => {
    const { bytes, digest, path, pause, transfer } = await halfFetched();
    const second = await stand.account(SECRET);
    upstream.blob('team/twin', bytes);

    const same = await stand.begin(path, { as: second });
    const other = await stand.begin(`/v2/team/twin/blobs/${digest}`, { as: pusher });
    pause.goOn();

    for (const reader of [transfer, same, other]) {
      expect([reader.status, await reader.whole]).toEqual([200, true]);
      expect(reader.received().equals(bytes)).toBe(true);
    }
    for (const reader of [same, other])
      expect(reader.headers['cache-status']).toMatch(/^tidegate; fwd=miss;.* collapsed/);
    expect(upstream.asked('GET', digest)).toHaveLength(1);
    expect(upstream.asked('HEAD', digest)).toEqual([`HEAD /v2/team/twin/blobs/${digest}`]);
    await stand.untilHit(`/v2/team/twin/blobs/${digest}`, { as: pusher });
  });

  it('S12: being fetched: what is deleted meanwhile is gone there for those who come after', async () => {
    const { bytes, path, pause, transfer } = await halfFetched();

    const deleted = await stand.ask(path, { method: 'DELETE' });
    const during = await openWays(stand, path, owner, bytes);
    pause.goOn();
    const whole = await transfer.whole;
    const after = await openWays(stand, path, owner, bytes);

    expect([deleted.status, whole]).toEqual([202, true]);
    expect([during, after]).toEqual([[], []]);
  });

  it('being fetched: what is refused meanwhile is closed to those who come after', async () => {
    const { bytes, path, pause, transfer } = await halfFetched();
    const { fault } = upstream;
    upstream.fault = (seen) =>
      seen.url.includes('secret/app')
        ? (_request, response) => void response.writeHead(403).end()
        : fault(seen);

    const refused = await stand.ask('/v2/secret/app/manifests/1', { as: owner });
    const during = await openWays(stand, path, owner, bytes);
    pause.goOn();
    const whole = await transfer.whole;
    const after = await openWays(stand, path, owner, bytes);

    expect(whole).toBe(true);
    expect(REFUSED).toContain(refused.status);
    expect([during, after]).toEqual([[], []]);
  });

  it('an account whose right is taken away gets nothing more of what is held', async () => {
    const bytes = randomBytes(1000);
    const path = `/v2/secret/app/blobs/${upstream.blob('secret/app', bytes)}`;
    upstream.fault = () => undefined;
    const account = await stand.account(SECRET);
    await stand.untilHit(path, { as: account });

    const changed = await stand.ask(`/admin/users/${account.username}`, {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ access: [] }),
    });

    expect(changed.status).toBe(200);
    expect(await openWays(stand, path, account, bytes)).toEqual([]);
    expect((await stand.ask(path, { as: owner })).status).toBe(200);
  });
});

describe('S9: credentials that the upstream refuses later', () => {
  it('suspend what was seen by them, and open it again when they are taken again', async () => {
    const upstream = await ScriptedRegistry.start();
    const bytes = randomBytes(100_000);
    const manifest = manifestOf([bytes]);
    const open = randomBytes(100_000);
    for (const name of ['secret/app', 'secret/twin', 'secret/else']) {
      upstream.close(name);
      upstream.blob(name, bytes);
      upstream.manifest(name, '1', manifest);
    }
    upstream.blob('open/app', open);
    const env = { ...upstream.settings, ...LOGIN, ANONYMOUS_ACCESS: 'pull' };
    const stand = await CachedStand.open(env);
    const paths = ['secret/app', 'secret/twin'].flatMap((name) => [
      `/v2/${name}/manifests/1`,
      `/v2/${name}/manifests/${manifest.digest}`,
      `/v2/${name}/blobs/${sha256(bytes)}`,
    ]);
    for (const path of paths) await stand.untilHit(path);
    await stand.untilHit(`/v2/open/app/blobs/${sha256(open)}`, { as: null });
    const { opensWith } = upstream;
    upstream.opensWith = 'Basic bm90OnRoaXM=';

    const refused = await stand.ask('/v2/secret/app/manifests/not-held');
    const suspended: string[] = [];
    for (const path of paths)
      for (const method of ['GET', 'HEAD']) {
        const { status } = await stand.ask(path, { method });
        if (status < 400) suspended.push(`${status} ${method} ${path}`);
      }
    const stranger = await stand.ask(`/v2/open/app/blobs/${sha256(open)}`, { as: null });
    const gets = upstream.asked('GET', sha256(bytes)).length;
    upstream.opensWith = opensWith;
    const back = await stand.ask('/v2/secret/else/manifests/1');
    const again = await Promise.all(paths.map((path) => stand.ask(path)));

    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect(suspended).toEqual([]);
    expect([stranger.status, stranger.headers['cache-status']]).toEqual([200, 'tidegate; hit']);
    expect(back.status).toBe(200);
    expect(again.map(({ status }) => status)).toEqual(paths.map(() => 200));
    expect(upstream.asked('GET', sha256(bytes))).toHaveLength(gets);
  });
});
