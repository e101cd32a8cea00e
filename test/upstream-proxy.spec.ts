/**
 * The way out through a proxy. The upstream's names exist for the proxy alone, so whatever answers came through it; the
 * servers check that besides by the port that each connection came from.
 */
import { createProxyMiddleware } from 'http-proxy-middleware';
import dns from 'node:dns';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { request } from 'undici';
import { EgressPolicy } from '../src/upstream/egress-policy';
import { discard, readBody, type UpstreamRequest } from '../src/upstream/upstream.client';
import { type Certificate, selfSigned, trust } from './support/certificates';
import { ConnectProxy, type ConnectProxyOptions } from './support/connect-proxy';
import { answer, challenge, FaultServer, json, redirect } from './support/fault-server';
import {
  registryAt,
  upstreamFixture,
  type UpstreamFixture,
  type UpstreamLimits,
} from './support/upstream-fixture';

const NAMES = ['registry.tide.invalid', 'auth.tide.invalid', 'content.invalid'];
const LOGIN = { username: 'gate@corp', password: 'p:ss wörd%' };
const credentials = { username: 'robot', password: 'password' };
const BASIC = `Basic ${Buffer.from('robot:password').toString('base64')}`;
const PUSH = [{ type: 'repository', name: 'team/app', actions: ['pull', 'push'] }];

let certificate: Certificate;
let distrust: () => void;
const ends: Array<() => Promise<unknown>> = [];

beforeAll(() => {
  certificate = selfSigned(NAMES);
  distrust = trust(certificate);
});

afterAll(() => distrust());

afterEach(async () => {
  jest.restoreAllMocks();
  for (const end of ends.splice(0).reverse()) await end();
});

async function started<T extends { close(): Promise<unknown> }>(starting: Promise<T>): Promise<T> {
  const server = await starting;
  ends.push(() => server.close());
  return server;
}

function room(limits: UpstreamLimits): UpstreamFixture {
  const fixture = upstreamFixture(limits);
  ends.push(() => fixture.client.close());
  return fixture;
}

/** A gate in small: streams what it is sent to the registry by the agent for bodies. */
async function relayTo(
  url: URL,
  { client }: UpstreamFixture,
  authorization: string | undefined,
): Promise<string> {
  const relay = createProxyMiddleware({
    target: url.origin,
    changeOrigin: true,
    agent: client.agentFor(registryAt(url), url),
    headers: authorization === undefined ? {} : { authorization },
    on: {
      error: (error, _request, response) =>
        void ('writeHead' in response && response.writeHead(502).end(String(error))),
    },
  });
  const server = http.createServer((request, response) => void relay(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(async () => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A registry, its token endpoint and its content, each at a name of its own behind the proxy. */
async function world(scheme: 'http' | 'https', proxyOptions: ConnectProxyOptions = LOGIN) {
  const tls = scheme === 'https' ? certificate : undefined;
  const [registry, auth, content] = (await Promise.all(
    [1, 2, 3].map(() => started(FaultServer.start({ tls }))),
  )) as [FaultServer, FaultServer, FaultServer];
  const port = scheme === 'https' ? 443 : 80;
  const hosts = {
    'registry.tide.invalid:5000': registry.host,
    [`auth.tide.invalid:${port}`]: auth.host,
    [`content.invalid:${port}`]: content.host,
  };
  const proxy = await started(ConnectProxy.start({ ...proxyOptions, hosts }));
  // The proxy's own login stays with the proxy: none of them owns it.
  registry.owns('Bearer good');
  auth.owns(BASIC);
  auth.handler = json({ token: 'good' });
  content.handler = answer(200, 'layer');
  registry.handler = (request, response, seen) => {
    if (request.headers.authorization !== 'Bearer good') {
      return challenge(`Bearer realm="${scheme}://auth.tide.invalid/token",service="s"`)(
        request,
        response,
        seen,
      );
    }
    if (request.method === 'GET')
      return redirect(`${scheme}://content.invalid/layer?sig=1`)(request, response, seen);
    request.on('end', () => void answer(201)(request, response, seen));
  };
  const at = registryAt(`${scheme}://registry.tide.invalid:5000`, {
    name: 'reg.example',
    credentials: [credentials],
  });
  const outgoingProxy = { [scheme]: proxy.url, except: '' };
  const get: UpstreamRequest = {
    registry: at,
    as: 'configured',
    method: 'GET',
    path: '/v2/team/app/blobs/x',
    access: PUSH,
  };
  return {
    registry,
    auth,
    content,
    proxy,
    at,
    outgoingProxy,
    get,
    servers: [registry, auth, content],
  };
}

describe.each(['http', 'https'] as const)('through a proxy with a login, over %s', (scheme) => {
  it('token, pull, redirect and push pass: no direct connection, no local look-up', async () => {
    const lookup = jest.spyOn(dns, 'lookup');
    const { registry, auth, proxy, at, outgoingProxy, get, servers } = await world(scheme);
    const fixture = room({ outgoingProxy });

    const pulled = await fixture.client.request(get);
    expect(await text(pulled.body)).toBe('layer');
    const manifest = await fixture.client.request({
      ...get,
      method: 'PUT',
      path: '/v2/team/app/manifests/1',
      body: Buffer.from('{}'),
    });
    expect(manifest.status).toBe(201);
    const authorization = await fixture.tokens.authorizationFor(at, 'configured', PUSH, {
      minimumLife: 20,
    });
    const gate = await relayTo(at.url, fixture, authorization);
    const pushed = await fetch(`${gate}/v2/team/app/blobs/uploads/1?_state=a%2fb~c`, {
      method: 'PATCH',
      body: Buffer.alloc(3_000_000),
    });
    expect(pushed.status).toBe(201);

    expect(registry.requests.at(-1)).toMatchObject({
      method: 'PATCH',
      url: '/v2/team/app/blobs/uploads/1?_state=a%2fb~c',
      received: 3_000_000,
      headers: { host: 'registry.tide.invalid:5000' },
    });
    expect(auth.requests[0]?.headers.authorization).toBe(BASIC);
    expect(new Set(proxy.requests.map(({ method }) => method === 'CONNECT'))).toEqual(
      new Set([scheme === 'https']),
    );
    expect(proxy.requests.every(({ authorized }) => authorized)).toBe(true);
    for (const { port } of servers.flatMap(({ requests }) => requests))
      expect(proxy.ports).toContain(port);
    expect(
      lookup.mock.calls.map(([name]) => name).filter((name) => !name.startsWith('127.')),
    ).toEqual([]);
  });

  it('is UNAVAILABLE when the proxy refuses the login, with a word on why and none of the login', async () => {
    const { get, proxy, at, registry } = await world(scheme);
    const wrong = new URL(proxy.url);
    wrong.password = 'guess';
    const fixture = room({ outgoingProxy: { [scheme]: wrong, except: '' } });

    const refused = fixture.client.request(get);

    await expect(refused).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringMatching(/^reg\.example .*outgoing proxy.*407/),
    });
    await expect(refused).rejects.not.toMatchObject({
      message: expect.stringMatching(/guess|127\./),
    });
    const gate = await relayTo(at.url, fixture, undefined);
    const { statusCode, body } = await request(gate, { method: 'POST', body: 'x' });
    await body.dump();
    expect(statusCode).toBe(scheme === 'https' ? 502 : 407);
    expect(registry.accepted).toBe(0);
  });

  it('is UNAVAILABLE when the proxy is down, and never goes around it', async () => {
    const { get, proxy, outgoingProxy, registry } = await world(scheme);
    await proxy.close();
    const fixture = room({ outgoingProxy: { ...outgoingProxy } });

    await expect(fixture.client.request(get)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('outgoing proxy'),
    });
    expect(registry.accepted).toBe(0);
  });

  it('is an error of the upstream when the proxy does not know the name', async () => {
    const { get, outgoingProxy } = await world(scheme);
    const elsewhere = registryAt(`${scheme}://nowhere.invalid`, { name: 'nowhere' });

    await expect(
      room({ outgoingProxy }).client.request({ ...get, registry: elsewhere }),
    ).rejects.toMatchObject({
      code: scheme === 'https' ? 'UNAVAILABLE' : 'BAD_UPSTREAM',
    });
  });

  it.each(['169.254.169.254', '127.0.0.1', '[::ffff:10.0.0.1]', 'localhost', 'vault'])(
    'does not ask it for %s on a redirect',
    async (host) => {
      const { get, registry, proxy, outgoingProxy } = await world(scheme);
      registry.handler = redirect(`${scheme}://${host}/secret`);

      await expect(room({ outgoingProxy }).client.request(get)).rejects.toMatchObject({
        code: 'BAD_UPSTREAM',
      });
      expect(proxy.targets).toEqual(['registry.tide.invalid:5000']);
    },
  );

  it('goes directly where NO_PROXY says so', async () => {
    const { get, proxy, outgoingProxy } = await world(scheme);
    const direct = await started(FaultServer.start({ handler: answer(200) }));
    const fixture = room({
      outgoingProxy: { ...outgoingProxy, http: proxy.url, except: '127.0.0.0/8' },
    });

    await discard(await fixture.client.request({ ...get, registry: registryAt(direct.url) }));
    const gate = await relayTo(direct.url, fixture, undefined);
    expect((await fetch(gate, { method: 'POST', body: 'x' })).status).toBe(200);

    expect([direct.requests.length, proxy.requests.length]).toEqual([2, 0]);
  });
});

describe('connections', () => {
  it('through a proxy that says nothing are UNAVAILABLE after the connect timeout', async () => {
    const { get, proxy, outgoingProxy } = await world('https');
    proxy.stalled = true;

    await expect(
      room({ outgoingProxy, connectTimeout: 200 }).client.request(get),
    ).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  it('to a certificate for another name are BAD_UPSTREAM, in a tunnel and without', async () => {
    const { get, registry, proxy } = await world('https', {});
    const other = registryAt('https://other.invalid', { name: 'other' });
    const tunnelled = await started(
      ConnectProxy.start({ hosts: { 'other.invalid:443': registry.host } }),
    );
    const byAddress = registryAt(registry.url, { name: 'other' });

    for (const [to, outgoingProxy] of [
      [other, { https: tunnelled.url, except: '' }],
      [byAddress, { except: '' }],
    ] as const) {
      await expect(
        room({ outgoingProxy }).client.request({ ...get, registry: to }),
      ).rejects.toMatchObject({
        code: 'BAD_UPSTREAM',
        message: 'other has a TLS certificate for another host name',
      });
    }
    expect([registry.requests.length, proxy.requests.length]).toEqual([0, 0]);
  });

  it('to a name are made where its address may be connected to, and nowhere else', async () => {
    const server = await started(FaultServer.start({ handler: answer(200) }));
    const { dialer } = room({});
    const named = new URL(`http://localhost:${server.port}`);

    await expect(dialer.dial(named, { trust: 'public' })).rejects.toMatchObject({
      fault: 'forbidden',
    });
    await expect(dialer.dial(server.url, { trust: 'private' })).rejects.toMatchObject({
      fault: 'forbidden',
    });
    expect(server.accepted).toBe(0);
    (await dialer.dial(named, { trust: 'loopback' })).destroy();
  });

  it('S1: to a public name that turns private between two look-ups are refused', async () => {
    const inside = await started(FaultServer.start({ handler: answer(200, 'secret') }));
    const registry = await started(
      FaultServer.start({ handler: redirect(`http://rebound.example:${inside.port}/`) }),
    );
    // Only the name server is played: the registry seems public, and so does the host that it names.
    jest.spyOn(EgressPolicy.prototype, 'observe').mockReturnValue(undefined);
    const real = dns.lookup;
    jest
      .spyOn(dns, 'lookup')
      .mockImplementation(((_name: string, options: dns.LookupOptions, done: never) =>
        real('127.0.0.1', options, done)) as never);
    const at = registryAt(`http://registry.example:${registry.port}`, { name: 'reg.example' });

    await expect(
      room({}).client.request({
        registry: at,
        as: 'anonymous',
        method: 'GET',
        path: '/v2/',
        access: [],
      }),
    ).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
    });
    expect([registry.requests.length, inside.accepted]).toEqual([1, 0]);
  });

  it('tell a registry at a private address by where it was found', async () => {
    const content = await started(FaultServer.start({ handler: answer(200, 'layer') }));
    const registry = await started(FaultServer.start({ handler: redirect(content.url) }));
    const real = dns.lookup;
    jest
      .spyOn(dns, 'lookup')
      .mockImplementation(((_name: string, options: dns.LookupOptions, done: never) =>
        real('127.0.0.1', options, done)) as never);
    const at = registryAt(`http://registry.example:${registry.port}`);

    const response = await room({}).client.request({
      registry: at,
      as: 'anonymous',
      method: 'GET',
      path: '/v2/',
      access: [],
    });

    expect((await readBody(response, 100)).toString()).toBe('layer');
  });
});

describe('the agent for bodies', () => {
  it('connects to its own origin, whatever it is asked for', async () => {
    const [own, other] = (await Promise.all(
      [1, 2].map(() => started(FaultServer.start({ handler: answer(200) }))),
    )) as [FaultServer, FaultServer];
    const agent = room({}).client.agentFor(registryAt(own.url), own.url);

    const sent = http.get({ host: '127.0.0.1', port: other.port, agent });
    const [response] = (await once(sent, 'response')) as [http.IncomingMessage];
    response.resume();

    expect([own.requests.length, other.accepted]).toEqual([1, 0]);
  });

  it('gives every request a connection of its own, and leaves none behind', async () => {
    const server = await started(FaultServer.start({ handler: answer(200) }));
    const agent = room({}).client.agentFor(registryAt(server.url), server.url);
    for (const _ of [1, 2]) {
      const [response] = (await once(http.get(server.url, { agent }), 'response')) as [
        http.IncomingMessage,
      ];
      expect(await text(response)).toBe('');
    }
    const left = http.get(server.url, { agent });
    left.on('error', () => undefined);
    left.destroy();

    const deadline = Date.now() + 5_000;
    while ((server.accepted < 3 || server.open > 0) && Date.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5));
    expect([server.accepted, server.open]).toEqual([3, 0]);
  });

  it('fails within the connect timeout when nobody listens', async () => {
    const server = await started(FaultServer.start());
    const url = server.url;
    await server.close();

    const sent = http.get(url, { agent: room({}).client.agentFor(registryAt(url), url) });

    await expect(once(sent, 'response')).rejects.toMatchObject({ fault: 'unreachable' });
  });
});
