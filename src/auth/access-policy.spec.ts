import { settingsFor } from '../../test/support/behind-edge';
import { Registries } from '../config/registry-table';
import { registryTableOf } from '../config/registry-table-of';
import type { Settings } from '../config/settings';
import type { RequestContext } from '../edge/request-context';
import { AccessPolicy } from './access-policy';

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

describe('a stranger', () => {
  it('may do nothing', () => {
    const policy = policyWith({ anonymousAccess: 'pull' });

    expect(policy.may(undefined, 'docker.io/library/nginx' as never, 'pull')).toBe(false);
    expect(policy.may('anonymous', 'docker.io/library/nginx' as never, 'push')).toBe(false);
  });
});
