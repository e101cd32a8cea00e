/** What the voucher of accounts says at once is what it says when it is waited for; else nothing has happened. */
import fc from 'fast-check';
import {
  authRoom,
  basic,
  bearer,
  named,
  needOf,
  openAccounts,
  refusalOf,
  requestFor,
} from '../../test/support/auth-room';
import { ACTOR } from '../../test/support/accounts';
import { fuzzed } from '../../test/support/fuzz';
import type { Settings } from '../config/settings';
import type { Need, RequestContext } from '../edge/request-context';
import type { Access, RepositoryAction } from '../oci/access';
import type { Accounts } from './accounts/accounts.service';
import { AccountsVoucher } from './accounts.voucher';
import { OpenVoucher } from './open.voucher';

const PASSWORD = 'correct horse';
const TEAM = [{ repository: 'team/**', actions: ['pull' as const] }];

let accounts: Accounts;
beforeEach(async () => {
  accounts = await openAccounts();
  await accounts.add({ username: 'ann', password: PASSWORD }, ACTOR);
  await accounts.add({ username: 'ci', password: PASSWORD, access: TEAM }, ACTOR);
});

function room(overrides: Partial<Settings> = {}) {
  const { tokens, policy, refusals, trail } = authRoom(accounts, overrides);
  const voucher = new AccountsVoucher(accounts, tokens, policy, refusals);
  const tokenOf = (username: string | undefined, ...names: string[]) => {
    const account = username === undefined ? undefined : accounts.find(username);
    return tokens.issue(account, names.map(pullOf)).token;
  };
  /** What is said at once, and who is left to have asked. */
  const askNow = (given: Partial<RequestContext>, to = voucher) => {
    const context = requestFor(given);
    const admitted = to.admitNow(context);
    return { admitted, identity: context.identity };
  };
  return { voucher, tokens, trail, tokenOf, askNow };
}

const pullOf = (name: string): Access => ({ type: 'repository', name, actions: ['pull'] });
const APP = 'docker.io/team/app';
const need = needOf('team/app');
const NOTHING = { admitted: false, identity: undefined };

describe('who shows a token', () => {
  it('is let through at once to what both the token and the account allow, as themselves', () => {
    const { tokenOf, askNow, trail } = room();
    const credentials = bearer(tokenOf('ci', APP, 'docker.io/other/app'));

    const { admitted, identity } = askNow({ need, credentials });

    expect(admitted).toBe(true);
    expect(identity).toMatchObject({ username: 'ci', epoch: 0, admin: false });
    const may = (name: string, action: RepositoryAction) =>
      identity!.may(named(name).canonical, action);
    expect([may('team/app', 'pull'), may('team/app', 'push'), may('other/app', 'pull')]).toEqual([
      true,
      false,
      false,
    ]);
    expect(identity!.upstreamAs(named('team/app').canonical)).toBe('configured');
    expect(trail).toEqual([]);
  });

  it.each<[string, Need, string[]]>([
    ['another name', needOf('team/other'), [APP]],
    ['what the account may not pull', needOf('other/app'), ['docker.io/other/app']],
    ['another action', needOf('team/app', ['push']), [APP]],
    ['more than it is for', needOf('team/app', ['pull', 'push']), [APP]],
    ['one more than it is for', needOf('team/app', ['push', 'pull']), [APP]],
    ['anything, where it is for nothing', need, []],
    ['the administration', { kind: 'admin' }, [APP]],
    ['a login', { kind: 'login' }, [APP]],
    ['the catalog', { kind: 'catalog' }, [APP]],
    ['a search', { kind: 'search' }, [APP]],
    ['what needs nothing', { kind: 'nothing' }, [APP]],
  ])('is not let through at once to %s, and nobody writes it down', (_, needed, names) => {
    const { tokenOf, askNow, trail } = room();

    const said = askNow({ need: needed, credentials: bearer(tokenOf('ci', ...names)) });

    expect(said).toEqual(NOTHING);
    expect(trail).toEqual([]);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['was removed', () => accounts.remove('ci', ACTOR)],
    ['is disabled', () => accounts.change('ci', { disabled: true }, ACTOR)],
    [
      'has expired',
      () => accounts.change('ci', { expires: new Date(Date.now() - 1000).toISOString() }, ACTOR),
    ],
    ['has a new password', () => accounts.change('ci', { password: 'another horse' }, ACTOR)],
    ['has had its sessions ended', () => accounts.endSessions('ci', ACTOR)],
    [
      'may pull no more',
      () =>
        accounts.change('ci', { access: [{ repository: 'other/**', actions: ['pull'] }] }, ACTOR),
    ],
  ])('is not let through at once any more when the account %s', async (_, change) => {
    const { tokenOf, askNow, trail } = room();
    const credentials = bearer(tokenOf('ci', APP));
    const before = askNow({ need, credentials });

    await change();

    expect([before.admitted, askNow({ need, credentials })]).toEqual([true, NOTHING]);
    expect(trail).toEqual([]);
  });

  it('is not let through at once once its time is over', () => {
    const { tokenOf, askNow } = room();
    const credentials = bearer(tokenOf('ci', APP));
    const before = askNow({ need, credentials });
    const now = jest.spyOn(Date, 'now').mockReturnValue(Date.now() + 301_000);

    const after = askNow({ need, credentials });
    now.mockRestore();

    expect([before.admitted, after]).toEqual([true, NOTHING]);
  });

  it('that was given to nobody is let through at once where everybody may read, as nobody', () => {
    const everybody = room({ anonymousAccess: 'pull' });
    const credentials = bearer(everybody.tokenOf(undefined, APP));

    const { admitted, identity } = everybody.askNow({ need, credentials });

    expect([admitted, identity?.username]).toEqual([true, undefined]);
    expect(identity?.upstreamAs(named('team/app').canonical)).toBe('anonymous');
    expect(room().askNow({ need, credentials })).toEqual(NOTHING);
  });
});

it.each<[string, RequestContext['credentials']]>([
  ['a password', basic('ci', PASSWORD)],
  ['a wrong one', basic('ci', 'wrong')],
  ['nothing', { scheme: 'none' }],
  ['what nobody can read', { scheme: 'unreadable' }],
  ['a token of others', bearer('not.a.token')],
])('who shows %s is never let through at once, even where everybody may read', (_, credentials) => {
  const { askNow, trail } = room({ anonymousAccess: 'pull' });

  expect(askNow({ need, credentials })).toEqual(NOTHING);
  expect(trail).toEqual([]);
});

it('a token that was changed is never let through at once', () => {
  const { tokenOf, askNow } = room({ anonymousAccess: 'pull' });
  const [head, claims, signature] = tokenOf('ci', APP).split('.') as [string, string, string];
  const [, wider] = tokenOf('ann', APP, 'docker.io/other/app').split('.') as [string, string];
  const forged = [
    `${head}.${wider}.${signature}`,
    `${head}.${claims}.`,
    `${head}.${claims}.${signature.slice(0, -4)}AAAA`,
    `${Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')}.${claims}.`,
  ];

  for (const token of forged) expect(askNow({ need, credentials: bearer(token) })).toEqual(NOTHING);
});

it('modes in which others vouch let nobody through at once', () => {
  const { tokens, tokenOf } = room();
  const context = requestFor({ need, credentials: bearer(tokenOf('ann', APP)) });

  expect(new OpenVoucher(tokens).admitNow(context)).toBe(false);
  expect(context.identity).toBeUndefined();
});

it('whoever is let through at once would be when waited for, as the same', async () => {
  const { voucher, tokenOf, askNow, trail } = room({ anonymousAccess: 'pull' });
  const names = ['team/app', 'team/other', 'other/app'];
  const shown = fc.oneof(
    fc
      .tuple(
        fc.constantFrom('ann', 'ci', undefined),
        fc.subarray(
          names.map((name) => `docker.io/${name}`),
          { minLength: 1 },
        ),
      )
      .map(([who, granted]) => bearer(tokenOf(who, ...granted))),
    fc.constantFrom<RequestContext['credentials']>({ scheme: 'none' }, bearer('x')),
  );
  const needed = fc
    .tuple(
      fc.constantFrom(...names),
      fc.oneof(
        fc.constant(['pull'] as const),
        fc.subarray(['pull', 'push', 'delete'] as const, { minLength: 1 }),
      ),
    )
    .map(([name, actions]) => needOf(name, actions));
  let yeses = 0;

  await fc.assert(
    fc.asyncProperty(shown, needed, async (credentials, each) => {
      trail.length = 0;
      const { admitted, identity } = askNow({ need: each, credentials });
      expect(trail).toEqual([]);
      if (!admitted) return expect(identity).toBeUndefined();
      yeses += 1;
      const context = requestFor({ need: each, credentials });
      expect(await refusalOf(() => voucher.admit(context))).toBeUndefined();
      const told = (of = identity) =>
        JSON.stringify([
          of,
          names.map((name) => {
            const { canonical } = named(name);
            const actions = ['pull', 'push', 'delete'] as const;
            const may = actions.map((action) => of?.may(canonical, action));
            return [may, of?.sees(canonical), of?.upstreamAs(canonical)];
          }),
        ]);
      expect(told(identity)).toBe(told(context.identity));
    }),
    fuzzed(500),
  );
  expect(yeses).toBeGreaterThan(20);
});
