import {
  authRoom,
  basic,
  bearer,
  named,
  needOf,
  openAccounts,
  quay,
  refusalOf,
  requestFor,
  scopeOf,
  tokenRequest,
} from '../../test/support/auth-room';
import { ACTOR } from '../../test/support/accounts';
import type { Settings } from '../config/settings';
import type { RequestContext } from '../edge/request-context';
import type { Access } from '../oci/access';
import type { Accounts } from './accounts/accounts.service';
import { AccountsVoucher } from './accounts.voucher';

const PASSWORD = 'correct horse';
const GATE = 'Bearer realm="https://gate.example/token",service="tidegate"';

let accounts: Accounts;
beforeAll(async () => {
  accounts = await openAccounts();
  const access = [{ repository: 'team/**', actions: ['pull' as const, 'push' as const] }];
  await accounts.add({ username: 'root', password: PASSWORD, role: 'admin' }, ACTOR);
  await accounts.add({ username: 'ann', password: PASSWORD }, ACTOR);
  await accounts.add({ username: 'ci', password: PASSWORD, access }, ACTOR);
});

function room(overrides: Partial<Settings> = {}) {
  const { tokens, policy, refusals, trail } = authRoom(accounts, overrides);
  const voucher = new AccountsVoucher(accounts, tokens, policy, refusals);
  const tokenOf = (username: string | undefined, access: readonly Access[]) =>
    bearer(
      tokens.issue(username === undefined ? undefined : accounts.find(username), access).token,
    );
  const admit = async (given: Partial<RequestContext>) => {
    const context = requestFor(given);
    const refusal = await refusalOf(() => voucher.admit(context));
    return { refusal, identity: context.identity };
  };
  return { voucher, tokens, trail, tokenOf, admit };
}

const pullOf = (name: string): Access => ({ type: 'repository', name, actions: ['pull'] });
const asked401 = (scope: string, message = 'authentication required') => ({
  status: 401,
  challenge: `${GATE},scope="${scope}"`,
  message,
});

describe('somebody who shows nothing', () => {
  it('is asked for a token, with the scope that the request needs in the words of the client', async () => {
    const { admit } = room();

    expect((await admit({})).refusal).toEqual({
      status: 401,
      challenge: GATE,
      message: 'authentication required',
    });
    expect((await admit({ need: needOf('team/app', ['pull', 'push']) })).refusal).toEqual(
      asked401('repository:team/app:pull,push'),
    );
    expect((await admit({ need: { kind: 'catalog' } })).refusal).toEqual(
      asked401('registry:catalog:*'),
    );
    expect((await admit({ need: { kind: 'search' } })).refusal?.challenge).toBe(GATE);
  });

  it('is asked for a password where an admin is needed', async () => {
    expect((await room().admit({ need: { kind: 'admin' } })).refusal).toEqual({
      status: 401,
      challenge: 'Basic realm="tidegate", charset="UTF-8"',
      message: 'authentication required',
    });
  });

  it('gets what is public, as nobody', async () => {
    const { refusal, identity } = await room({ anonymousAccess: 'pull' }).admit({
      need: { kind: 'nothing' },
      asked: { noun: 'help' },
    });

    expect(refusal).toBeUndefined();
    expect(identity).toMatchObject({ username: undefined, epoch: 0, admin: false });
    expect(identity!.may(named('team/app').canonical, 'pull')).toBe(false);
  });

  it('pulls and searches where everybody may, and nothing more', async () => {
    const { admit } = room({ anonymousAccess: 'pull', anonymousRepositories: ['team/**'] });
    const { refusal, identity } = await admit({ need: needOf('team/app') });

    expect(refusal).toBeUndefined();
    expect(identity).toMatchObject({ username: undefined, epoch: 0, admin: false });
    expect(identity!.upstreamAs(named('team/app').canonical)).toBe('configured');
    expect(identity!.upstreamAs(named('other/app').canonical)).toBe('anonymous');
    expect(identity!.registryAs(quay)).toBe('anonymous');
    expect((await admit({ need: { kind: 'search' } })).refusal).toBeUndefined();
    expect((await admit({})).refusal?.status).toBe(401);
    expect((await admit({ need: { kind: 'catalog' } })).refusal?.status).toBe(401);
    expect((await admit({ need: { kind: 'admin' } })).refusal?.status).toBe(401);
    expect((await admit({ need: needOf('team/app', ['push']) })).refusal).toEqual(
      asked401('repository:team/app:push'),
    );
  });
});

describe('somebody who shows a password', () => {
  it('is who they say, with the rights of the account', async () => {
    const { admit, trail } = room();
    const { refusal, identity } = await admit({
      need: needOf('team/app', ['pull', 'push']),
      credentials: basic('ci', PASSWORD),
    });

    expect(refusal).toBeUndefined();
    expect(identity).toMatchObject({ username: 'ci', epoch: 0, admin: false });
    const [own, other] = [named('team/app').canonical, named('other/app').canonical];
    expect([identity!.may(own, 'push'), identity!.may(own, 'delete')]).toEqual([true, false]);
    expect([identity!.may(other, 'pull'), identity!.sees(other)]).toEqual([false, false]);
    expect(identity!.sees(own)).toBe(true);
    expect(identity!.upstreamAs(other)).toBe('configured');
    expect(identity!.registryAs(quay)).toBe('configured');
    expect(trail).toMatchObject([
      { audit: 'login', actor: 'ci', address: '192.0.2.1', request: 'r1' },
    ]);
  });

  it.each([
    ['a wrong one', basic('ann', 'wrong')],
    ['one of an account that there is not', basic('nobody', PASSWORD)],
  ])('that is not good is told the same: %s', async (_, credentials) => {
    const { admit, trail } = room({ anonymousAccess: 'pull' });
    const { refusal, identity } = await admit({ need: needOf('team/app'), credentials });

    expect(refusal).toEqual(asked401('repository:team/app:pull', 'incorrect username or password'));
    expect(identity).toBeUndefined();
    expect(trail).toMatchObject([
      { audit: 'login.failed', target: 'username' in credentials && credentials.username },
    ]);
    expect(trail[0]).not.toHaveProperty('actor');
  });

  it('is denied what the account may not, by its name', async () => {
    const { admit, trail } = room();
    const { refusal, identity } = await admit({
      need: needOf('other/app', ['pull', 'push']),
      credentials: basic('ci', PASSWORD),
    });

    expect(refusal).toEqual({
      status: 403,
      challenge: undefined,
      message:
        'requested access to the resource is denied: ci has no right to pull and push on docker.io/other/app',
    });
    expect(identity?.username).toBe('ci');
    expect(trail).toMatchObject([
      { audit: 'login' },
      {
        audit: 'denied',
        actor: 'ci',
        target: 'docker.io/other/app',
        detail: { actions: ['pull', 'push'] },
      },
    ]);
  });

  it('is denied all that is asked for where the account may do a part of it', async () => {
    const need = needOf('team/app', ['pull', 'delete']);
    const { refusal } = await room().admit({ need, credentials: basic('ci', PASSWORD) });

    expect(refusal?.status).toBe(403);
  });

  it('administers the gate as an admin, and as nobody else', async () => {
    const { admit, trail } = room();
    const need = { kind: 'admin' } as const;

    const { refusal, identity } = await admit({ need, credentials: basic('root', PASSWORD) });
    expect([refusal, identity?.admin]).toEqual([undefined, true]);
    expect((await admit({ need, credentials: basic('ann', PASSWORD) })).refusal).toMatchObject({
      status: 403,
      message: 'requested access to the resource is denied: ann has no right to the administration',
    });
    expect(trail.at(-1)).toMatchObject({ audit: 'denied', actor: 'ann' });
    expect(trail.at(-1)).not.toHaveProperty('target');
    expect(trail.at(-1)).not.toHaveProperty('detail');
  });

  it('may list and log in', async () => {
    const { admit } = room();
    const credentials = basic('ann', PASSWORD);

    expect((await admit({ credentials })).refusal).toBeUndefined();
    expect((await admit({ need: { kind: 'catalog' }, credentials })).refusal).toBeUndefined();
    expect((await admit({ need: { kind: 'search' }, credentials })).refusal).toBeUndefined();
  });

  it('where none counts is nobody; but before the status document it does', async () => {
    const { admit, trail } = room();
    const need = { kind: 'nothing' } as const;
    const good = basic('root', PASSWORD);
    const wrong = basic('root', 'wrong');

    expect(
      (await admit({ need, asked: { noun: 'help' }, credentials: good })).identity,
    ).toMatchObject({ admin: false });
    expect(trail).toEqual([]);
    const status = { need, asked: { noun: 'health' } } as const;
    expect((await admit({ ...status, credentials: good })).identity).toMatchObject({ admin: true });
    const { refusal, identity } = await admit({ ...status, credentials: wrong });
    expect([refusal, identity?.admin]).toEqual([undefined, false]);
  });
});

describe('somebody who shows a token', () => {
  it('may do what both the token and the account allow', async () => {
    const { admit, tokenOf } = room();
    const credentials = tokenOf('ci', [
      pullOf('docker.io/team/app'),
      pullOf('docker.io/other/app'),
    ]);
    const { refusal, identity } = await admit({ need: needOf('team/app'), credentials });

    expect(refusal).toBeUndefined();
    expect(identity!.may(named('team/app').canonical, 'pull')).toBe(true);
    expect(identity!.may(named('team/app').canonical, 'push')).toBe(false);
    expect(identity!.may(named('team/more').canonical, 'pull')).toBe(false);
    expect(identity!.may(named('other/app').canonical, 'pull')).toBe(false);
    // Listings show what the account may see, whatever this token was made for.
    expect(identity!.sees(named('team/more').canonical)).toBe(true);
    expect(identity!.sees(named('other/app').canonical)).toBe(false);
  });

  it('is asked for a wider one where this one does not reach', async () => {
    const { admit, tokenOf, trail } = room();
    const credentials = tokenOf('ci', [pullOf('docker.io/team/app')]);
    const refused = 'requested access to the resource is denied';
    const challenge = (scope: string) => `${GATE},scope="${scope}",error="insufficient_scope"`;

    expect((await admit({ need: needOf('team/app', ['push']), credentials })).refusal).toEqual({
      status: 401,
      challenge: challenge('repository:team/app:push'),
      message: refused,
    });
    expect(trail).toEqual([]);
    expect((await admit({ need: needOf('other/app'), credentials })).refusal).toMatchObject({
      challenge: challenge('repository:other/app:pull'),
    });
    // This one is no matter of asking: the account has no such right.
    expect(trail).toMatchObject([{ audit: 'denied', actor: 'ci', target: 'docker.io/other/app' }]);
    expect(
      (await admit({ need: needOf('team/app', ['pull', 'delete']), credentials })).refusal,
    ).toMatchObject({
      challenge: challenge('repository:team/app:pull,delete'),
    });
    expect(trail).toHaveLength(2);
    expect((await admit({ need: { kind: 'catalog' }, credentials })).refusal).toMatchObject({
      challenge: challenge('registry:catalog:*'),
    });
  });

  it('lists with one that is for listing', async () => {
    const { admit, tokenOf } = room();
    const credentials = tokenOf('ann', [{ type: 'registry', name: 'catalog', actions: ['*'] }]);

    expect((await admit({ need: { kind: 'catalog' }, credentials })).refusal).toBeUndefined();
    expect((await admit({ credentials })).refusal).toBeUndefined();
  });

  it('of nobody reads what everybody may read here and now', async () => {
    const open = room({ anonymousAccess: 'pull' });
    const credentials = open.tokenOf(undefined, [pullOf('docker.io/team/app')]);
    const need = needOf('team/app');

    expect((await open.admit({ need, credentials })).refusal).toBeUndefined();
    expect((await open.admit({ need: { kind: 'catalog' }, credentials })).refusal?.status).toBe(
      401,
    );
    const closed = room();
    expect((await closed.admit({ need, credentials })).refusal).toMatchObject({
      status: 401,
      challenge: `${GATE},scope="repository:team/app:pull",error="insufficient_scope"`,
    });
    expect(closed.trail).toEqual([]);
  });

  it('that is not good is told so', async () => {
    const { admit } = room({ anonymousAccess: 'pull' });
    const credentials = bearer('not.a.token');

    expect((await admit({ need: needOf('team/app'), credentials })).refusal).toEqual({
      status: 401,
      challenge: `${GATE},scope="repository:team/app:pull",error="invalid_token"`,
      message: 'the token is not good, or not any more: log in again',
    });
  });

  it('administers nothing with it', async () => {
    const { admit, tokenOf } = room();
    const credentials = tokenOf('root', []);

    expect((await admit({ need: { kind: 'admin' }, credentials })).refusal).toMatchObject({
      status: 401,
      challenge: 'Basic realm="tidegate", charset="UTF-8"',
    });
  });

  it('before the status document is who it says, and nobody with a bad one', async () => {
    const { admit, tokenOf } = room();
    const status = { need: { kind: 'nothing' }, asked: { noun: 'health' } } as const;

    expect((await admit({ ...status, credentials: tokenOf('root', []) })).identity?.admin).toBe(
      true,
    );
    const { refusal, identity } = await admit({ ...status, credentials: bearer('x') });
    expect([refusal, identity?.admin]).toEqual([undefined, false]);
  });
});

it('a login in a form that nobody can read is wrong', async () => {
  const { admit } = room({ anonymousAccess: 'pull' });

  expect((await admit({ credentials: { scheme: 'unreadable' } })).refusal).toEqual({
    status: 401,
    challenge: GATE,
    message: 'incorrect username or password',
  });
});

describe('a token request', () => {
  const scopes = [
    scopeOf('team/app', ['pull', 'push']),
    scopeOf('other/app'),
    { type: 'catalog' } as const,
  ];
  const granted = [
    { type: 'repository', name: 'docker.io/team/app', actions: ['pull', 'push'] },
    { type: 'registry', name: 'catalog', actions: ['*'] },
  ];

  it('with a password gets a token for what may be had of it', async () => {
    const { voucher, tokens, trail } = room();
    const context = tokenRequest({ scopes }, { credentials: basic('ci', PASSWORD) });
    await voucher.admit(context);

    const issued = await voucher.token(context);

    expect(issued.access).toEqual(granted);
    expect(tokens.verify(issued.token)).toMatchObject({
      account: { username: 'ci' },
      access: granted,
    });
    expect(issued.refreshToken).toBeUndefined();
    expect(context.identity?.username).toBe('ci');
    expect(trail).toMatchObject([{ audit: 'login', actor: 'ci', detail: { scopes: 3 } }]);
  });

  it('gets a refresh token where one is asked for, and tokens for that', async () => {
    const { voucher } = room();
    const grant = { kind: 'password', username: 'ci', password: PASSWORD } as const;
    const { refreshToken } = await voucher.token(tokenRequest({ grant, offline: true }));

    const again = await voucher.token(
      tokenRequest({ grant: { kind: 'refresh_token', refreshToken: refreshToken! }, scopes }),
    );

    expect(again.access).toEqual(granted);
  });

  it('of nobody gets a token of nobody where everybody may read, and no refresh token', async () => {
    const { voucher, tokens } = room({ anonymousAccess: 'pull' });
    const { token, refreshToken, access } = await voucher.token(
      tokenRequest({ scopes, offline: true }),
    );

    expect(refreshToken).toBeUndefined();
    expect(tokens.verify(token)).toEqual({ account: undefined, access });
    expect(access).toEqual([pullOf('docker.io/team/app'), pullOf('docker.io/other/app')]);
  });

  const failed = { audit: 'login.failed' };
  it.each([
    [
      'by a wrong password',
      {},
      { credentials: basic('ci', 'wrong') },
      'incorrect username or password',
      [{ ...failed, target: 'ci' }],
    ],
    [
      'by a wrong password in the form',
      { grant: { kind: 'password', username: 'ci', password: 'wrong' } },
      {},
      'incorrect username or password',
      [{ ...failed, target: 'ci' }],
    ],
    ['by a token', {}, { credentials: bearer('x') }, 'incorrect username or password', [failed]],
    [
      'by what cannot be read',
      {},
      { credentials: { scheme: 'unreadable' } },
      'incorrect username or password',
      [failed],
    ],
    [
      'by a refresh token that has ended',
      { grant: { kind: 'refresh_token', refreshToken: 'x' } },
      {},
      'the login has ended; log in again: docker login gate.example',
      [failed],
    ],
    ['by nothing', {}, {}, 'log in first: docker login gate.example', []],
  ] as const)('is refused %s', async (_, request, given, message, trailed) => {
    const { voucher, trail } = room();

    expect(await refusalOf(() => voucher.token(tokenRequest(request, given)))).toEqual({
      status: 401,
      challenge: 'Basic realm="tidegate"',
      message,
    });
    expect(trail).toMatchObject(trailed);
  });

  it('keeps no more of a name that is not good than a line can bear', async () => {
    const { voucher, trail } = room();
    await refusalOf(() =>
      voucher.token(tokenRequest({}, { credentials: basic('x'.repeat(300), 'wrong') })),
    );

    expect(trail).toMatchObject([{ ...failed, target: 'x'.repeat(255) }]);
  });

  it('names the gate without its scheme, whichever that is', async () => {
    const { voucher } = room();
    const context = tokenRequest({}, { base: 'http://127.0.0.1:5000' });

    expect((await refusalOf(() => voucher.token(context)))?.message).toBe(
      'log in first: docker login 127.0.0.1:5000',
    );
  });
});
