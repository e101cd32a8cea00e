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
import type { Identity, Need } from '../../edge/request-context';
import type { Access } from '../../oci/access';

const ANN = { username: 'ann', password: 'right' };
const GATE = 'Bearer realm="https://gate.example/token",service="tidegate"';
const [app, away] = [named('team/app').canonical, named('team/app', quay).canonical];
const ACTIONS = ['pull', 'push', 'delete'] as const;

const rightsOf = (identity: Identity | undefined, name = app) =>
  ACTIONS.filter((action) => identity?.may(name, action));
const pullOf = (name: string): Access => ({ type: 'repository', name, actions: ['pull'] });

describe('a registry that asks for nothing', () => {
  const room = (settings = {}) => {
    const made = relayRoom(settings);
    made.upstream.asked = { scheme: 'nothing' };
    const tokenOf = (username: string | undefined, access: readonly Access[], registry = hub) =>
      bearer(made.tokens.issue(registry, username, access).token);
    return { ...made, tokenOf };
  };
  const push = needOf('team/app', ['push']);

  it('is read by whoever shows nothing, and lets in whoever shows anything', async () => {
    const { admit } = room();
    const nobody = await admit({ need: needOf('team/app') });

    expect(nobody.refusal).toBeUndefined();
    expect(nobody.identity).toMatchObject({
      username: undefined,
      epoch: 0,
      admin: false,
      unjudged: true,
    });
    expect([rightsOf(nobody.identity), rightsOf(nobody.identity, away)]).toEqual([['pull'], []]);
    expect([nobody.identity!.sees(app), nobody.identity!.sees(away)]).toEqual([true, false]);
    expect((await admit({})).refusal).toEqual({
      status: 401,
      challenge: GATE,
      message: 'authentication required',
    });
    expect((await admit({ need: push })).refusal).toEqual({
      status: 401,
      challenge: `${GATE},scope="repository:team/app:push"`,
      message: 'authentication required',
    });
    const credentials = basic('anybody', 'anything');
    expect((await admit({ credentials })).refusal).toBeUndefined();
    const pushing = await admit({ need: push, credentials });
    expect([pushing.refusal, pushing.identity?.username]).toEqual([undefined, undefined]);
    expect(rightsOf(pushing.identity)).toEqual(ACTIONS);
  });

  it.each<[Need, number | undefined, number | undefined]>([
    [{ kind: 'nothing' }, undefined, undefined],
    [{ kind: 'catalog' }, 401, undefined],
    [{ kind: 'search' }, undefined, undefined],
    [{ kind: 'admin' }, 403, 403],
  ])('answers %j with %s, and a login with %s', async (need, without, withLogin) => {
    const { admit } = room();

    expect((await admit({ need })).refusal?.status).toBe(without);
    expect((await admit({ need, credentials: basic('a', 'b') })).refusal?.status).toBe(withLogin);
  });

  it('takes tokens of the gate’s own for it, as far as they reach', async () => {
    const { admit, tokenOf } = room();
    const credentials = tokenOf('ann', [pullOf('docker.io/team/app')]);
    const { refusal, identity } = await admit({ need: needOf('team/app'), credentials });

    expect([refusal, identity?.username]).toEqual([undefined, undefined]);
    expect(rightsOf(identity)).toEqual(['pull']);
    expect((await admit({ need: push, credentials })).refusal).toMatchObject({
      challenge: `${GATE},scope="repository:team/app:push",error="insufficient_scope"`,
    });
    expect((await admit({ need: { kind: 'catalog' }, credentials })).refusal).toMatchObject({
      challenge: `${GATE},scope="registry:catalog:*",error="insufficient_scope"`,
    });
    const listing = tokenOf('ann', [{ type: 'registry', name: 'catalog', actions: ['*'] }]);
    expect(
      (await admit({ need: { kind: 'catalog' }, credentials: listing })).refusal,
    ).toBeUndefined();
    const elsewhere = tokenOf('ann', [pullOf('docker.io/team/app')], quay);
    expect((await admit({ credentials: elsewhere })).refusal).toMatchObject({
      challenge: `${GATE},error="invalid_token"`,
    });
    expect((await admit({ credentials: { scheme: 'unreadable' } })).refusal).toEqual({
      status: 401,
      challenge: GATE,
      message: 'incorrect username or password',
    });
  });

  it('is for the listed alone, where logins are listed', async () => {
    const { admit, tokenOf, trail } = room({ accounts: [ANN], anonymousRepositories: ['team/**'] });
    const need = needOf('team/app');

    const ann = await admit({ need: push, credentials: basic('ann', 'right') });
    expect([ann.refusal, ann.identity?.username, ann.identity?.unjudged]).toEqual([
      undefined,
      'ann',
      false,
    ]);
    // What is pushed is pushed as nobody; what is read, as the operator lets readers read.
    expect(ann.identity!.upstreamAs(app)).toBe('anonymous');
    const reading = await admit({ need, credentials: basic('ann', 'right') });
    expect(reading.identity!.upstreamAs(app)).toBe('configured');
    expect(reading.identity!.upstreamAs(named('other/app').canonical)).toBe('anonymous');
    expect(reading.identity!.registryAs(hub)).toBe('anonymous');
    expect(trail).toMatchObject([{ audit: 'login', actor: 'ann' }, { audit: 'login' }]);

    expect((await admit({ need, credentials: basic('ann', 'wrong') })).refusal).toMatchObject({
      status: 401,
      message: 'incorrect username or password',
    });
    expect(trail.at(-1)).toMatchObject({ audit: 'login.failed', target: 'ann' });
    expect((await admit({ need })).refusal?.status).toBe(401);
    expect((await admit({ need: { kind: 'search' } })).refusal?.status).toBe(401);
    expect((await admit({ need: { kind: 'catalog' } })).refusal?.status).toBe(401);
    const token = tokenOf('ann', [pullOf('docker.io/team/app')]);
    expect((await admit({ need, credentials: token })).identity?.username).toBe('ann');
    const nobodys = tokenOf(undefined, [pullOf('docker.io/team/app')]);
    expect((await admit({ need, credentials: nobodys })).refusal?.status).toBe(401);
  });

  it('is read by strangers, where logins are listed and readers let in', async () => {
    const { admit, tokenOf } = room({
      accounts: [ANN],
      anonymousAccess: 'pull',
      anonymousRepositories: ['**'],
    });
    const { refusal, identity } = await admit({ need: needOf('team/app') });

    expect([refusal, identity?.upstreamAs(app)]).toEqual([undefined, 'configured']);
    const token = tokenOf(undefined, [
      { ...pullOf('docker.io/team/app'), actions: ['pull', 'push'] },
    ]);
    expect(
      rightsOf((await admit({ need: needOf('team/app'), credentials: token })).identity),
    ).toEqual(['pull']);
    expect((await admit({ need: { kind: 'search' } })).refusal).toBeUndefined();
  });

  it('gives tokens by the gate, for what is asked for; of another registry, for pulls', async () => {
    const { voucher, tokens } = room();
    const scopes = [
      scopeOf('team/app', ['pull', 'push']),
      scopeOf('team/app', ['pull', 'push'], quay),
      { type: 'catalog' } as const,
    ];
    const { token, access, refreshToken } = await voucher.token(
      tokenRequest({ scopes, offline: true }),
    );

    expect(access).toEqual([
      { ...pullOf(app), actions: ['pull', 'push'] },
      pullOf(away),
      { type: 'registry', name: 'catalog', actions: ['*'] },
    ]);
    expect(tokens.verify(token, hub)).toEqual({ username: undefined, access });
    expect(refreshToken).toBeUndefined();
  });

  it('gives the listed a refresh token, which ends with the listing', async () => {
    const { voucher, tokens, trail } = room({ accounts: [ANN] });
    const context = tokenRequest(
      { offline: true, scopes: [scopeOf('team/app', ['push'])] },
      { credentials: basic('ann', 'right') },
    );
    context.identity = { username: undefined } as Identity;
    const { token, refreshToken } = await voucher.token(context);

    expect(tokens.verify(token, hub)).toMatchObject({
      username: 'ann',
      access: [{ actions: ['push'] }],
    });
    expect(context.identity.username).toBe('ann');
    expect(trail).toMatchObject([{ audit: 'login', actor: 'ann' }]);
    const again = (listed: object) =>
      room(listed).voucher.token(
        tokenRequest({ grant: { kind: 'refresh_token', refreshToken: refreshToken! } }),
      );
    expect(tokens.verify((await again({ accounts: [ANN] })).token, hub)?.username).toBe('ann');
    expect(await refusalOf(() => again({ accounts: [{ ...ANN, password: 'new' }] }))).toMatchObject(
      {
        message: 'the login has ended; log in again: docker login gate.example',
      },
    );
    const { refreshToken: none } = await voucher.token(
      tokenRequest({}, { credentials: basic('ann', 'right') }),
    );
    expect(none).toBeUndefined();
  });

  it.each([
    ['a wrong password', { credentials: basic('ann', 'wrong') }, 'incorrect username or password'],
    ['a token', { credentials: bearer('x') }, 'incorrect username or password'],
    ['nothing', {}, 'log in first: docker login gate.example'],
  ])('gives none for %s, where logins are listed', async (_, given, message) => {
    const { voucher } = room({ accounts: [ANN] });

    expect((await refusalOf(() => voucher.token(tokenRequest({}, given))))?.message).toBe(message);
  });

  it('gives strangers one for pulls, where logins are listed and readers let in', async () => {
    const { voucher } = room({ accounts: [ANN], anonymousAccess: 'pull' });
    const { access } = await voucher.token(
      tokenRequest({ scopes: [scopeOf('team/app', ['pull', 'push'])] }),
    );

    expect(access).toEqual([pullOf(app)]);
  });
});
