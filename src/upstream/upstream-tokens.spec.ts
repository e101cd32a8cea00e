import {
  answer,
  challenge,
  FaultServer,
  json,
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
import { discard, type UpstreamRequest } from './upstream.client';

const PULL = [{ type: 'repository', name: 'team/app', actions: ['pull'] }];
const credentials = { username: 'robot', password: 'hunter2hunter2' };
const BASIC = `Basic ${Buffer.from('robot:hunter2hunter2').toString('base64')}`;

let upstream: FaultServer;
let auth: FaultServer;
let registry: Registry;
let fixture: UpstreamFixture;
/** Authorizations that the registry takes now. */
let good: Set<string>;
/** Tokens issued so far. */
let issued: number;

const issue: Behaviour = (request, response, seen) => {
  issued += 1;
  good.add(`Bearer t${issued}`);
  return json({ token: `t${issued}`, expires_in: 300 })(request, response, seen);
};

const guarded: Behaviour = (request, response, seen) =>
  (good.has(request.headers.authorization ?? '')
    ? answer(200)
    : challenge(`Bearer realm="${auth.url}token?x=%7e",service="reg svc",scope="ignored"`))(
    request,
    response,
    seen,
  );

function get(more: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    registry,
    as: 'anonymous',
    method: 'GET',
    path: '/v2/team/app/manifests/1',
    access: PULL,
    ...more,
  };
}

async function statusOf(request: UpstreamRequest): Promise<number> {
  const response = await fixture.client.request(request);
  await discard(response);
  return response.status;
}

beforeEach(async () => {
  issued = 0;
  good = new Set();
  // Its own login, where it takes one itself, and every token that its endpoint gave.
  upstream = await FaultServer.start({
    handler: guarded,
    own: [BASIC, /^Bearer (?:t\d+|worthless)$/],
  });
  auth = await FaultServer.start({ handler: issue, own: [BASIC] });
  registry = registryAt(upstream.url, { name: 'reg.example', credentials: [credentials] });
  fixture = upstreamFixture();
});

afterEach(async () => {
  await fixture.client.close();
  await Promise.all([upstream.close(), auth.close()]);
});

describe('a Bearer challenge', () => {
  it('is answered with a token for the scope that the caller needs, anonymously', async () => {
    expect(await statusOf(get())).toBe(200);

    expect(auth.requests.map(({ url }) => url)).toEqual([
      '/token?x=%7e&service=reg+svc&scope=repository%3Ateam%2Fapp%3Apull',
    ]);
    expect(auth.foreignCredentials()).toEqual([]);
    expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      'Bearer t1',
    ]);
  });

  it('has the configured credentials shown to the token endpoint alone', async () => {
    expect(await statusOf(get({ as: 'configured' }))).toBe(200);

    expect(auth.requests[0]?.headers.authorization).toBe(BASIC);
    expect(upstream.foreignCredentials(['Bearer t1'])).toEqual([]);
  });

  it('sends each scope as a parameter, in one order', async () => {
    const push = { type: 'repository', name: 'team/app', actions: ['push', 'pull'] };
    const from = { type: 'repository', name: 'base/os', actions: ['pull'] };

    await statusOf(get({ access: [push, from] }));
    await statusOf(get({ access: [from, { ...push, actions: ['pull', 'push'] }] }));

    expect(
      auth.requests.map(({ url }) => new URL(url, auth.url).searchParams.getAll('scope')),
    ).toEqual([['repository:base/os:pull', 'repository:team/app:pull,push']]);
  });

  it('never has one principal served with the token of the other', async () => {
    await statusOf(get({ as: 'configured' }));
    await statusOf(get({ as: 'anonymous' }));

    expect(auth.requests.map(({ headers }) => headers.authorization)).toEqual([BASIC, undefined]);
    expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      'Bearer t1',
      undefined,
      'Bearer t2',
    ]);
  });

  it('is remembered: the next request carries the token at once, and 50 share one', async () => {
    await statusOf(get());

    const statuses = await Promise.all(Array.from({ length: 50 }, () => statusOf(get())));

    expect(statuses).toEqual(Array(50).fill(200));
    expect([auth.requests.length, upstream.requests.length]).toEqual([1, 52]);
  });

  it('is answered once for many that meet it together', async () => {
    await Promise.all(Array.from({ length: 50 }, () => statusOf(get())));

    expect(auth.requests).toHaveLength(1);
  });
});

describe('a token that the registry no longer takes', () => {
  it('F12: is renewed once for all the requests that were refused with it', async () => {
    await statusOf(get());
    good.clear();

    const statuses = await Promise.all(Array.from({ length: 50 }, () => statusOf(get())));

    expect(statuses).toEqual(Array(50).fill(200));
    expect(issued).toBe(2);
  });

  it('F12: does not take the newer one with it when a late refusal comes in', async () => {
    await statusOf(get());
    good.clear();
    let release: () => void = () => undefined;
    const late = new Promise<void>((resolve) => (release = resolve));
    upstream.queue(async (request, response, seen) => {
      await late;
      await guarded(request, response, seen);
    });

    const slow = statusOf(get());
    expect(await statusOf(get())).toBe(200);
    release();

    expect(await slow).toBe(200);
    expect(issued).toBe(2);
  });

  it('is DENIED when a new one is not taken either', async () => {
    auth.handler = json({ token: 'worthless' });

    await expect(statusOf(get({ as: 'configured' }))).rejects.toMatchObject({
      code: 'DENIED',
      message: "team/app does not exist at reg.example, or the gate's credentials may not see it",
    });
    expect(upstream.requests).toHaveLength(2);
  });

  it('follows the registry to another way of logging in', async () => {
    await statusOf(get({ as: 'configured' }));
    good = new Set([BASIC]);
    upstream.handler = (request, response, seen) =>
      (good.has(request.headers.authorization ?? '') ? answer(200) : challenge('Basic realm="r"'))(
        request,
        response,
        seen,
      );

    expect(await statusOf(get({ as: 'configured' }))).toBe(200);
  });
});

describe('authorizationFor', () => {
  const forUpload = { minimumLife: 60 };

  it('finds out what the registry asks, once for all who wait', async () => {
    const asked = await Promise.all(
      [1, 2, 3].map(() => fixture.tokens.authorizationFor(registry, 'configured', PULL, forUpload)),
    );

    expect(asked).toEqual(Array(3).fill('Bearer t1'));
    expect(upstream.requests).toMatchObject([{ method: 'GET', url: '/v2/' }]);
  });

  it('is nothing where the registry asks for nothing, until it does', async () => {
    upstream.handler = answer(200);
    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL)).toBeUndefined();
    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL)).toBeUndefined();
    expect(upstream.requests).toHaveLength(1);

    upstream.handler = guarded;
    fixture.tokens.renounce(registry, 'configured', PULL);

    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL)).toBe('Bearer t1');
  });

  it('renews a token that would not live long enough', async () => {
    auth.handler = (request, response, seen) =>
      json({ token: `short${auth.requests.length}`, expires_in: 50 })(request, response, seen);

    const first = await fixture.tokens.authorizationFor(registry, 'configured', PULL);
    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL)).toBe(first);
    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL, forUpload)).toBe(
      'Bearer short2',
    );
  });

  it('does not use a token in its last ten seconds', async () => {
    auth.handler = (request, response, seen) =>
      json({ token: `t${auth.requests.length}`, expires_in: 9 })(request, response, seen);

    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL)).toBe('Bearer t1');
    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL)).toBe('Bearer t2');
  });

  it('fetches a new one after the old one was renounced', async () => {
    await fixture.tokens.authorizationFor(registry, 'configured', PULL);
    fixture.tokens.renounce(registry, 'configured', PULL, 'Bearer another');
    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL)).toBe('Bearer t1');

    fixture.tokens.renounce(registry, 'configured', PULL);

    expect(await fixture.tokens.authorizationFor(registry, 'configured', PULL)).toBe('Bearer t2');
  });

  it('starts anew for a registry whose settings were reloaded', async () => {
    await fixture.tokens.authorizationFor(registry, 'configured', PULL);

    auth.owns(`Basic ${Buffer.from('other:secret').toString('base64')}`);
    const reloaded = { ...registry, credentials: [{ username: 'other', password: 'secret' }] };

    expect(await fixture.tokens.authorizationFor(reloaded, 'configured', PULL)).toBe('Bearer t2');
  });
});

describe('a token endpoint that misbehaves', () => {
  const asks = (realm: string) =>
    (upstream.handler = challenge(`Bearer realm="${realm}",service="s"`));

  it.each([
    'http://169.254.169.254/latest',
    'https://evil.example/token',
    'http://localhost:1/token',
    '/token',
    'file:///etc/passwd',
    '',
  ])('S2: is not connected to at %j', async (realm) => {
    asks(realm);

    await expect(statusOf(get({ as: 'configured' }))).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
    });
    expect(auth.accepted).toBe(0);
  });

  it('S2: is not followed when it redirects', async () => {
    const elsewhere = await FaultServer.start({ handler: json({ token: 'x' }) });
    auth.handler = redirect(new URL('/token', elsewhere.url));

    await expect(statusOf(get({ as: 'configured' }))).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
    });

    expect(elsewhere.accepted).toBe(0);
    await elsewhere.close();
  });

  it.each([
    ['announced', {}],
    ['not announced', { 'content-length': undefined }],
  ])('S26: is BAD_UPSTREAM with an answer of 10 MiB, %s, and cut off', async (_how, headers) => {
    auth.handler = json({ token: 'x', padding: 'x'.repeat(10 * 1024 * 1024) }, headers);

    await expect(statusOf(get())).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
      message: expect.stringContaining('longer than'),
    });
  });

  it.each<[string, Behaviour]>([
    ['HTML', answer(200, '<html>')],
    ['no token', json({})],
    ['a token that is two headers', json({ token: 'a\r\nX: b' })],
    ['404', answer(404)],
    ['500', answer(500)],
  ])('is BAD_UPSTREAM with %s', async (_what, behaviour) => {
    auth.handler = behaviour;

    await expect(statusOf(get())).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
  });

  it.each([401, 403])(
    'is BAD_UPSTREAM when it refuses the gate with %d, told in the log without the password',
    async (status) => {
      auth.handler = answer(status);

      await expect(statusOf(get({ as: 'configured' }))).rejects.toMatchObject({
        code: 'BAD_UPSTREAM',
        message: "the gate's own credentials for reg.example were refused there",
      });
      expect(fixture.logged.join('')).toContain('"level":50');
      expect(fixture.logged.join('')).not.toMatch(/hunter2|Basic /);
    },
  );

  it.each([401, 403])('is DENIED when it refuses an anonymous reader with %d', async (status) => {
    auth.handler = answer(status);

    await expect(statusOf(get())).rejects.toMatchObject({ code: 'DENIED' });
  });

  it('passes its 429 on', async () => {
    auth.handler = tooManyRequests('90');

    await expect(statusOf(get())).rejects.toMatchObject({
      code: 'TOOMANYREQUESTS',
      headers: { 'Retry-After': '90' },
    });
  });

  it('is UNAVAILABLE when it is down, and asked for anew where the registry has moved it', async () => {
    await statusOf(get());
    good.clear();
    const moved = auth;
    auth = await FaultServer.start({ handler: issue });
    await moved.close();
    fixture.tokens.renounce(registry, 'anonymous', PULL);

    await expect(statusOf(get())).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(await statusOf(get())).toBe(200);
  });
});
