/** One repository, reached by host, by path, by ?ns= and by default, is one cache entry and one right. */
import type { Gate } from '../support/gate';
import { startGate } from '../support/gate';
import { bearer, send, tokenFor, type Account, type TokenAnswer, basic } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry, type Registry } from '../support/registry';
import { configFile } from '../support/several-registries';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const [digest = ''] = image.blobs.keys();

/** A way of asking: the path, the query that goes along everywhere, and the Host. */
interface Way {
  readonly way: string;
  readonly name: string;
  readonly query?: string;
  readonly host?: string;
}

const HUB: readonly Way[] = [
  { way: 'default', name: 'team/app' },
  { way: 'path', name: 'docker.io/team/app' },
  { way: 'host', name: 'team/app', host: 'hub.localhost' },
  { way: 'ns', name: 'team/app', query: 'ns=docker.io' },
];
const QUAY: readonly Way[] = [
  { way: 'path', name: 'quay.io/team/app' },
  { way: 'host', name: 'team/app', host: 'quay.localhost' },
  { way: 'ns', name: 'team/app', query: 'ns=quay.io' },
];

describeWith(['docker-registry'], 'one repository, reached in four ways', () => {
  let hub: Registry;
  let quay: Registry;
  let gate: Gate;

  /** Asks as a client does: a token in its own words at the realm of its own way, then the content. */
  async function ask({ name, query, host }: Way, account: Account, rest: string) {
    const hosted: Record<string, string> = host ? { host } : {};
    const inWay = (path: string) =>
      query ? `${path}${path.includes('?') ? '&' : '?'}${query}` : path;
    const url = inWay(`${gate.url}/v2/auth?scope=repository:${name}:pull,push`);
    const granted = await send(url, { headers: { ...basic(account), ...hosted } });
    const { token } = granted.json<TokenAnswer>();
    return send(inWay(`${gate.url}/v2/${name}/${rest}`), {
      headers: { ...bearer(token), ...hosted },
    });
  }

  beforeAll(async () => {
    [hub, quay] = await Promise.all([startRegistry(), startRegistry()]);
    await seed(hub, 'team/app', '1', image);
    await seed(quay, 'team/app', '1', image);
    gate = await startGate(
      configFile(
        { name: 'docker.io', url: hub.url, hosts: ['hub.localhost'] },
        { name: 'quay.io', url: quay.url, hosts: ['quay.localhost'] },
      ),
    );
  });

  it('is fetched once, and held once', async () => {
    const account = await gate.addAccount();
    for (const way of HUB) {
      const manifest = await ask(way, account, 'manifests/1');
      const blob = await ask(way, account, `blobs/${digest}`);
      expect([way.way, manifest.status, blob.status]).toEqual([way.way, 200, 200]);
      expect(blob.body.equals(image.blobs.get(digest)!)).toBe(true);
    }

    const gets = (await hub.requests()).filter(({ method }) => method === 'GET');
    expect(gets.filter(({ path }) => path.includes('/manifests/')).length).toBe(1);
    expect(gets.filter(({ path }) => path.includes('/blobs/')).length).toBe(1);
    const listed = await gate.rest('GET', '/cache/repositories');
    const names = listed.json<{ repositories: { name: string }[] }>().repositories;
    expect(names.map(({ name }) => name)).toEqual(['docker.io/team/app']);
  });

  it('is opened, and closed, by one right', async () => {
    const reader = await gate.addAccount([{ repository: 'docker.io/team/**', actions: ['pull'] }]);
    const before = await Promise.all(HUB.map((way) => ask(way, reader, 'manifests/1')));

    await gate.changeAccount(reader, { access: [] });
    const after = await Promise.all(HUB.map((way) => ask(way, reader, 'manifests/1')));

    expect(before.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    expect(after.map(({ status }) => status)).toEqual([401, 401, 401, 401]);
  });

  it('of one registry has a right that opens nothing at another', async () => {
    const account = await gate.addAccount([{ repository: 'docker.io/team/**', actions: ['pull'] }]);
    const bare = await gate.addAccount([{ repository: 'team/**', actions: ['pull'] }]);
    const admin = await gate.addAccount();
    // Held for somebody: what is closed is not merely absent.
    for (const way of QUAY) expect((await ask(way, admin, 'manifests/1')).status).toBe(200);

    for (const who of [account, bare])
      for (const way of QUAY)
        for (const rest of ['manifests/1', `blobs/${digest}`, 'tags/list'])
          expect([way.way, rest, (await ask(way, who, rest)).status]).toEqual([way.way, rest, 401]);
    expect((await ask(HUB[0]!, bare, 'manifests/1')).status).toBe(200);
  });

  it('is opened in no way by a token that was given for another name', async () => {
    const account = await gate.addAccount();
    const { token } = await tokenFor(gate.url, account, 'repository:docker.io/team/app:pull');

    for (const { name, query, host } of QUAY) {
      const url = `${gate.url}/v2/${name}/manifests/1${query ? `?${query}` : ''}`;
      const headers = { ...bearer(token), ...(host ? { host } : {}) };
      expect((await send(url, { headers })).status).toBe(401);
    }
  });
});
