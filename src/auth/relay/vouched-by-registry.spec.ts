import {
  basic,
  bearer,
  hub,
  named,
  needOf,
  quay,
  refusalOf,
  scopeOf,
  tokenRequest,
} from '../../../test/support/auth-room';
import { relayRoom } from '../../../test/support/relay-room';
import { ClientLogin } from '../../config/principal';
import type { Identity } from '../../edge/request-context';
import type { Access } from '../../oci/access';

const ANN = { username: 'ann', password: 'right' };
const GATE = 'Bearer realm="https://gate.example/token",service="tidegate"';
const HUB = 'Bearer realm="https://gate.example/token",service="registry.docker.io"';
const [app, away] = [named('team/app').canonical, named('team/app', quay).canonical];
const ACTIONS = ['pull', 'push', 'delete'] as const;

const rightsOf = (identity: Identity | undefined, name = app) =>
  ACTIONS.filter((action) => identity?.may(name, action));
const pullOf = (name: string): Access => ({ type: 'repository', name, actions: ['pull'] });
const authorizationOf = (identity: Identity | undefined, name = app) => {
  const principal = identity!.upstreamAs(name);
  return principal instanceof ClientLogin ? principal.authorizationFor(hub) : principal;
};

describe('a registry that asks for tokens', () => {
  it('is shown its own token, unwrapped, for what it knows; another registry is not', async () => {
    const { tokens, admit } = relayRoom();
    const credentials = bearer(tokens.wrap(hub, 'ann', 'of-the-registry'));
    const { refusal, identity } = await admit({ need: needOf('team/app', ['push']), credentials });

    expect(refusal).toBeUndefined();
    expect(identity).toMatchObject({
      username: 'ann',
      vouchedBy: 'docker.io',
      epoch: 0,
      admin: false,
      unjudged: false,
    });
    expect([rightsOf(identity), rightsOf(identity, away)]).toEqual([ACTIONS, []]);
    expect([identity!.sees(app), identity!.sees(away)]).toEqual([true, false]);
    expect(authorizationOf(identity)).toBe('Bearer of-the-registry');
    expect(authorizationOf(identity, away)).toBe('anonymous');
    expect(identity!.registryAs(hub)).toBeInstanceOf(ClientLogin);
    expect(identity!.registryAs(quay)).toBe('anonymous');
  });

  it('is shown a token that was fetched elsewhere, too', async () => {
    const { identity, refusal } = await relayRoom().admit({ credentials: bearer('x.y.z') });

    expect(refusal).toBeUndefined();
    expect(identity).toMatchObject({ username: undefined, unjudged: true });
    expect(authorizationOf(identity)).toBe('Bearer x.y.z');
  });

  it('speaks through the gate of its own challenge: the reason is told, the realm is the gate’s', async () => {
    const { admit } = relayRoom();
    const { identity } = await admit({ need: needOf('team/app'), credentials: bearer('x') });
    const told = (challenge: string | undefined) =>
      identity!.challenged!(challenge).headers['WWW-Authenticate'];
    const scope = ',scope="repository:team/app:pull"';

    expect(told('Bearer realm="https://evil.example",error="insufficient_scope"')).toBe(
      `${HUB}${scope},error="insufficient_scope"`,
    );
    expect(told('Bearer error="invalid_token"')).toBe(`${HUB}${scope},error="invalid_token"`);
    expect(told(undefined)).toBe(`${HUB}${scope},error="invalid_token"`);
  });

  it('is challenged for with its own service, or the gate’s where it names none', async () => {
    const { admit, upstream } = relayRoom();

    expect((await admit({})).refusal).toEqual({
      status: 401,
      challenge: HUB,
      message: 'authentication required',
    });
    expect((await admit({ credentials: basic('ann', 'right') })).refusal).toEqual({
      status: 401,
      challenge: HUB,
      message: 'incorrect username or password',
    });
    upstream.asked = { scheme: 'bearer', service: undefined };
    expect((await admit({})).refusal?.challenge).toBe(GATE);
  });

  it.each([
    [
      'one of another registry',
      {},
      (r: ReturnType<typeof relayRoom>) => r.tokens.wrap(quay, 'ann', 't'),
    ],
    [
      'one that the gate signed',
      {},
      (r: ReturnType<typeof relayRoom>) => r.tokens.issue(hub, 'ann', []).token,
    ],
    ['one fetched elsewhere, where logins are listed', { accounts: [ANN] }, () => 'x.y.z'],
    [
      'one of nobody, where logins are listed',
      { accounts: [ANN] },
      (r: ReturnType<typeof relayRoom>) => r.tokens.wrap(hub, undefined, 't'),
    ],
  ])('is not shown %s', async (_, settings, make) => {
    const room = relayRoom(settings);
    const { refusal, identity } = await room.admit({ credentials: bearer(make(room)) });

    expect(refusal).toEqual({
      status: 401,
      challenge: `${HUB},error="invalid_token"`,
      message: 'the token is not good, or not any more: log in again',
    });
    expect(identity).toBeUndefined();
  });

  it('is pulled from, and no more, with a token of nobody where readers are let in', async () => {
    const { tokens, admit } = relayRoom({ accounts: [ANN], anonymousAccess: 'pull' });
    const credentials = bearer(tokens.wrap(hub, undefined, 't'));

    expect((await admit({ need: needOf('team/app'), credentials })).refusal).toBeUndefined();
    expect(
      (await admit({ need: needOf('team/app', ['pull', 'push']), credentials })).refusal,
    ).toMatchObject({
      status: 401,
      challenge: `${HUB},scope="repository:team/app:pull,push",error="insufficient_scope"`,
    });
  });
});

describe('a token request before a registry that gives tokens', () => {
  const scopes = [
    scopeOf('team/app', ['pull', 'push']),
    scopeOf('team/app', ['pull'], quay),
    { type: 'catalog' } as const,
  ];
  const wanted = [
    { type: 'repository', name: 'team/app', actions: ['pull', 'push'] },
    { type: 'registry', name: 'catalog', actions: ['*'] },
  ];

  it('goes there with the login, in the words of the registry, and comes back wrapped', async () => {
    const { voucher, upstream, tokens, trail } = relayRoom();
    upstream.answer = { token: 't', life: 300.9, refreshToken: 'r' };
    const context = tokenRequest({ scopes, offline: true }, { credentials: basic('ann', 'right') });
    context.identity = { username: undefined } as Identity;

    const issued = await voucher.token(context);

    expect(upstream.questions).toEqual([
      { login: { username: 'ann', password: 'right' }, access: wanted, offline: true },
    ]);
    expect(issued).toMatchObject({ access: wanted, expiresIn: 300 });
    expect(Math.abs(issued.issuedAt.getTime() - Date.now())).toBeLessThan(60_000);
    expect(tokens.unwrap(issued.token, hub)).toEqual({ username: 'ann', token: 't' });
    expect(tokens.unseal(issued.refreshToken!, hub)).toEqual({
      username: 'ann',
      refreshToken: 'r',
    });
    expect(context.identity.username).toBe('ann');
    expect(trail).toMatchObject([{ audit: 'login', actor: 'ann', detail: { scopes: 3 } }]);
  });

  it('goes there with the refresh token of before', async () => {
    const { voucher, upstream, tokens } = relayRoom();
    const refreshToken = tokens.seal(hub, { username: 'ann', refreshToken: 'r' })!;
    const issued = await voucher.token(
      tokenRequest({ grant: { kind: 'refresh_token', refreshToken } }),
    );

    expect(upstream.questions).toEqual([
      { login: { refreshToken: 'r' }, access: [], offline: false },
    ]);
    expect(tokens.unwrap(issued.token, hub)?.username).toBe('ann');
    expect(issued.refreshToken).toBeUndefined();
  });

  it('goes there as nobody, where everybody is let through', async () => {
    const { voucher, upstream, tokens, trail } = relayRoom();
    const issued = await voucher.token(tokenRequest({ scopes }));

    expect(upstream.questions).toEqual([{ login: undefined, access: wanted, offline: false }]);
    expect(tokens.unwrap(issued.token, hub)).toEqual({
      username: undefined,
      token: 'of-the-registry',
    });
    expect(trail).toEqual([]);
  });

  it('asks for pulls alone as nobody, where logins are listed and readers let in', async () => {
    const { voucher, upstream } = relayRoom({ accounts: [ANN], anonymousAccess: 'pull' });
    await voucher.token(tokenRequest({ scopes: [...scopes, scopeOf('team/b', ['push'])] }));

    expect(upstream.questions[0]?.access).toEqual([pullOf('team/app'), wanted[1]]);
  });

  const form = (password: string) => ({ kind: 'password', username: 'ann', password }) as const;
  it.each([
    [
      'a login that is not listed',
      { grant: form('wrong') },
      {},
      'incorrect username or password',
      'ann',
    ],
    ['a token', {}, { credentials: bearer('x') }, 'incorrect username or password', undefined],
    [
      'a refresh token that is none',
      { grant: { kind: 'refresh_token', refreshToken: 'x' } },
      {},
      'the login has ended; log in again: docker login gate.example',
      undefined,
    ],
    ['nothing', {}, {}, 'log in first: docker login gate.example', null],
  ] as const)(
    'is refused, and goes nowhere, with %s',
    async (_, request, given, message, target) => {
      const { voucher, upstream, trail } = relayRoom({ accounts: [ANN] });

      expect(await refusalOf(() => voucher.token(tokenRequest(request, given)))).toEqual({
        status: 401,
        challenge: 'Basic realm="tidegate"',
        message,
      });
      expect(upstream.questions).toEqual([]);
      expect(trail).toMatchObject(
        target === null ? [] : [{ audit: 'login.failed', ...(target && { target }) }],
      );
    },
  );

  it('with a refresh token of the gate’s own, or of nobody where logins are listed, has ended', async () => {
    const { voucher, tokens } = relayRoom({ accounts: [ANN] });
    const own = tokens.seal(hub, { username: 'ann', refreshToken: undefined })!;
    const nobodys = tokens.seal(hub, { username: undefined, refreshToken: 'r' })!;
    for (const refreshToken of [own, nobodys])
      expect(
        (
          await refusalOf(() =>
            voucher.token(tokenRequest({ grant: { kind: 'refresh_token', refreshToken } })),
          )
        )?.message,
      ).toBe('the login has ended; log in again: docker login gate.example');
  });

  it.each([
    ['a login', 'incorrect username or password', { grant: form('right') }],
    ['nothing', 'log in first: docker login gate.example', {}],
  ] as const)('that the registry refuses with %s is told so', async (_, message, request) => {
    const { voucher, upstream } = relayRoom();
    upstream.answer = undefined;

    expect((await refusalOf(() => voucher.token(tokenRequest(request))))?.message).toBe(message);
  });

  it('that the registry refuses with a refresh token has ended', async () => {
    const { voucher, upstream, tokens, trail } = relayRoom();
    upstream.answer = undefined;
    const refreshToken = tokens.seal(hub, { username: 'ann', refreshToken: 'r' })!;
    const request = tokenRequest({ grant: { kind: 'refresh_token', refreshToken } });

    expect((await refusalOf(() => voucher.token(request)))?.message).toBe(
      'the login has ended; log in again: docker login gate.example',
    );
    expect(trail).toMatchObject([{ audit: 'login.failed', target: 'ann' }]);
  });
});

describe('a registry that asks for passwords', () => {
  const challenge = 'Basic realm="Sonatype", charset="UTF-8"';
  const room = (settings = {}) => {
    const made = relayRoom(settings);
    made.upstream.asked = { scheme: 'basic', realm: 'Sonatype' };
    return made;
  };

  it('is shown the one that it takes', async () => {
    const { admit, upstream, trail } = room();
    const { refusal, identity } = await admit({ credentials: basic('ann', 'right') });

    expect(refusal).toBeUndefined();
    expect(upstream.logins).toEqual(['ann']);
    expect(identity).toMatchObject({ username: 'ann', unjudged: false });
    expect(authorizationOf(identity)).toBe(`Basic ${Buffer.from('ann:right').toString('base64')}`);
    expect(rightsOf(identity)).toEqual(ACTIONS);
    expect(identity!.challenged!(undefined).message).toBe('incorrect username or password');
    expect(trail).toMatchObject([{ audit: 'login', actor: 'ann' }]);
  });

  it('refuses another, in the words of Basic', async () => {
    const { admit, trail } = room();
    const { refusal, identity } = await admit({ credentials: basic('ann', 'wrong') });

    expect(refusal).toEqual({ status: 401, challenge, message: 'incorrect username or password' });
    expect(identity).toBeUndefined();
    expect(trail).toMatchObject([{ audit: 'login.failed', target: 'ann' }]);
  });

  it('never hears of a login that is not listed', async () => {
    const { admit, upstream } = room({ accounts: [{ username: 'bob', password: 'right' }] });

    expect((await admit({ credentials: basic('ann', 'right') })).refusal?.status).toBe(401);
    expect(upstream.logins).toEqual([]);
  });

  it('is asked without a login, where everybody is let through; a login itself needs one', async () => {
    const { admit } = room();
    const { refusal, identity } = await admit({ need: needOf('team/app') });

    expect(refusal).toBeUndefined();
    expect(identity).toMatchObject({ username: undefined, unjudged: true });
    expect(authorizationOf(identity)).toBeUndefined();
    expect(identity!.challenged!(undefined).message).toBe('authentication required');
    const unknown = { status: 401, challenge, message: 'authentication required' };
    expect((await admit({})).refusal).toEqual(unknown);
    const listed = room({ accounts: [ANN] });
    expect((await listed.admit({ need: needOf('team/app') })).refusal).toEqual(unknown);
    expect((await admit({ credentials: bearer('x') })).refusal?.status).toBe(401);
  });

  it('gives out no tokens', async () => {
    expect(await refusalOf(() => room().voucher.token(tokenRequest()))).toMatchObject({
      status: 404,
      message: 'docker.io gives out no tokens: it takes user name and password with each request',
    });
  });
});
