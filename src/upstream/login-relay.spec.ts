import { answer, FaultServer } from '../../test/support/fault-server';
import {
  registryAt,
  upstreamFixture,
  type UpstreamFixture,
} from '../../test/support/upstream-fixture';
import type { Registry } from '../config/registry-table';

const ACCESS = [{ type: 'repository', name: 'team/app', actions: ['pull'] }];
const LOGIN = { username: 'ann', password: 'pässword:1' };

const basicOf = (username: string, password: string) =>
  `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;

let upstream: FaultServer;
let registry: Registry;
let room: UpstreamFixture;

beforeEach(async () => {
  // In relay the client's login at the registry is the registry's to see.
  upstream = await FaultServer.start({
    own: [basicOf('ann', LOGIN.password), basicOf('ann', 'wrong')],
  });
  registry = registryAt(upstream.url, {
    name: 'reg.example',
    credentials: [{ username: 'robot', password: 'the-gates-own' }],
  });
  room = upstreamFixture();
});

// The gate's own login is none of those: the server itself sees to that.
afterEach(() => upstream.close());

/** The registry asks by this challenge; its token endpoint answers so. */
function asking(challenge: string | undefined, tokens = answer(200, '{"token":"t"}')): void {
  upstream.handler = (request, response, seen) => {
    if (request.url?.startsWith('/token')) return tokens(request, response, seen);
    if (challenge === undefined) return answer(200, '{}')(request, response, seen);
    response.setHeader('www-authenticate', challenge);
    return answer(401, '{}')(request, response, seen);
  };
}

const bearer = () => `Bearer realm="${upstream.url.origin}/token?k=v",service="svc"`;

describe('what a registry asks of clients', () => {
  it.each([
    [undefined, { scheme: 'nothing' }],
    ['Basic realm="Sonatype"', { scheme: 'basic', realm: 'Sonatype' }],
    ['Basic', { scheme: 'basic', realm: 'reg.example' }],
  ])('by %s is told as %j', async (challenge, expected) => {
    asking(challenge);

    expect(await room.relay.asks(registry)).toEqual(expected);
  });

  it('is its token service, of which clients hear the name alone', async () => {
    asking(bearer());

    expect(await room.relay.asks(registry)).toEqual({ scheme: 'bearer', service: 'svc' });
  });

  it('is asked once however many want to know, and again after minutes', async () => {
    asking(bearer());
    await Promise.all([1, 2, 3].map(() => room.relay.asks(registry)));
    await room.relay.asks(registry);
    const before = upstream.requests.length;
    asking(undefined);
    room.later(5 * 60_000);

    expect(before).toBe(1);
    expect(await room.relay.asks(registry)).toEqual({ scheme: 'nothing' });
  });

  it('is what it last asked while it is away', async () => {
    asking('Basic realm="kept"');
    await room.relay.asks(registry);
    room.later(5 * 60_000);
    upstream.handler = answer(500);
    const before = upstream.requests.length;

    const away = [await room.relay.asks(registry), await room.relay.asks(registry)];

    expect(away).toEqual(Array(2).fill({ scheme: 'basic', realm: 'kept' }));
    // One question, tried twice.
    expect(upstream.requests.length - before).toBe(2);
  });

  it('is an error where it is not known and cannot be asked, or is of no kind that is known', async () => {
    upstream.handler = answer(500);
    await expect(room.relay.asks(registry)).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });

    asking('Negotiate');
    await expect(room.relay.asks(registry)).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
  });
});

describe('user name and password', () => {
  const taking = (right: string) => {
    upstream.handler = (request, response, seen) =>
      answer(request.headers.authorization === right ? 200 : 401, '{}')(request, response, seen);
  };
  const right = `Basic ${Buffer.from('ann:pässword:1').toString('base64')}`;

  it('are taken as the registry takes them, which is remembered for a minute', async () => {
    taking(right);

    const together = await Promise.all(
      [1, 2, 3].map(() => room.relay.takes(registry, LOGIN.username, LOGIN.password)),
    );
    const again = await room.relay.takes(registry, LOGIN.username, LOGIN.password);
    const before = upstream.requests.length;
    taking('nothing any more');
    room.later(60_000);

    expect([...together, again]).toEqual([true, true, true, true]);
    expect(before).toBe(1);
    expect(await room.relay.takes(registry, LOGIN.username, LOGIN.password)).toBe(false);
  });

  it('are asked about each time while they are refused', async () => {
    taking(right);

    expect(await room.relay.takes(registry, 'ann', 'wrong')).toBe(false);
    expect(await room.relay.takes(registry, 'ann', 'wrong')).toBe(false);
    expect(upstream.requests.length).toBe(2);
  });

  it('that one registry takes are not taken for those of another', async () => {
    taking(right);
    await room.relay.takes(registry, LOGIN.username, LOGIN.password);
    taking('none');

    const other = registryAt(upstream.url, { name: 'other.example' });
    expect(await room.relay.takes(other, LOGIN.username, LOGIN.password)).toBe(false);
  });
});

describe('a token of the registry’s own', () => {
  it('is asked for in the registry’s own words, with the login of the client', async () => {
    asking(bearer(), answer(200, '{"token":"t","expires_in":120,"refresh_token":"r"}'));

    const issued = await room.relay.token(registry, {
      login: LOGIN,
      access: ACCESS,
      offline: true,
    });

    const { url, headers } = upstream.requests.at(-1)!;
    expect(issued).toEqual({ token: 't', life: 120, refreshToken: 'r' });
    expect(url).toBe(
      '/token?k=v&service=svc&scope=repository%3Ateam%2Fapp%3Apull&client_id=tidegate&offline_token=true',
    );
    expect(headers.authorization).toBe(`Basic ${Buffer.from('ann:pässword:1').toString('base64')}`);
  });

  it('is asked for by nobody without one', async () => {
    asking(bearer());

    await room.relay.token(registry, { access: ACCESS, offline: false });

    expect(upstream.requests.at(-1)!.headers.authorization).toBeUndefined();
  });

  it('is asked for by a refresh token in a form, and never in an address', async () => {
    asking(bearer());

    await room.relay.token(registry, {
      login: { refreshToken: 'secret of the registry' },
      access: ACCESS,
      offline: false,
    });

    const { method, url, chunks } = upstream.requests.at(-1)!;
    expect([method, url]).toEqual(['POST', '/token?k=v']);
    expect(Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'tidegate',
      service: 'svc',
      scope: 'repository:team/app:pull',
      refresh_token: 'secret of the registry',
    });
  });

  it.each([400, 401, 403, 404, 405])('is none where the endpoint answers %d', async (status) => {
    asking(bearer(), answer(status, '{}'));

    const issued = await room.relay.token(registry, {
      login: LOGIN,
      access: ACCESS,
      offline: false,
    });

    expect(issued).toBeUndefined();
  });

  it.each([
    ['another domain', () => 'https://tokens.evil.example/token'],
    ['cloud metadata', () => 'http://169.254.169.254/token'],
    ['what is no address', () => 'tokens'],
  ])('is asked for nowhere where the realm names %s', async (_what, realm) => {
    asking(`Bearer realm="${realm()}",service="svc"`);

    const asked = room.relay.token(registry, { login: LOGIN, access: ACCESS, offline: false });

    await expect(asked).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
    expect(room.logged.join('')).not.toContain(LOGIN.password);
  });
});
