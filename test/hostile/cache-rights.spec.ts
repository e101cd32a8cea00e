/** What one account has pulled is in the gate's store; nobody else gets it from there who would not get it upstream. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import { sha256, type Account } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry, type Registry } from '../support/registry';
import { manifestOf, ROBOT, ScriptedRegistry } from '../support/scripted-registry';
import { openWays } from '../support/open-ways';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const LOGIN = { UPSTREAM_USERNAME: ROBOT.username, UPSTREAM_PASSWORD: ROBOT.password };
const SECRET = [{ repository: 'secret/**', actions: ['pull' as const] }];
const OWN = [{ repository: 'team/**', actions: ['pull' as const, 'push' as const] }];

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
