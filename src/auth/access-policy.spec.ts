import { scopeOf } from '../../test/support/auth-room';
import { settingsFor } from '../../test/support/behind-edge';
import { Registries } from '../config/registry-table';
import { registryTableOf } from '../config/registry-table-of';
import type { Settings } from '../config/settings';
import type { RequestContext } from '../edge/request-context';
import type { CanonicalName } from '../oci/repository-name';
import { AccessPolicy, covers, coversCatalog, type Subject } from './access-policy';
import type { Account } from './accounts/account';

function policyWith(overrides: Partial<Settings>): AccessPolicy {
  const settings = settingsFor(overrides);
  return new AccessPolicy(settings, new Registries(registryTableOf(settings)));
}

function from(address: string, addressCounts = true): RequestContext {
  return { address, addressCounts } as RequestContext;
}

describe('somebody without a login', () => {
  const trusting = policyWith({
    trustedNetworks: ['10.1.0.0/16', '192.0.2.7', '2001:db8::/32', 'loopback'],
  });

  it.each([
    ['10.1.2.3', 'anonymous'],
    ['10.2.0.1', undefined],
    ['192.0.2.7', 'anonymous'],
    ['192.0.2.8', undefined],
    ['2001:db8::1', 'anonymous'],
    ['2001:db9::1', undefined],
    ['127.0.0.1', 'anonymous'],
    ['::1', 'anonymous'],
    ['', undefined],
    ['no address', undefined],
  ])('from %s is %s', (address, subject) => {
    expect(trusting.withoutLogin(from(address))).toBe(subject);
  });

  it('is a stranger where the address is that of somebody who forwards', () => {
    expect(trusting.withoutLogin(from('10.1.2.3', false))).toBeUndefined();
  });

  it('is a stranger where no network is trusted', () => {
    expect(policyWith({}).withoutLogin(from('127.0.0.1'))).toBeUndefined();
  });

  it('reads, from anywhere, where everybody may', () => {
    const open = policyWith({ anonymousAccess: 'pull' });

    expect(open.withoutLogin(from('203.0.113.1', false))).toBe('anonymous');
  });
});

describe('a trusted network', () => {
  it.each([
    ['linklocal', ['169.254.1.1', 'fe80::1', 'febf::1'], ['169.253.1.1', '10.0.0.1', 'fec0::1']],
    [
      'uniquelocal',
      ['10.9.9.9', '172.16.0.1', '172.31.255.1', '192.168.3.4', 'fc00::1', 'fdff::1'],
      ['172.32.0.1', '192.169.0.1', '11.0.0.1', 'fe00::1', '127.0.0.1'],
    ],
    ['loopback', ['127.9.9.9', '::1'], ['128.0.0.1', '::2']],
    ['2001:db8::5', ['2001:db8::5'], ['2001:db8::6']],
    ['192.0.2.0/24', ['192.0.2.99', '::ffff:192.0.2.99'], ['192.0.3.1', '::1']],
  ])('%s is these, and not those', (network, inside, outside) => {
    const policy = policyWith({ trustedNetworks: [network] });

    for (const address of inside) expect(policy.withoutLogin(from(address))).toBe('anonymous');
    for (const address of outside) expect(policy.withoutLogin(from(address))).toBeUndefined();
  });
});

describe('who may what', () => {
  const ACTIONS = ['pull', 'push', 'delete'] as const;
  const policy = policyWith({ anonymousAccess: 'pull', anonymousRepositories: ['team/**', 'b/c'] });
  const account = (more: Partial<Account>): Account => ({
    username: 'ann',
    role: 'user',
    disabled: false,
    epoch: 0,
    fingerprint: 'f',
    source: 'htpasswd',
    ...more,
  });
  const access = [
    { repository: 'team/**', actions: ['pull' as const, 'push' as const] },
    { repository: 'nginx', actions: ['delete' as const] },
  ];

  it.each<[string, Subject, string, readonly string[]]>([
    ['a stranger', undefined, 'team/app', []],
    ['a reader without a login', 'anonymous', 'team/app', ['pull']],
    ['an account without a list', account({}), 'team/app', ['pull']],
    ['an account with an empty list', account({ access: [] }), 'team/app', []],
    ['an account with a list', account({ access }), 'team/app', ['pull', 'push']],
    ['an account with a list, elsewhere', account({ access }), 'other/app', []],
    ['an account with a list, by a short name', account({ access }), 'library/nginx', ['delete']],
    ['an admin', account({ role: 'admin', access: [] }), 'team/app', ACTIONS],
  ])('%s: %j before %s may %j', (_, subject, repository, allowed) => {
    const name = `docker.io/${repository}` as CanonicalName;

    expect(ACTIONS.filter((action) => policy.may(subject, name, action))).toEqual(allowed);
  });

  it('goes upstream with the credentials of the operator as an account, or where those are lent', () => {
    const [lent, other] = ['docker.io/team/app', 'docker.io/other/app'] as CanonicalName[];

    expect(policy.upstreamAs(account({ access: [] }), other!)).toBe('configured');
    expect(policy.upstreamAs('anonymous', lent!)).toBe('configured');
    expect(policy.upstreamAs('anonymous', other!)).toBe('anonymous');
    expect(policy.upstreamAs(undefined, other!)).toBe('anonymous');
  });

  it('is granted what is asked for and may be had; a scope of which nothing may be had is left out', () => {
    const scopes = [
      scopeOf('team/app', ACTIONS),
      scopeOf('other/app'),
      { type: 'catalog' } as const,
    ];
    const team = (...actions: string[]) => ({
      type: 'repository',
      name: 'docker.io/team/app',
      actions,
    });
    const catalog = { type: 'registry', name: 'catalog', actions: ['*'] };

    expect(policy.grant(account({ access }), scopes)).toEqual([team('pull', 'push'), catalog]);
    expect(policy.grant('anonymous', scopes)).toEqual([
      team('pull'),
      { ...team('pull'), name: 'docker.io/other/app' },
    ]);
    expect(policy.grant(undefined, scopes)).toEqual([]);
  });
});

describe('what a token covers', () => {
  const access = [
    { type: 'repository', name: 'docker.io/team/app', actions: ['pull'] },
    { type: 'registry', name: 'docker.io/team/odd', actions: ['pull'] },
    { type: 'repository', name: 'catalog', actions: ['*'] },
  ];

  it('is what one of its entries says, of that name and that kind', () => {
    expect(covers(access, 'docker.io/team/app' as CanonicalName, 'pull')).toBe(true);
    expect(covers(access, 'docker.io/team/app' as CanonicalName, 'push')).toBe(false);
    expect(covers(access, 'docker.io/team/more' as CanonicalName, 'pull')).toBe(false);
    expect(covers(access, 'docker.io/team/odd' as CanonicalName, 'pull')).toBe(false);
    expect(covers([], 'docker.io/team/app' as CanonicalName, 'pull')).toBe(false);
  });

  it('is a listing where it says so', () => {
    expect(coversCatalog(access)).toBe(false);
    const catalog = { type: 'registry', name: 'catalog', actions: ['*'] };
    expect(coversCatalog([...access, catalog])).toBe(true);
  });
});
