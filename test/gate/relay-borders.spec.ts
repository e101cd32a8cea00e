/** Relay at its borders: what nobody's login, an old token, or an upload that was begun elsewhere must not reach. */
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { answer, challenge, FaultServer, json, type Behaviour } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import {
  askToken,
  basic,
  bearer,
  send,
  sha256,
  tokenFor,
  unique,
  type Account,
} from '../support/http';
import { atTheEnd, eventually, freshFolder } from '../support/lifecycle';
import { heldManifest } from '../support/scripted-registry';
import { configFile } from '../support/several-registries';

const robot: Account = { username: 'robot', password: unique('robot-') };
const anybody: Account = { username: 'anybody', password: 'whatever' };
const manifest = heldManifest('{"schemaVersion":2}');
const MANIFEST = { 'content-type': manifest.mediaType };

async function server(handler: Behaviour, ...own: string[]): Promise<FaultServer> {
  const started = await FaultServer.start({ handler, own });
  atTheEnd(() => started.close());
  return started;
}

/** Reads and answers uploads alike for whoever shows one of these. */
function taking(ask: string, ...shown: (string | undefined)[]): Behaviour {
  return (request, response, seen) => {
    const { method = '', url = '' } = request;
    const reply = () => {
      if (!shown.includes(request.headers.authorization)) return challenge(ask);
      if (method === 'POST')
        return answer(202, '', {
          location: '/v2/team/app/blobs/uploads/1',
          'docker-upload-uuid': '1',
        });
      if (method === 'PATCH') return answer(202, '', { location: url, range: '0-3' });
      if (method === 'PUT') return answer(201, '', { 'docker-content-digest': manifest.digest });
      if (url === '/v2/') return answer(200, '{}');
      return answer(200, manifest.bytes, {
        ...MANIFEST,
        'docker-content-digest': manifest.digest,
      });
    };
    return reply()(request, response, seen);
  };
}

describe('a registry that lets everybody in and asks for a login later', () => {
  let upstream: FaultServer;

  beforeAll(async () => {
    const closed = taking('Basic realm="later"', basic(robot).authorization);
    upstream = await server(
      (request, response, seen) =>
        (request.url === '/v2/' ? answer(200, '{}') : closed)(request, response, seen),
      ...[robot, anybody].map((account) => basic(account).authorization),
    );
  });

  const gateWith = (env: Record<string, string>) =>
    startGate({
      AUTH_MODE: 'relay',
      UPSTREAM_REGISTRY: upstream.url.origin,
      UPSTREAM_USERNAME: robot.username,
      UPSTREAM_PASSWORD: robot.password,
      ANONYMOUS_REPOSITORIES: 'team/**',
      ...env,
    });
  const statuses = (gate: Gate, headers: Record<string, string>, from?: string) =>
    Promise.all([
      send(`${gate.url}/v2/team/app/manifests/1`, { headers, from }),
      send(`${gate.url}/v2/team/app/manifests/1`, {
        method: 'PUT',
        headers: { ...headers, ...MANIFEST },
        body: manifest.bytes,
        from,
      }),
      send(`${gate.url}/v2/team/app/manifests/${manifest.digest}`, {
        method: 'DELETE',
        headers,
        from,
      }),
      send(`${gate.url}/v2/team/app/blobs/uploads/`, { method: 'POST', headers, from }),
    ]).then((answers) => answers.map(({ status }) => status));

  it('is not pushed to with the gate’s own credentials by clients without any, in a repository that they read', async () => {
    const gate = await gateWith({ ANONYMOUS_ACCESS: 'pull' });
    const { token } = await tokenFor(gate.url, anybody, 'repository:team/app:pull,push,delete');

    for (const headers of [basic(anybody), bearer(token)])
      expect(await statuses(gate, headers)).toEqual([200, 403, 403, 403]);
    expect(
      upstream.requests.filter(
        ({ method, headers }) => method !== 'GET' && method !== 'HEAD' && headers.authorization,
      ),
    ).toEqual([]);
  });

  it('is read with them by a trusted network alone, where that is what may read', async () => {
    const gate = await gateWith({ TRUSTED_NETWORKS: '127.0.0.5' });
    const url = `${gate.url}/v2/team/app/manifests/1`;

    expect((await send(url, { from: '127.0.0.5' })).status).toBe(200);
    expect((await send(url)).status).toBe(403);
    expect((await send(url, { headers: basic(anybody) })).status).toBe(403);
  });
});

describe('a token that was given to nobody', () => {
  it('is worth nothing outside the trusted network, where logins are listed', async () => {
    const realm = () => `Bearer realm="${upstream.url.origin}/token",service="up"`;
    const upstream: FaultServer = await server((request, response, seen) =>
      (request.url?.startsWith('/token')
        ? json({ token: 'of-the-upstream', refresh_token: 'refresh' })
        : taking(realm(), 'Bearer of-the-upstream'))(request, response, seen),
    );
    upstream.owns('Bearer of-the-upstream');
    const gate = await startGate({
      AUTH_MODE: 'relay',
      UPSTREAM_REGISTRY: upstream.url.origin,
      ACCOUNTS: Buffer.from('listed:secret').toString('base64'),
      TRUSTED_NETWORKS: '127.0.0.5',
    });
    const url = `${gate.url}/v2/auth?offline_token=true&scope=repository:team/app:pull`;
    const given = await send(url, { from: '127.0.0.5' });
    const { token, refresh_token: refresh } = given.json<{
      token: string;
      refresh_token: string;
    }>();
    const path = `${gate.url}/v2/team/app/manifests/1`;
    const redeem = (from?: string) =>
      send(`${gate.url}/v2/auth`, {
        method: 'POST',
        from,
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
        body: `grant_type=refresh_token&refresh_token=${encodeURIComponent(refresh)}`,
      });

    expect((await send(path, { from: '127.0.0.5', headers: bearer(token) })).status).toBe(200);
    expect((await redeem('127.0.0.5')).status).toBe(200);
    expect((await send(path, { headers: bearer(token) })).status).toBe(401);
    expect((await redeem()).status).toBe(401);
  });
});

describe('what /v2/ answers when it is no answer to the question', () => {
  it.each([403, 404])('%i does not open the registry to every login', async (status) => {
    const upstream = await server(answer(status, '', { location: '/elsewhere' }));
    const gate = await startGate({ AUTH_MODE: 'relay', UPSTREAM_REGISTRY: upstream.url.origin });

    const login = await askToken(gate.url, anybody);

    expect(login.status).toBe(502);
  });
});

describe('an upload', () => {
  it('does not go on where the registry was, once it is somewhere else', async () => {
    const other: Account = { username: 'other', password: unique('other-') };
    const registryOf = (account: Account) => {
      const { authorization } = basic(account);
      return server(taking('Basic realm="x"', authorization), authorization);
    };
    const [before, after] = [await registryOf(robot), await registryOf(other)];
    const dataDir = freshFolder('moved');
    const configure = (registry: FaultServer, credentials: Account) => {
      const file = join(dataDir, 'tidegate.yaml');
      const entry = { name: 'x.example', url: registry.url.origin, credentials: [credentials] };
      writeFileSync(`${file}.new`, JSON.stringify({ registries: [entry] }));
      renameSync(`${file}.new`, file);
    };
    configure(before, robot);
    const gate = await startGate({ DATA_DIR: dataDir });
    const headers = basic(gate.admin);
    const begun = await send(`${gate.url}/v2/x.example/team/app/blobs/uploads/`, {
      method: 'POST',
      headers,
    });
    const location = `${gate.url}${begun.headers.location}`;
    configure(after, other);
    await eventually('it is asked where it is now', async () => {
      await send(`${gate.url}/v2/x.example/team/app/manifests/1`, { headers });
      return after.requests.length > 0;
    });

    const patched = await send(location, { method: 'PATCH', headers, body: 'body' });
    const put = await send(`${location}&digest=${sha256('body')}`, {
      method: 'PUT',
      headers,
      body: 'body',
    });
    const asked = await send(location, { headers });

    expect(before.requests.map(({ method }) => method)).not.toContain('PATCH');
    expect([begun, patched, put, asked].map(({ status }) => status)).toEqual([202, 404, 404, 404]);
  });
});

describe('clients of one name at two registries', () => {
  it('do not use up each other’s uploads', async () => {
    const each = await Promise.all(
      ['one', 'two'].map(() =>
        server(taking('Basic realm="x"', basic(robot).authorization), basic(robot).authorization),
      ),
    );
    const dataDir = freshFolder('namesakes');
    const registries = each.map(({ url }, at) => ({
      name: `r${at}.example`,
      url: url.origin,
      hosts: [`r${at}.localhost`],
    }));
    writeFileSync(join(dataDir, 'tidegate.yaml'), JSON.stringify({ registries }));
    const gate = await startGate({ DATA_DIR: dataDir, AUTH_MODE: 'relay', MAX_UPLOADS: '1' });
    const begin = async (host: string) =>
      (
        await send(`${gate.url}/v2/team/app/blobs/uploads/`, {
          method: 'POST',
          headers: { host, ...basic(robot) },
        })
      ).status;

    expect(await begin('r0.localhost')).toBe(202);
    expect(await begin('r0.localhost')).toBe(429);
    expect(await begin('r1.localhost')).toBe(202);
  });
});

describe('strangers who are refused', () => {
  it('take nothing back from those who are not, however often they ask', async () => {
    const blob = Buffer.alloc(100_000, 'held');
    const path = `/v2/team/app/blobs/${sha256(blob)}`;
    const good = ['Bearer one', 'Bearer two'];
    const upstream = await server(answer(401), ...good, 'Bearer made-up');
    const gate = await startGate({ AUTH_MODE: 'relay', UPSTREAM_REGISTRY: upstream.url.origin });
    upstream.handler = async (request, response, seen) => {
      const { authorization } = request.headers;
      if (!good.includes(authorization ?? ''))
        return challenge(`Bearer realm="${upstream.url.origin}/token"`)(request, response, seen);
      if (request.method === 'HEAD' && authorization === 'Bearer two')
        await send(`${gate.url}${path}`, { headers: bearer('made-up') });
      return answer(200, blob)(request, response, seen);
    };
    const ask = (token: string) => send(`${gate.url}${path}`, { headers: bearer(token) });
    await eventually('it is held', async () =>
      String((await ask('one')).headers['cache-status']).includes('hit'),
    );

    const first = await ask('two');
    const heads = upstream.requests.filter(({ method }) => method === 'HEAD').length;
    const again = await ask('two');

    expect([first.status, again.status]).toEqual([200, 200]);
    expect(upstream.requests.filter(({ method }) => method === 'HEAD').length).toBe(heads);
    expect((await ask('made-up')).status).toBe(401);
  });
});

describe('strangers who push and delete', () => {
  it('take nothing from those who pull, whether they are refused or the registry is away', async () => {
    const blob = Buffer.alloc(100_000, 'held');
    const digest = sha256(blob);
    const upstream: FaultServer = await server((request, response, seen) => {
      const known = request.headers.authorization === 'Bearer one';
      const refusal = challenge(`Bearer realm="${upstream.url.origin}/token"`);
      return (known ? answer(200, blob) : refusal)(request, response, seen);
    });
    upstream.owns('Bearer one', 'Bearer made-up');
    const gate = await startGate({ AUTH_MODE: 'relay', UPSTREAM_REGISTRY: upstream.url.origin });
    const ask = (token: string, path: string, method = 'GET') =>
      send(`${gate.url}/v2/team/app/${path}`, {
        method,
        headers: { ...bearer(token), ...MANIFEST },
        body: method === 'PUT' ? manifest.bytes : undefined,
      });
    const isHit = async () =>
      String((await ask('one', `blobs/${digest}`)).headers['cache-status']).includes('hit');
    const vandalize = async () => [
      (await ask('made-up', `blobs/${digest}`, 'DELETE')).status,
      (await ask('made-up', 'manifests/1', 'PUT')).status,
    ];
    await eventually('it is held', isHit);

    expect(await vandalize()).toEqual([401, 401]);
    expect(await isHit()).toBe(true);
    await upstream.close();
    expect(await vandalize()).toEqual([503, 503]);
    expect(await isHit()).toBe(true);
  });
});

describe('docker search, by a login at the registry', () => {
  it.each(['relay', 'passthrough'])('finds what another registry has, in %s', async (mode) => {
    const own = basic(robot).authorization;
    const upstream = await server(
      taking('Basic realm="x"', own),
      own,
      basic(anybody).authorization,
    );
    const other = await server(json({ results: [{ name: 'team/app' }] }));
    const gate = await startGate({
      AUTH_MODE: mode,
      UPSTREAM_REGISTRY: upstream.url.origin,
      ...configFile({ name: 'other.example', url: other.url.origin }),
    });

    const found = await send(`${gate.url}/v1/search?q=other.example/app`, {
      headers: basic(anybody),
    });

    expect(found.json()).toMatchObject({ results: [{ name: 'other.example/team/app' }] });
  });

  it('takes the token that docker fetches for it', async () => {
    const upstream: FaultServer = await server((request, response, seen) => {
      const { url = '' } = request;
      const realm = `Bearer realm="${upstream.url.origin}/token",service="up"`;
      if (url.startsWith('/token')) return json({ token: 'good' })(request, response, seen);
      if (url.startsWith('/v1/search'))
        return json({ results: [{ name: 'team/app' }] })(request, response, seen);
      return taking(realm, 'Bearer good')(request, response, seen);
    });
    upstream.owns('Bearer good', basic(anybody).authorization);
    const gate = await startGate({ AUTH_MODE: 'relay', UPSTREAM_REGISTRY: upstream.url.origin });
    const { token } = await tokenFor(gate.url, anybody, 'registry:catalog:search');
    const search = (shown: string) =>
      send(`${gate.url}/v1/search?q=app`, { headers: bearer(shown) });

    expect((await search(token)).json()).toMatchObject({ results: [{ name: 'team/app' }] });
    expect((await search(`${token}x`)).status).toBe(401);
    expect(
      upstream.requests
        .filter(({ url }) => url.startsWith('/v1/'))
        .map(({ headers }) => headers.authorization),
    ).toEqual([undefined]);
  });
});
