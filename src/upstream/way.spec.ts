/** Registries with a proxy and certificates of their own, at real servers. */
import { once } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { selfSigned } from '../../test/support/certificates';
import { ConnectProxy } from '../../test/support/connect-proxy';
import {
  answer,
  type Behaviour,
  challenge,
  FaultServer,
  json,
  redirect,
} from '../../test/support/fault-server';
import { atTheEnd } from '../../test/support/lifecycle';
import { registryAt, upstreamFixture } from '../../test/support/upstream-fixture';
import type { Registry } from '../config/registry-table';
import type { OutgoingProxy } from '../config/settings';
import { readBody } from './upstream.client';

const PULL = [{ type: 'repository', name: 'team/app', actions: ['pull'] }];
/** Of an authority that nobody knows but those who are told. */
const own = selfSigned(['localhost'], ['127.0.0.1']);
const NOT_TRUSTED = expect.stringContaining('self-signed TLS certificate');

async function server(handler: Behaviour, tls?: typeof own): Promise<FaultServer> {
  const started = await FaultServer.start({ handler, tls });
  atTheEnd(() => started.close());
  return started;
}

function room(outgoingProxy?: OutgoingProxy) {
  const fixture = upstreamFixture(outgoingProxy ? { outgoingProxy } : {});
  atTheEnd(() => fixture.client.close());
  /** What comes of a pull: its text, or the refusal's message. */
  const pull = async (registry: Registry) => {
    const path = '/v2/team/app/blobs/x';
    const request = { registry, as: 'configured', method: 'GET', path, access: PULL } as const;
    try {
      return (await readBody(await fixture.client.request(request), 1000)).toString();
    } catch (error) {
      return (error as Error).message;
    }
  };
  /** Sends a body by the agent for bodies; gives the status, or the failure. */
  const push = async (registry: Registry) => {
    const { request } = registry.url.protocol === 'https:' ? https : http;
    const agent = fixture.client.agentFor(registry, registry.url);
    const sent = request(new URL('/upload', registry.url), { method: 'PUT', agent });
    sent.end('body');
    try {
      const [response] = (await once(sent, 'response')) as [IncomingMessage];
      response.resume();
      return response.statusCode;
    } catch (error) {
      return (error as Error).message;
    }
  };
  return { ...fixture, pull, push };
}

describe('certificates of a registry', () => {
  it('are trusted for that registry, and by no other at the same address', async () => {
    const upstream = await server(answer(200, 'layer'), own);
    const { pull, push } = room();
    const trusting = registryAt(upstream.url, { ca: own.cert });
    const other = registryAt(upstream.url, { name: 'other' });

    expect(await pull(trusting)).toBe('layer');
    const { accepted } = upstream;
    // A connection of the first is kept, and must not serve the second.
    expect(await pull(other)).toEqual(NOT_TRUSTED);
    expect(await pull(trusting)).toBe('layer');
    expect(upstream.accepted).toBe(accepted + 1);

    expect([await push(trusting), await push(other)]).toEqual([
      200,
      expect.stringContaining('self-signed'),
    ]);
  });

  it('are trusted beside the usual ones, and for the names alone that they are for', async () => {
    const upstream = await server(answer(200, 'layer'), own);
    const stranger = selfSigned(['elsewhere.example']);
    const elsewhere = await server(answer(200, 'layer'), stranger);
    const { pull } = room();

    expect(await pull(registryAt(upstream.url, { ca: `${stranger.cert}${own.cert}` }))).toBe(
      'layer',
    );
    expect(await pull(registryAt(elsewhere.url, { ca: stranger.cert }))).toContain(
      'has a TLS certificate for another host name',
    );
  });

  it('are trusted for its token endpoint, and for hosts that the operator named', async () => {
    const auth = await server(json({ token: 't' }), own);
    const content = await server(answer(200, 'layer'), own);
    const upstream = await server((request, response, seen) => {
      const realm = `https://localhost:${auth.port}/token`;
      const behaviour = request.headers.authorization
        ? redirect(`https://localhost:${content.port}/layer`)
        : challenge(`Bearer realm="${realm}",service="s"`);
      return behaviour(request, response, seen);
    }, own);
    upstream.owns('Bearer t');
    const { pull } = room();
    const hosts = { authHosts: ['localhost'], redirectHosts: ['localhost'] };

    expect(await pull(registryAt(upstream.url, { ...hosts, ca: own.cert }))).toBe('layer');
  });

  it('vouch for no host that the operator did not name', async () => {
    const content = await server(answer(200, 'layer'), own);
    const upstream = await server(redirect(`https://localhost:${content.port}/layer`), own);

    const got = await room().pull(registryAt(upstream.url, { name: 'r', ca: own.cert }));

    expect(got).toMatch(/^the content host of r has a self-signed TLS certificate/);
    expect(content.requests).toEqual([]);
  });
});

describe('the proxy of a registry', () => {
  async function world(tls?: typeof own) {
    const [auth, content] = await Promise.all([
      server(json({ token: 't' }), tls),
      server(answer(200, 'layer'), tls),
    ]);
    const upstream = await server((request, response, seen) => {
      if (request.method === 'PUT') return answer(201)(request, response, seen);
      const behaviour = request.headers.authorization
        ? redirect(new URL('/layer', content.url))
        : challenge(`Bearer realm="${auth.url}token",service="s"`);
      return behaviour(request, response, seen);
    }, tls);
    upstream.owns('Bearer t');
    const proxy = await ConnectProxy.start({ username: 'out', password: 'ward' });
    atTheEnd(() => proxy.close());
    const everywhere = [upstream, auth, content];
    const directly = () =>
      everywhere.flatMap(({ requests }) => requests).filter(({ port }) => !proxy.ports.has(port));
    return { auth, content, upstream, proxy, everywhere, directly };
  }

  it.each([
    ['http', undefined],
    ['https', own],
  ])('is taken for all its requests over %s, whatever NO_PROXY says', async (_scheme, tls) => {
    const { upstream, proxy, everywhere, directly } = await world(tls);
    const { pull, push } = room({ except: '*' });
    const hosts = { authHosts: ['127.0.0.1'], redirectHosts: ['127.0.0.1'] };
    const registry = registryAt(upstream.url, { proxy: proxy.url, ca: tls?.cert, ...hosts });

    expect(await pull(registry)).toBe('layer');
    expect(await push(registry)).toBe(201);

    expect(everywhere.map(({ requests }) => requests.length)).toEqual([3, 1, 1]);
    expect(directly()).toEqual([]);
  });

  it('is taken instead of that of the settings, and by nobody else', async () => {
    const { upstream, proxy, directly } = await world();
    const general = await ConnectProxy.start();
    atTheEnd(() => general.close());
    const { pull } = room({ http: general.url, except: '' });

    expect(await pull(registryAt(upstream.url, { proxy: proxy.url }))).toBe('layer');
    expect([general.requests, directly()]).toEqual([[], []]);

    const before = proxy.requests.length;
    expect(await pull(registryAt(upstream.url, { name: 'other' }))).toBe('layer');
    expect(general.requests.length).toBeGreaterThan(0);
    expect(proxy.requests).toHaveLength(before);
  });

  it('that does not answer is told of as that, and never gone around', async () => {
    const { upstream, proxy, everywhere } = await world();
    const { url } = proxy;
    await proxy.close();

    const got = await room().pull(registryAt(upstream.url, { name: 'r', proxy: url }));

    expect(got).toBe('r cannot be reached: the outgoing proxy cannot be reached');
    expect(everywhere.map(({ accepted }) => accepted)).toEqual([0, 0, 0]);
  });
});
