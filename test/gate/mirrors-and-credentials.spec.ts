/** Mirrors and several credentials of one registry, from the config file to the clients. */
import { answer, FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, send, unique, type Account } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { atTheEnd } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { configFile } from '../support/several-registries';
import { seed, visit, type Visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const [digest = '', bytes] = [...image.blobs][0] ?? [];
const NAME = 'reg.example';
const MANIFEST = `/v2/${NAME}/team/app/manifests/1`;
const BLOB = `/v2/${NAME}/team/app/blobs/${digest}`;

async function visitorOf(gate: Gate): Promise<Visitor> {
  return visit(gate, await gate.addAccount(), `${NAME}/team/app`, 'pull');
}

async function requestsTo(registry: Registry): Promise<string[]> {
  return (await registry.requests()).map(({ method, path }) => `${method} ${path}`);
}

describeWith(['docker-registry', 'htpasswd'], 'a mirror', () => {
  let origin: Registry;
  let mirror: Registry;

  const gateWith = (entry: Record<string, unknown>) =>
    startGate(
      configFile({ name: NAME, url: origin.url, credentials: [origin.credentials!], ...entry }),
    );

  beforeEach(async () => {
    [origin, mirror] = await Promise.all([startRegistry({ auth: 'htpasswd' }), startRegistry()]);
    await seed(origin, 'team/app', '1', image);
    await seed(mirror, 'team/app', '1', image);
  });

  it('serves digests, and the registry says where tags lead', async () => {
    const gate = await gateWith({ mirrors: [{ url: mirror.url }] });
    const who = await visitorOf(gate);
    const before = (await requestsTo(mirror)).length;

    const manifest = await who.ask(MANIFEST);
    const blob = await who.ask(BLOB);

    expect(manifest.body.equals(image.manifest)).toBe(true);
    expect(blob.body.equals(bytes!)).toBe(true);
    const asked = (await requestsTo(mirror)).slice(before);
    expect(asked).toContain(`GET /v2/team/app/blobs/${digest}`);
    expect(asked.filter((request) => request.endsWith('/manifests/1'))).toEqual([]);
    expect(await requestsTo(origin)).not.toContain(`GET /v2/team/app/blobs/${digest}`);
  });

  it('that may be asked for tags stands in for a registry that cannot be reached', async () => {
    const gate = await gateWith({ mirrors: [{ url: mirror.url, tags: true }] });
    const who = await visitorOf(gate);
    await origin.stop();

    expect((await who.ask(MANIFEST)).body.equals(image.manifest)).toBe(true);
    expect((await who.ask(BLOB)).body.equals(bytes!)).toBe(true);
  });

  it('that is away, or knows nothing, costs nobody a pull', async () => {
    const empty = await startRegistry();
    const gate = await gateWith({ mirrors: [{ url: mirror.url }, { url: empty.url }] });
    const who = await visitorOf(gate);
    await mirror.stop();

    expect((await who.ask(MANIFEST)).status).toBe(200);
    expect((await who.ask(BLOB)).body.equals(bytes!)).toBe(true);
  });

  it('sees no credentials, and what it sends wrong comes from the registry the next time', async () => {
    const liar = await FaultServer.start({
      handler: answer(200, Buffer.alloc(bytes!.length), {
        'content-type': 'application/octet-stream',
      }),
    });
    atTheEnd(() => liar.close());
    const gate = await gateWith({ mirrors: [{ url: liar.url.origin }] });
    const who = await visitorOf(gate);

    await who.ask(BLOB).catch(() => undefined);
    const again = await who.ask(BLOB);

    expect(again.body.equals(bytes!)).toBe(true);
    expect(liar.requests.length).toBeGreaterThan(0);
  });
});

describe('several credentials of one registry', () => {
  const [robot, second, stale] = ['robot', 'second', 'stale'].map((username) => ({
    username,
    password: unique(`${username}-`),
  })) as [Account, Account, Account];

  it('may be two passwords of one user, of which one is not right any more or not yet', async () => {
    const good = { username: robot.username, password: unique('new-') };
    const origin = await FaultServer.start({
      own: [robot, good].map((account) => basic(account).authorization),
      handler: (request, response, seen) => {
        if (request.headers.authorization === basic(good).authorization)
          return answer(200, '{"name":"team/app","tags":["1"]}')(request, response, seen);
        response.setHeader('www-authenticate', 'Basic realm="origin"');
        return answer(401, '{}')(request, response, seen);
      },
    });
    atTheEnd(() => origin.close());
    const entry = { name: NAME, url: origin.url.origin, credentials: [robot, good] };
    const gate = await startGate(configFile(entry));
    const who = await visitorOf(gate);

    for (let asked = 0; asked < 4; asked += 1)
      expect((await who.ask(`/v2/${NAME}/team/app/tags/list`)).status).toBe(200);
    expect(gate.output()).not.toContain(robot.password);
  });

  it('take turns, and one that is refused is stood in for and shown to the operator', async () => {
    const good = [robot, second].map((account) => basic(account).authorization);
    const origin = await FaultServer.start({
      own: [...good, basic(stale).authorization],
      handler: (request, response, seen) => {
        if (good.includes(request.headers.authorization ?? ''))
          return answer(200, '{"name":"team/app","tags":["1"]}')(request, response, seen);
        response.setHeader('www-authenticate', 'Basic realm="origin"');
        return answer(401, '{}')(request, response, seen);
      },
    });
    atTheEnd(() => origin.close());
    const credentials = [robot, second, stale];
    const gate = await startGate(configFile({ name: NAME, url: origin.url.origin, credentials }));
    const who = await visitorOf(gate);

    for (let asked = 0; asked < 9; asked += 1)
      expect((await who.ask(`/v2/${NAME}/team/app/tags/list`)).status).toBe(200);

    const shown = origin.requests.map(({ headers }) => headers.authorization);
    const times = (account: Account) =>
      shown.filter((header) => header === basic(account).authorization).length;
    expect([times(robot) > 2, times(second) > 2, times(stale)]).toEqual([true, true, 1]);
    const { text } = await send(`${gate.url}/health`, { headers: basic(gate.admin) });
    expect(text).toContain('"degraded"');
    expect(text).toContain('user stale');
    expect(text + gate.output()).not.toContain(stale.password);
  });
});
