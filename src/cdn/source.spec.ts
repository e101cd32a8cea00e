import { registryAt } from '../../test/support/upstream-fixture';
import type { RegistryCredentials } from '../config/registry-table';
import { viaOf, viasFor } from './source';

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
