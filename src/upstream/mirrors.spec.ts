/** Mirrors, as requests meet them. */
import { text } from 'node:stream/consumers';
import {
  answer,
  type Behaviour,
  challenge,
  FaultServer,
  json,
  redirect,
  reset,
  stall,
  tooManyRequests,
} from '../../test/support/fault-server';
import { selfSigned } from '../../test/support/certificates';
import { ConnectProxy } from '../../test/support/connect-proxy';
import { atTheEnd } from '../../test/support/lifecycle';
import { registryAt, upstreamFixture } from '../../test/support/upstream-fixture';
import { ClientLogin } from '../config/principal';
import type { Registry } from '../config/registry-table';
import type { Digest } from '../oci/digest';
import type { Tag } from '../oci/reference';
import { OciError } from '../oci/oci-error';
import type { UpstreamRequest } from './upstream.client';

const DIGEST = `sha256:${'a'.repeat(64)}` as Digest;
const LATEST = 'latest' as Tag;
const ROBOT = { username: 'robot', password: 'hunter2hunter2' };

async function server(handler: Behaviour, tls?: { key: string; cert: string }) {
  const started = await FaultServer.start({ handler, tls });
  atTheEnd(() => started.close());
  return started;
}

/** A registry that says `origin`, with mirrors that do that. */
async function world(mirrors: readonly Behaviour[], { tags = false } = {}) {
  const origin = await server(answer(200, 'origin'));
  const servers = await Promise.all(mirrors.map((mirror) => server(mirror)));
  const registry = registryAt(origin.url, {
    name: 'reg.example',
    credentials: [ROBOT],
    mirrors: servers.map(({ url }) => ({ url, tags })),
  });
  const fixture = upstreamFixture({ headerTimeout: 300 });
  atTheEnd(() => fixture.client.close());
  return { ...fixture, origin, servers, registry, ask: asker(fixture, registry) };
}

interface Came {
  readonly status?: number;
  readonly body?: string;
  readonly code?: string;
  readonly distrust?: () => void;
}

/** Asks, and gives what came, or the error's code. */
function asker({ client }: ReturnType<typeof upstreamFixture>, registry: Registry) {
  return async (more: Partial<UpstreamRequest> = {}): Promise<Came> => {
    const { mirrored = DIGEST } = more;
    const request: UpstreamRequest = {
      registry,
      as: 'configured',
      method: 'GET',
      path: `/v2/team/app/blobs/${mirrored}`,
      access: [{ type: 'repository', name: 'team/app', actions: ['pull'] }],
      mirrored,
      ...more,
    };
    try {
      const response = await client.request(request);
      return { status: response.status, body: await text(response.body), ...response.mirror };
    } catch (error) {
      if (error instanceof OciError) return { code: error.code };
      throw error;
    }
  };
}

describe('mirrors', () => {
  it('are asked in their order, and before the registry', async () => {
    const { ask, servers, origin } = await world([answer(404), answer(200, 'second')]);

    expect(await ask()).toMatchObject({ status: 200, body: 'second' });
    expect(servers.map(({ requests }) => requests.map(({ url }) => url))).toEqual(
      Array(2).fill([`/v2/team/app/blobs/${DIGEST}`]),
    );
    expect(origin.accepted).toBe(0);
  });

  it('are asked for parts, too, and by HEAD', async () => {
    const { ask, servers, origin } = await world([answer(206, 'part')]);

    expect(await ask({ headers: { Range: 'bytes=0-3' } })).toMatchObject({ status: 206 });
    servers[0]?.queue(answer(200, '', { 'content-length': 5 }));
    expect(await ask({ method: 'HEAD' })).toMatchObject({ status: 200 });
    expect(servers[0]?.requests[0]?.headers.range).toBe('bytes=0-3');
    expect(origin.accepted).toBe(0);
  });

  it.each<[string, Behaviour]>([
    ['404', answer(404)],
    ['401 without a way to log in', answer(401)],
    ['401 with Basic', challenge('Basic realm="mirror"')],
    ['403', answer(403)],
    ['416', answer(416)],
    ['500', answer(500)],
    ['429', tooManyRequests('5')],
    ['a redirect to nowhere', redirect('nowhere://x')],
    ['a redirect where it may not lead', redirect('http://169.254.169.254/x')],
    ['silence', stall()],
    ['a reset', reset()],
    ['something packed', answer(200, 'x', { 'content-encoding': 'gzip' })],
  ])('that answer with %s lead on to the registry', async (_what, mirror) => {
    const { ask } = await world([mirror]);

    expect(await ask()).toMatchObject({ status: 200, body: 'origin' });
  });

  it('are asked as nobody, whoever asks, and are shown no login of anybody’s', async () => {
    const { ask, origin, servers, registry } = await world([answer(404), answer(404)]);
    origin.owns('Bearer a-client');
    const client = new ClientLogin(registry.name, 'Bearer a-client');

    await ask();
    await ask({ as: client });
    await ask({ as: 'anonymous', headers: { Authorization: 'Bearer x', Cookie: 'a=b' } });

    expect(servers.map(({ requests }) => requests.length)).toEqual([3, 3]);
  });

  it('have their own token endpoints asked, as nobody', async () => {
    const tokens = await server(json({ token: 'for-anybody' }));
    const mirror = await server((request, response, seen) =>
      (request.headers.authorization === 'Bearer for-anybody'
        ? answer(200, 'mirror')
        : challenge(`Bearer realm="${tokens.url}token",service="m"`))(request, response, seen),
    );
    mirror.owns('Bearer for-anybody');
    const { ask } = await behind(mirror.url);

    expect(await ask()).toMatchObject({ body: 'mirror' });
    expect(await ask()).toMatchObject({ body: 'mirror' });
    expect(tokens.requests).toHaveLength(1);
  });

  it('may not send the gate for tokens where a registry at their address might not', async () => {
    const tokens = await server(json({ token: 'x' }));
    // On the registry's own host, and not on the mirror's.
    const realm = `http://localhost:${tokens.port}/token`;
    const mirror = await server(challenge(`Bearer realm="${realm}",service="m"`));
    const { ask } = await behind(mirror.url, { authHosts: ['localhost'] });

    expect(await ask()).toMatchObject({ body: 'origin' });
    expect(tokens.accepted).toBe(0);
  });

  it('are asked for tags only where they may tell', async () => {
    const cautious = await world([answer(200, 'mirror')]);
    const trusting = await world([answer(200, 'mirror')], { tags: true });

    expect(await cautious.ask({ mirrored: LATEST })).toMatchObject({ body: 'origin' });
    expect(await trusting.ask({ mirrored: LATEST })).toMatchObject({ body: 'mirror' });
    expect(cautious.servers[0]?.accepted).toBe(0);
  });

  it('are not asked for anything else', async () => {
    const { ask, servers } = await world([answer(200, 'mirror')], { tags: true });

    for (const method of ['PUT', 'POST', 'DELETE'] as const)
      expect(await ask({ method })).toMatchObject({ body: 'origin' });
    expect(await ask({ mirrored: undefined, path: '/v2/team/app/tags/list' })).toMatchObject({
      body: 'origin',
    });
    expect(servers[0]?.accepted).toBe(0);
  });

  it('that sent something wrong are not asked for it again, and for all else they are', async () => {
    const { ask, servers, logged } = await world([answer(200, 'mirror')], { tags: true });
    const other = `sha256:${'b'.repeat(64)}` as Digest;

    (await ask()).distrust?.();
    (await ask({ mirrored: LATEST })).distrust?.();

    expect(await ask()).toMatchObject({ body: 'origin' });
    expect(await ask({ method: 'HEAD' })).not.toHaveProperty('distrust');
    expect(await ask({ mirrored: LATEST })).toMatchObject({ body: 'origin' });
    expect(await ask({ mirrored: other })).toMatchObject({ body: 'mirror' });
    const path = '/v2/team/other/manifests/latest';
    expect(await ask({ mirrored: LATEST, path })).toMatchObject({ body: 'mirror' });
    expect(servers[0]?.requests).toHaveLength(4);
    expect(logged.join('')).toContain('mirror 1 of reg.example sent what cannot be used');
  });

  it.each<[string, Behaviour]>([
    ['silent', stall()],
    ['broken', answer(502)],
    ['leading to silence', redirect('http://127.0.0.1:1/x')],
  ])('that are %s are left alone for a time, then tried again', async (_what, mirror) => {
    const { ask, servers, later } = await world([mirror]);
    for (const _ of [1, 2, 3]) await ask();
    const before = servers[0]?.requests.length;

    for (const _ of [1, 2, 3]) expect(await ask()).toMatchObject({ body: 'origin' });
    expect(servers[0]?.requests).toHaveLength(before ?? 0);

    servers[0]!.handler = answer(200, 'mirror');
    later(2_000);
    expect(await ask()).toMatchObject({ body: 'mirror' });
  });

  it('that ask for patience get it', async () => {
    const { ask, servers, later } = await world([tooManyRequests('50')]);
    await ask();
    servers[0]!.handler = answer(200, 'mirror');

    expect(await ask()).toMatchObject({ body: 'origin' });
    later(51_000);
    expect(await ask()).toMatchObject({ body: 'mirror' });
  });

  it('serve while the registry is away, and are named without their address where they fail', async () => {
    const { ask, origin, servers, faults } = await world([answer(200, 'mirror')]);
    origin.handler = reset();
    expect(await ask()).toMatchObject({ body: 'mirror' });

    servers[0]!.handler = reset();
    expect(await ask()).toEqual({ code: 'UNAVAILABLE' });
    expect(faults.all.map(({ message }) => message)).toEqual([
      'mirror 1 of reg.example closed the connection',
      'reg.example closed the connection',
    ]);
  });

  it('are given up with the request', async () => {
    const { ask, origin } = await world([stall()]);
    const signal = AbortSignal.timeout(50);

    await expect(ask({ signal })).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(origin.accepted).toBe(0);
  });

  it('are reached by the registry’s own way out, and trusted by its certificates', async () => {
    const own = selfSigned([], ['127.0.0.1']);
    const mirror = await server(answer(200, 'mirror'), own);
    const proxy = await ConnectProxy.start();
    atTheEnd(() => proxy.close());
    const { ask } = await behind(mirror.url, { ca: own.cert, proxy: proxy.url });

    expect(await ask()).toMatchObject({ body: 'mirror' });
    expect(proxy.targets).toEqual([mirror.host]);
  });
});

/** A registry that says `origin`, behind a mirror at that address. */
async function behind(url: URL, more: Partial<Registry> = {}) {
  const origin = await server(answer(200, 'origin'));
  const mirrors = [{ url, tags: false }];
  const registry = registryAt(origin.url, { credentials: [ROBOT], mirrors, ...more });
  const fixture = upstreamFixture({ headerTimeout: 300 });
  atTheEnd(() => fixture.client.close());
  return { origin, ask: asker(fixture, registry) };
}
