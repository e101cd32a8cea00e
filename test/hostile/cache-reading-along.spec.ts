/**
 * Naming a digest is no right to it, nor is coming while it is being fetched: each name has the upstream's own yes, or
 * nothing.
 */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import { sha256, type Account } from '../support/http';
import { openWays, REFUSED } from '../support/open-ways';
import {
  heldManifest,
  INDEX,
  manifestOf,
  Pause,
  ROBOT,
  ScriptedRegistry,
  type HeldManifest,
} from '../support/scripted-registry';

const LOGIN = { UPSTREAM_USERNAME: ROBOT.username, UPSTREAM_PASSWORD: ROBOT.password };
const SECRET = [{ repository: 'secret/**', actions: ['pull' as const] }];
const OWN = [{ repository: 'team/**', actions: ['pull' as const, 'push' as const] }];

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
