import { text } from 'node:stream/consumers';
import {
  answer,
  challenge,
  FaultServer,
  redirect,
  tooManyRequests,
  type Behaviour,
} from '../../test/support/fault-server';
import {
  registryAt,
  upstreamFixture,
  type UpstreamFixture,
} from '../../test/support/upstream-fixture';
import type { Registry } from '../config/registry-table';
import type { UpstreamRequest } from './upstream.client';

const credentials = { username: 'robot', password: 'password' };
const BASIC = `Basic ${Buffer.from('robot:password').toString('base64')}`;

let upstream: FaultServer;
let cdn: FaultServer;
let registry: Registry;
let fixture: UpstreamFixture;
/** What the registry does once it is logged in to. */
let inside: Behaviour;

function get(more: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    registry,
    as: 'configured',
    method: 'GET',
    path: '/v2/team/app/blobs/sha256:0',
    access: [],
    ...more,
  };
}

beforeEach(async () => {
  cdn = await FaultServer.start({ handler: answer(200, 'blob') });
  inside = redirect(new URL('/data?sig=a%2fb~c', cdn.url));
  upstream = await FaultServer.start({
    own: [BASIC],
    handler: (request, response, seen) =>
      (request.headers.authorization === BASIC ? inside : challenge('Basic realm="r"'))(
        request,
        response,
        seen,
      ),
  });
  registry = registryAt(upstream.url, { name: 'reg.example', credentials: [credentials] });
  fixture = upstreamFixture();
});

afterEach(async () => {
  await fixture.client.close();
  await Promise.all([upstream.close(), cdn.close()]);
});

it.each([301, 302, 303, 307, 308])(
  'a %d is followed to the letter, with Range and Accept',
  async (status) => {
    inside = redirect(new URL('/data?sig=a%2fb~c', cdn.url), status);

    const response = await fixture.client.request(
      get({ headers: { Range: 'bytes=1-', Accept: 'a/b', 'If-None-Match': '"x"', 'X-Own': 'y' } }),
    );

    expect(await text(response.body)).toBe('blob');
    expect(cdn.requests).toMatchObject([
      { url: '/data?sig=a%2fb~c', headers: { range: 'bytes=1-', accept: 'a/b', host: cdn.host } },
    ]);
    expect(cdn.requests[0]?.headers).not.toHaveProperty('x-own');
  },
);

it('HEAD stays HEAD', async () => {
  await fixture.client.request(get({ method: 'HEAD' }));

  expect(cdn.requests).toMatchObject([{ method: 'HEAD' }]);
});

it('S1: another origin sees no credentials, asks in vain, and its 401 reaches nobody', async () => {
  cdn.handler = challenge('Basic realm="give me"');

  await expect(fixture.client.request(get())).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
  await expect(fixture.client.request(get({ headers: { Cookie: 'a=b' } }))).rejects.toMatchObject({
    code: 'BAD_UPSTREAM',
  });

  expect(cdn.requests).toHaveLength(2);
  expect(cdn.foreignCredentials()).toEqual([]);
});

it('S1: credentials are not picked up again on a way that leads back', async () => {
  cdn.handler = redirect(new URL('/back', upstream.url));
  upstream.handler = (request, response, seen) =>
    (request.url === '/back'
      ? answer(200, 'back')
      : request.headers.authorization
        ? inside
        : challenge('Basic realm="r"'))(request, response, seen);

  expect(await text((await fixture.client.request(get())).body)).toBe('back');

  expect(
    upstream.requests.find(({ url }) => url === '/back')?.headers.authorization,
  ).toBeUndefined();
});

it('credentials stay on a redirect within the registry', async () => {
  const first = inside;
  inside = (request, response, seen) =>
    (request.url === '/elsewhere' ? answer(200, 'here') : redirect('/elsewhere'))(
      request,
      response,
      seen,
    );
  expect(first).not.toBe(inside);

  expect(await text((await fixture.client.request(get())).body)).toBe('here');
});

it.each([400, 401, 403, 410, 500, 503])(
  '%d from another origin is BAD_UPSTREAM',
  async (status) => {
    cdn.handler = answer(status);

    await expect(fixture.client.request(get())).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
  },
);

it.each([404, 416])('%d from another origin is passed on', async (status) => {
  cdn.handler = answer(status);

  expect(await fixture.client.request(get())).toMatchObject({ status });
});

it('429 from another origin is passed on with its Retry-After', async () => {
  cdn.handler = tooManyRequests('5');

  await expect(fixture.client.request(get())).rejects.toMatchObject({
    code: 'TOOMANYREQUESTS',
    headers: { 'Retry-After': '5' },
  });
});

it.each(['PUT', 'POST', 'DELETE'] as const)(
  'a redirected %s is BAD_UPSTREAM, and nothing is sent there',
  async (method) => {
    await expect(
      fixture.client.request(
        get({ method, body: method === 'PUT' ? Buffer.from('manifest') : undefined }),
      ),
    ).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
    });
    expect(cdn.accepted).toBe(0);
  },
);

it('F10: a loop is BAD_UPSTREAM at once', async () => {
  inside = redirect('/v2/team/app/blobs/sha256:0');

  await expect(fixture.client.request(get())).rejects.toMatchObject({
    code: 'BAD_UPSTREAM',
    status: 502,
  });
  expect(upstream.requests).toHaveLength(2);
});

it('F10: a chain is followed five times, and no sixth', async () => {
  const chain: Behaviour = (request, response, seen) => {
    const left = Number(new URL(request.url ?? '', cdn.url).searchParams.get('left'));
    return (left === 0 ? answer(200, 'end') : redirect(`/?left=${left - 1}`))(
      request,
      response,
      seen,
    );
  };
  cdn.handler = chain;

  inside = redirect(new URL('/?left=4', cdn.url));
  expect(await text((await fixture.client.request(get())).body)).toBe('end');
  expect(cdn.requests).toHaveLength(5);
  inside = redirect(new URL('/?left=49', cdn.url));
  await expect(fixture.client.request(get())).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
  expect(cdn.requests).toHaveLength(10);
});

it.each([
  'http://169.254.169.254/latest',
  'ftp://cdn.example/x',
  'http://user:pass@127.0.0.1/x',
  'http://',
])('a redirect to %s is BAD_UPSTREAM', async (location) => {
  inside = redirect(location);

  await expect(fixture.client.request(get())).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
});

it('a redirect to nowhere is BAD_UPSTREAM', async () => {
  inside = answer(302);

  await expect(fixture.client.request(get())).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
});

describe('redirects that are passed', () => {
  const passing = (more: Partial<UpstreamRequest> = {}) =>
    fixture.client.request(get({ redirects: 'pass', ...more }));

  it.each([301, 302, 303, 307, 308])('are the answer itself: %d', async (status) => {
    inside = redirect(new URL('/data?sig=a%2fb~c#part', cdn.url), status);

    const response = await passing();

    expect(response).toMatchObject({
      status,
      headers: { location: `${cdn.url.href}data?sig=a%2fb~c` },
      host: upstream.host,
    });
    expect(await text(response.body)).toBe('');
    expect(cdn.accepted).toBe(0);
  });

  it('name their host, however the registry wrote it', async () => {
    inside = redirect(`//${cdn.host}/data`);

    expect((await passing({ method: 'HEAD' })).headers['location']).toBe(`${cdn.url.href}data`);
  });

  it('are followed within the registry, up to the one that leads away', async () => {
    const away = inside;
    inside = (request, response, seen) =>
      (request.url === '/elsewhere' ? away : redirect('/elsewhere'))(request, response, seen);

    expect((await passing()).headers['location']).toBe(`${cdn.url.href}data?sig=a%2fb~c`);

    inside = (request, response, seen) =>
      (request.url === '/elsewhere' ? answer(200, 'here') : redirect('/elsewhere'))(
        request,
        response,
        seen,
      );
    expect(await text((await passing()).body)).toBe('here');
  });

  it.each([
    'http://169.254.169.254/latest',
    'ftp://cdn.example/x',
    'http://user:pass@127.0.0.1/x',
    'javascript:alert(1)',
    'http://',
  ])('are refused where the gate might not follow them: %s', async (location) => {
    inside = redirect(location);

    await expect(passing()).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
  });

  it('are refused for what is pushed', async () => {
    await expect(passing({ method: 'DELETE' })).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
  });

  it('do not reach the log', async () => {
    await passing();

    expect(fixture.logged.join('')).not.toMatch(/sig=|\/data/);
  });
});

it('an answer tells which host gave it', async () => {
  expect((await fixture.client.request(get())).host).toBe(cdn.host);

  inside = answer(200);
  expect((await fixture.client.request(get())).host).toBe(upstream.host);
});

it('signed addresses do not reach the log', async () => {
  await fixture.client.request(get());

  expect(fixture.logged.join('')).toContain(cdn.host);
  expect(fixture.logged.join('')).not.toMatch(/sig=|\/data/);
});
