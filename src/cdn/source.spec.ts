import { registryAt } from '../../test/support/upstream-fixture';
import type { RegistryCredentials } from '../config/registry-table';
import { ClientLogin } from '../config/principal';
import type { RepositoryName } from '../oci/repository-name';
import { isClients, nameOf, takesMirrorsWord, viaOf, viasFor } from './source';

const [ANN, BEN] = ['ann', 'ben'].map((username) => ({ username, password: 'secret' })) as [
  RegistryCredentials,
  RegistryCredentials,
];

function configured(...credentials: RegistryCredentials[]): string {
  return viaOf({ registry: registryAt('https://reg.example', { credentials }), as: 'configured' });
}

describe('what a yes is remembered under', () => {
  it('with one account is what it was before there could be several', () => {
    expect(configured(ANN)).toBe('configured.aa909e27692e1a51');
    expect(configured()).toBe('anonymous.81e46f5dc54156c0');
  });

  it('with several is of all of them, in whatever order', () => {
    expect(configured(ANN, BEN)).toBe(configured(BEN, ANN));
    expect(new Set([configured(ANN, BEN), configured(ANN), configured(BEN)]).size).toBe(3);
    expect(configured(ANN, BEN)).toMatch(/^configured\.[0-9a-f]{16}$/);
  });

  it('is of names alone: a new password, and the same name twice, change nothing', () => {
    expect(configured({ ...ANN, password: 'another' })).toBe(configured(ANN));
    expect(configured(ANN, { ...ANN, password: 'another' })).toBe(configured(ANN));
  });

  it('is another at another address', () => {
    const elsewhere = registryAt('https://elsewhere.example', { credentials: [ANN] });

    expect(viaOf({ registry: elsewhere, as: 'configured' })).not.toBe(configured(ANN));
  });

  it('is its own and that of nobody for whoever shows an account, and the latter alone for others', () => {
    const registry = registryAt('https://reg.example', { credentials: [ANN] });
    const anonymous = viaOf({ registry, as: 'anonymous' });

    expect(viasFor({ registry, as: 'configured' })).toEqual([configured(ANN), anonymous]);
    expect(viasFor({ registry, as: 'anonymous' })).toEqual([anonymous]);
  });
});

describe('what a client’s own login is shown', () => {
  const registry = registryAt('https://reg.example', { name: 'reg.example', credentials: [ANN] });
  const login = (authorization: string | undefined, at = registry) =>
    viaOf({ registry: at, as: new ClientLogin('reg.example', authorization) });

  it('is remembered under that login, which it does not tell', () => {
    const via = login('Bearer of-ann');

    expect(via).toMatch(/^client\.[0-9a-f]{32}$/);
    expect(login('Bearer of-ann')).toBe(via);
    expect(new Set([via, login('Bearer of-ben'), login(undefined)]).size).toBe(3);
    expect(isClients(via)).toBe(true);
    expect(isClients(viaOf({ registry, as: 'configured' }))).toBe(false);
    expect(isClients(viaOf({ registry, as: 'anonymous' }))).toBe(false);
  });

  it('is another at another address', () => {
    const elsewhere = registryAt('https://elsewhere.example', { name: 'reg.example' });

    expect(login('Bearer of-ann', elsewhere)).not.toBe(login('Bearer of-ann'));
  });
});

it('rights are kept under the registry’s name and the repository’s', () => {
  const registry = registryAt('https://elsewhere.example', { name: 'reg.example' });
  const repository = 'team/app' as RepositoryName;

  expect(nameOf({ registry, repository, as: 'anonymous' })).toBe('reg.example/team/app');
});

describe('a mirror’s word', () => {
  const mirrors = [{ url: new URL('https://mirror.example'), tags: false }];
  const [closed, open, alone] = [
    registryAt('https://reg.example', { credentials: [ANN], mirrors }),
    registryAt('https://reg.example', { mirrors }),
    registryAt('https://reg.example', { credentials: [ANN] }),
  ];

  it.each([
    ['the gate’s own account', closed, 'configured', true],
    ['nobody in particular', closed, 'anonymous', false],
    ['a client’s own login', closed, new ClientLogin('reg.example', 'Bearer x'), false],
    ['the gate without an account', open, 'configured', true],
    ['everybody, where the gate has no account', open, 'anonymous', true],
    ['a client’s own login, where the gate has none', open, new ClientLogin('x', undefined), false],
    ['anybody, where there is no mirror', alone, 'configured', false],
  ] as const)('counts for %s', (_whom, registry, as, counts) => {
    expect(takesMirrorsWord({ registry, as })).toBe(counts);
  });
});
