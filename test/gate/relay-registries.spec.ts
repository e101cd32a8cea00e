/** Relay with several registries: a login for one is never shown to another, and a token for one is worth nothing elsewhere. */
import { answer as answering, FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import {
  basic,
  bearer,
  send,
  unique,
  type Account,
  type Sending,
  type TokenAnswer,
} from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry, type Registry } from '../support/registry';
import { configFile } from '../support/several-registries';
import { seed } from '../support/stand';
import { atTheEnd } from '../support/lifecycle';
import { describeWith } from '../support/tools';

const HOME = 'home.example';
const OTHER = 'other.example';
const image = imageOf(layersWith(1000));
const SCOPE = 'repository:team/app:pull,push';

/** Ways in which a request reaches the other registry. */
const WAYS = [
  ['by host', (path: string) => [path, { host: 'other.localhost' }]],
  ['by path', (path: string) => [path.replace('/v2/', `/v2/${OTHER}/`), {}]],
  ['by ns', (path: string) => [`${path}?ns=${OTHER}`, {}]],
] as const;

describeWith(['docker-registry', 'htpasswd', 'openssl'], 'a login for one registry', () => {
  let registry: Registry;
  let canary: FaultServer;
  let gate: Gate;
  let owner: Account;

  /** What the other registry asks for; it answers no request without it. */
  const asking = (challenge: string) => {
    canary.handler = (request, response, seen) => {
      if (request.headers.authorization === 'Bearer of-the-canary')
        return answering(200, '{"errors":[]}')(request, response, seen);
      if (request.url?.startsWith('/token'))
        return answering(200, '{"token":"of-the-canary"}')(request, response, seen);
      response.setHeader('www-authenticate', challenge);
      return answering(401, '{"errors":[{"code":"UNAUTHORIZED"}]}')(request, response, seen);
    };
  };
  const seenByCanary = () =>
    JSON.stringify(canary.requests.map(({ url, headers }) => [url, headers]));

  async function tokenAt(headers: Record<string, string>, query: string): Promise<string> {
    const sending = { headers: { ...headers, ...basic(owner) } };
    const answer = await send(`${gate.url}/v2/auth?${query}`, sending);
    return answer.json<TokenAnswer>().token;
  }

  beforeAll(async () => {
    registry = await startRegistry({ auth: 'token' });
    owner = registry.credentials!;
    await seed(registry, 'team/app', '1', image);
    canary = await FaultServer.start({ own: ['Bearer of-the-canary'] });
    atTheEnd(() => canary.close());
    gate = await startGate({
      AUTH_MODE: 'relay',
      UPSTREAM_REGISTRY: registry.url,
      ...configFile(
        { name: HOME, url: registry.url, hosts: ['home.localhost'] },
        { name: OTHER, url: canary.url.origin, hosts: ['other.localhost'] },
      ),
    });
  });

  const challenges = [
    ['Bearer', () => `Bearer realm="${canary.url.origin}/token",service="canary"`],
    ['Basic', () => 'Basic realm="canary"'],
  ] as const;

  it.each(
    challenges.flatMap(([scheme, challenge]) =>
      WAYS.map(([way, to]) => ({ scheme, challenge, way, to })),
    ),
  )('is not shown to another that asks for $scheme, reached $way', async ({ challenge, to }) => {
    asking(challenge());
    const before = canary.requests.length;
    const token = await tokenAt({}, `scope=${SCOPE}`);
    const paths = ['/v2/team/app/manifests/1', '/v2/team/app/tags/list'];
    const sendings: Sending[] = [
      { headers: bearer(token) },
      { method: 'PUT', headers: bearer(token) },
    ];

    for (const path of paths)
      for (const sending of sendings) {
        const [asked, headers] = to(path);
        await send(`${gate.url}${asked}`, {
          ...sending,
          headers: { ...sending.headers, ...headers },
        });
      }

    const seen = seenByCanary();
    expect(canary.requests.length).toBeGreaterThanOrEqual(before);
    expect(seen).not.toContain(token);
    expect(seen).not.toContain(token.split('.').slice(3).join('.'));
    expect(seen).not.toContain(owner.password);
    expect(seen).not.toContain(basic(owner).authorization);
  });

  it.each(WAYS.slice(1))(
    'is not shown to another by a request with the password itself, reached %s',
    async (_way, to) => {
      asking('Basic realm="canary"');
      const [path, headers] = to('/v2/team/app/manifests/1');
      await send(`${gate.url}${path}`, { headers: { ...basic(owner), ...headers } });
      await tokenAt({}, `scope=repository:${OTHER}/team/app:pull`);
      await tokenAt({}, `ns=${OTHER}&scope=repository:team/app:pull`);

      expect(seenByCanary()).not.toContain(basic(owner).authorization);
      expect(seenByCanary()).not.toContain(owner.password);
    },
  );

  it('gives tokens that are worth nothing at another host, nor under another ns', async () => {
    asking('Basic realm="canary"');
    const home = { host: 'home.localhost' };
    const status = async (path: string, token: string, headers: Record<string, string> = {}) =>
      (await send(`${gate.url}${path}`, { headers: { ...bearer(token), ...headers } })).status;
    const atHome = await tokenAt(home, `scope=${SCOPE}`);
    const byNs = await tokenAt({}, `ns=${OTHER}&scope=repository:team/app:pull`);
    const path = '/v2/team/app/manifests/1';

    expect(await status(path, atHome, home)).toBe(200);
    expect(await status(path, atHome)).toBe(401);
    expect(await status(path, atHome, { host: 'other.localhost' })).toBe(401);
    expect(await status(`${path}?ns=${OTHER}`, atHome, home)).toBe(401);
    expect(await status(`${path}?ns=${HOME}`, byNs)).toBe(401);
    expect(await status(path, byNs, home)).toBe(401);
    expect(await status('/v2/', byNs)).toBe(401);
  });

  it('is answered alike at the token endpoint for whoever asks in turn', async () => {
    const query = `scope=${SCOPE}`;
    const own = await send(`${gate.url}/v2/auth?${query}`, { headers: basic(owner) });
    const wrong = { username: owner.username, password: unique('wrong-') };
    const other = await send(`${gate.url}/v2/auth?${query}`, { headers: basic(wrong) });
    const nobody = await send(`${gate.url}/v2/auth?${query}`);

    expect([own.status, other.status, nobody.status]).toEqual([200, 401, 401]);
  });
});

describeWith(['docker-registry', 'htpasswd'], 'registries beside one’s own', () => {
  const listed: Account = { username: 'listed', password: unique('listed-') };
  let home: Registry;
  let closed: Registry;
  let open: Registry;

  const gateWith = (env: Record<string, string>) =>
    startGate({
      AUTH_MODE: 'relay',
      UPSTREAM_REGISTRY: home.url,
      ...configFile(
        { name: 'closed.example', url: closed.url, credentials: [closed.credentials!] },
        { name: 'open.example', url: open.url },
      ),
      ...env,
    });
  const accounts = Buffer.from(`${listed.username}:${listed.password}`).toString('base64');

  async function pull(gate: Gate, name: string, account?: Account): Promise<number> {
    const scope = `repository:${name}/team/app:pull,push`;
    const headers = account ? basic(account) : {};
    const token = await send(`${gate.url}/v2/auth?scope=${scope}`, { headers });
    if (token.status !== 200) return token.status;
    const bearing = bearer(token.json<TokenAnswer>().token);
    const push = `${gate.url}/v2/${name}/team/app/blobs/uploads/`;
    const refused = await send(push, { method: 'POST', headers: bearing });
    expect([refused.status, refused.body.toString()]).toEqual([
      403,
      expect.stringContaining(`pushes to ${name} need a host of its own here`),
    ]);
    return (await send(`${gate.url}/v2/${name}/team/app/manifests/1`, { headers: bearing })).status;
  }

  beforeAll(async () => {
    [home, closed, open] = await Promise.all([
      startRegistry(),
      startRegistry({ auth: 'htpasswd' }),
      startRegistry(),
    ]);
    await seed(closed, 'team/app', '1', image);
    await seed(open, 'team/app', '1', image);
  });

  it('are read anonymously, and never pushed to, where nobody is listed', async () => {
    const gate = await gateWith({});

    expect(await pull(gate, 'open.example')).toBe(200);
    expect(await pull(gate, 'open.example', listed)).toBe(200);
    expect(await pull(gate, 'closed.example', listed)).toBe(403);
  });

  it('are read with the gate’s own credentials by those who are listed', async () => {
    const gate = await gateWith({ ACCOUNTS: accounts });

    expect(await pull(gate, 'closed.example', listed)).toBe(200);
    expect(await pull(gate, 'open.example', listed)).toBe(200);
    expect(await pull(gate, 'open.example')).toBe(401);
    expect(await pull(gate, 'closed.example', { ...listed, password: 'wrong' })).toBe(401);
  });
});
