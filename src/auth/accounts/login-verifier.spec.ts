import type { Account } from './account';
import { LoginVerifier } from './login-verifier';
import { fingerprintOf } from './password-hash';
import { PasswordHasher } from './password-hasher';
import { compare, hash } from 'bcrypt';

/** One account, ann, that a test may take away; and how often bcrypt was asked. */
async function oneAccount() {
  const state = { comparisons: 0, during: () => {}, text: await hash('secret', 4), there: true };
  const hasher = new PasswordHasher({
    compare: async (password, text) => {
      state.comparisons++;
      const matches = await compare(password, text);
      state.during();
      return matches;
    },
    hash,
  });
  const account = (): Account => ({
    username: 'ann',
    role: 'user',
    disabled: false,
    epoch: 0,
    fingerprint: fingerprintOf(state.text),
    source: 'htpasswd',
  });
  const verifier = new LoginVerifier(hasher, {
    find: (username) => (username === 'ann' && state.there ? account() : undefined),
    hashOf: () => state.text,
    highestCost: 4,
  });
  return { state, verify: (password: string) => verifier.verify('ann', password, 'address') };
}

describe('LoginVerifier', () => {
  it('shares one comparison among identical logins at the same time', async () => {
    const { state, verify } = await oneAccount();

    const results = await Promise.all(Array.from({ length: 100 }, () => verify('secret')));

    expect(results.every((account) => account?.username === 'ann')).toBe(true);
    expect(state.comparisons).toBe(1);
  });

  it('remembers what matched, and never what did not', async () => {
    const { state, verify } = await oneAccount();

    await verify('secret');
    await verify('secret');
    expect(state.comparisons).toBe(1);
    expect(await verify('wrong')).toBeUndefined();
    expect(await verify('wrong')).toBeUndefined();
    expect(state.comparisons).toBe(3);
  });

  it('forgets with the hash, and with the account', async () => {
    const { state, verify } = await oneAccount();
    await verify('secret');

    state.text = await hash('other', 4);
    expect(await verify('secret')).toBeUndefined();
    expect(await verify('other')).toMatchObject({ username: 'ann' });
    state.there = false;
    expect(await verify('other')).toBeUndefined();
  });

  it('refuses a login whose account changed while it was being compared', async () => {
    const { state, verify } = await oneAccount();
    const other = await hash('other', 4);
    state.during = () => void (state.text = other);

    expect(await verify('secret')).toBeUndefined();
  });

  it('refuses a login whose account was taken away while it was being compared', async () => {
    const { state, verify } = await oneAccount();
    state.during = () => void (state.there = false);

    expect(await verify('secret')).toBeUndefined();
  });
});
