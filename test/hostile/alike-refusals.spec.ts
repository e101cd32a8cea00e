import { compare, hash } from 'bcrypt';
import { PasswordHasher } from '../../src/auth/accounts/password-hasher';
import { costOf } from '../../src/auth/accounts/password-hash';
import { AccountsFolder, ACTOR } from '../support/accounts';
import { startGate, type Gate } from '../support/gate';
import { basic, send, unique, type Account, type Answer } from '../support/http';

describe('S18: a login that fails', () => {
  let gate: Gate;
  let owner: Account;

  beforeAll(async () => {
    gate = await startGate({ UPSTREAM_REGISTRY: 'http://127.0.0.1:9' });
    owner = await gate.addAccount();
  });

  const byBasic = (path: string) => (account: Account) =>
    send(`${gate.url}${path}`, { headers: basic(account) });

  const byPost = (path: string) => (account: Account) => {
    const form = { grant_type: 'password', service: 'tidegate', client_id: 'test', ...account };
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    const body = new URLSearchParams(form).toString();
    return send(`${gate.url}${path}`, { method: 'POST', headers, body });
  };

  /** All that a client can read, but for what differs from one answer to the next anyway. */
  function seen({ status, headers, text }: Answer) {
    const names = Object.keys(headers).filter((name) => !/^(?:date|x-request-id)$/.test(name));
    return { status, headers: names.map((name) => [name, headers[name]]), text };
  }

  it.each([
    ['Basic at /v2/', byBasic('/v2/')],
    ['Basic at a manifest', byBasic('/v2/team/app/manifests/1')],
    ['Basic at /v2/auth', byBasic('/v2/auth?service=tidegate&scope=repository:team/app:pull')],
    ['Basic at /token', byBasic('/token?service=tidegate')],
    ['Basic at /admin/users', byBasic('/admin/users')],
    ['POST at /v2/auth', byPost('/v2/auth')],
    ['POST at /token', byPost('/token')],
  ])('by %s reads alike for an unknown user and a wrong password', async (_, login) => {
    const disabled = await gate.addAccount();
    await gate.changeAccount(disabled, { disabled: true });

    const wrong = await login({ username: owner.username, password: unique('wrong-') });
    const unknown = await login({ username: unique('nobody-'), password: unique('wrong-') });
    const out = await login(disabled);

    expect(wrong.status).toBe(401);
    expect(wrong.text.length).toBeGreaterThan(0);
    expect(seen(unknown)).toEqual(seen(wrong));
    expect(seen(out)).toEqual(seen(wrong));
    expect(`${wrong.text}${unknown.text}`).not.toContain(owner.username);
  });

  if (process.env['LONG_TESTS'] === '1')
    it('takes as long for an unknown user as for a wrong password: medians within 10 %', async () => {
      const taken = { wrong: [] as number[], unknown: [] as number[] };
      for (let n = 0; n < 300; n += 1) {
        // In turn, and each from an address of its own: neither the machine's mood nor the throttle tells them apart.
        for (const kind of ['wrong', 'unknown'] as const) {
          const username = kind === 'wrong' ? owner.username : unique('nobody-');
          const from = `127.${kind === 'wrong' ? 10 : 11}.${n >> 8}.${n & 255 || 1}`;
          const began = performance.now();
          const headers = basic({ username, password: unique('wrong-') });
          expect((await send(`${gate.url}/v2/auth`, { headers, from })).status).toBe(401);
          taken[kind].push(performance.now() - began);
        }
      }
      const median = (times: number[]) => times.sort((x, y) => x - y)[times.length >> 1] ?? 0;
      const [wrong, unknown] = [median(taken.wrong), median(taken.unknown)];

      expect(Math.abs(wrong - unknown) / Math.max(wrong, unknown)).toBeLessThan(0.1);
    }, 300_000);

  it('costs the same hashing for an unknown user, a wrong password and a disabled account', async () => {
    let rounds = 0;
    const counting = new PasswordHasher({
      compare: (password, text) => {
        rounds += 2 ** (costOf(text) ?? NaN);
        return compare(password, text);
      },
      hash: (password) => hash(password, 5),
    });
    const accounts = await new AccountsFolder().open({ hasher: counting });
    await accounts.add({ username: 'ann', password: 'right' }, ACTOR);
    await accounts.add({ username: 'off', password: 'right', disabled: true }, ACTOR);
    const workOf = async (username: string, password: string) => {
      rounds = 0;
      expect(await accounts.verify(username, password, 'client')).toBeUndefined();
      return rounds;
    };

    const work = [
      await workOf('ann', 'wrong'),
      await workOf('nobody', 'wrong'),
      await workOf('off', 'right'),
      await workOf('', 'wrong'),
      await workOf('ann', ''),
    ];

    expect(work[0]).toBeGreaterThan(0);
    expect(new Set(work).size).toBe(1);
  });
});
