import { startGate, type Gate } from '../support/gate';
import { askToken, basic, bearer, send, tokenFor, unique, type Account } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { seed, startStand, type Stand } from '../support/stand';
import { describeWith } from '../support/tools';

/** An owner at home, while all others come from 127.0.0.1. */
const HOME = '127.0.0.2';

describeWith(['docker-registry'], 'hostile logins', () => {
  const login = (gate: Gate, account: Account, from?: string) => {
    return send(`${gate.url}/v2/auth?service=tidegate`, { headers: basic(account), from });
  };

  it('S19: a password over 72 bytes is refused when it is set, and never matched by its beginning', async () => {
    const { gate } = await startStand();
    const beginning = 'p'.repeat(72);
    const account = { username: unique('long-'), password: beginning };

    const long = { username: unique('long-'), password: `${beginning}12345678` };
    const refused = await gate.rest('POST', '/users', long);
    const made = await gate.rest('POST', '/users', account);

    expect(refused.status).toBe(400);
    expect(refused.text).toContain('72');
    expect(made.status).toBe(201);
    expect((await login(gate, account)).status).toBe(200);
    expect((await login(gate, { ...account, password: `${beginning}x` })).status).toBe(401);
    expect((await login(gate, { ...account, password: beginning.slice(1) })).status).toBe(401);
    const change = await gate.rest('PATCH', `/users/${account.username}`, {
      password: long.password,
    });
    expect(change.status).toBe(400);
  });

  it('S20: a storm of wrong logins gets 429s and no error of ours, while blobs still come', async () => {
    const { gate, registry }: Stand = await startStand();
    const image = imageOf(layersWith(1000));
    await seed(registry, 'team/app', '1', image);
    const { token } = await tokenFor(gate.url, await gate.addAccount(), 'repository:team/app:pull');
    const blob = `${gate.url}/v2/team/app/blobs/${[...image.blobs.keys()][1]}`;

    const storm = Array.from({ length: 500 }, (_, n) => {
      return login(gate, { username: `guess-${n % 50}`, password: `wrong-${n}` });
    });
    const pulls: number[] = [];
    for (let n = 0; n < 10; n += 1) {
      pulls.push((await send(blob, { headers: bearer(token), from: HOME })).status);
    }
    const statuses = (await Promise.all(storm)).map(({ status }) => status);

    expect(new Set(pulls)).toEqual(new Set([200]));
    expect([...new Set(statuses)].sort()).toEqual([401, 429]);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(250);
  });

  it('S21: wrong logins for an account from one address do not lock its owner out elsewhere', async () => {
    const { gate } = await startStand();
    const account = await gate.addAccount();

    const wrong: number[] = [];
    for (let n = 0; n < 30; n += 1) {
      wrong.push((await login(gate, { ...account, password: `wrong-${n}` })).status);
    }
    const guesser = await login(gate, account);
    const owner = await login(gate, account, HOME);

    expect(wrong[0]).toBe(401);
    expect(wrong.at(-1)).toBe(429);
    expect(guesser.status).toBe(429);
    expect(Number(guesser.headers['retry-after'])).toBeGreaterThan(0);
    expect(owner.status).toBe(200);
  });

  it('S28: made-up forwarded addresses do not lift the limit', async () => {
    const gate = await startGate({
      UPSTREAM_REGISTRY: 'http://127.0.0.1:9',
      RATE_LIMIT: '1',
      RATE_BURST: '20',
    });

    const statuses = await Promise.all(
      Array.from({ length: 200 }, async (_, n) => {
        const forged = `10.${n}.0.1`;
        const headers = {
          'x-forwarded-for': forged,
          'x-real-ip': forged,
          forwarded: `for=${forged}`,
        };
        return (await send(`${gate.url}/v2/`, { headers })).status;
      }),
    );

    expect(statuses.filter((status) => status === 401).length).toBeLessThan(40);
    expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(150);
    expect((await send(`${gate.url}/v2/`, { from: HOME })).status).toBe(401);
  });

  describe('S29', () => {
    let gate: Gate;

    beforeAll(async () => {
      gate = await startGate({ UPSTREAM_REGISTRY: 'http://127.0.0.1:9' });
    });

    it('an account cannot make itself an admin, or look at others', async () => {
      const account = await gate.addAccount();
      const { username } = account;

      const promoted = await gate.rest('PATCH', `/users/${username}`, { role: 'admin' }, account);
      const added = await gate.rest('POST', '/users', { username: 'x', password: 'y' }, account);
      const listed = await gate.rest('GET', '/users', undefined, account);

      for (const { status } of [promoted, added, listed]) expect(status).toBe(403);
      const after = (await gate.rest('GET', `/users/${username}`)).json<{ role: string }>();
      expect(after.role).toBe('user');
    });

    it.each([
      '<script>alert(1)</script>',
      'a:b',
      '',
      '../x',
      'a\nb:c',
      'a b',
      'x'.repeat(300),
      'ä',
      null,
      5,
    ])('an account cannot be called %j', async (username) => {
      const answer = await gate.rest('POST', '/users', { username, password: 'a password' });

      expect(answer.status).toBe(400);
      expect(answer.text).not.toContain('<script>');
    });

    it('fields that nobody knows are refused, and the last admin stays', async () => {
      const body = { username: unique('x'), password: 'a password', isAdmin: true };
      const { username } = gate.admin;

      expect((await gate.rest('POST', '/users', body)).status).toBe(400);
      expect((await gate.rest('DELETE', `/users/${username}`)).status).toBe(409);
      expect((await gate.rest('PATCH', `/users/${username}`, { role: 'user' })).status).toBe(409);
      expect((await gate.rest('PATCH', `/users/${username}`, { disabled: true })).status).toBe(409);
    });

    const CROSS_SITE: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { 'sec-fetch-site': 'cross-site' },
      { origin: 'null' },
    ];

    it.each(CROSS_SITE)('a request that another site sends is refused: %j', async (headers) => {
      const username = unique('cross-');
      const answer = await send(`${gate.url}/admin/users`, {
        method: 'POST',
        headers: { ...basic(gate.admin), 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ username, password: 'a password' }),
      });

      expect(answer.status).toBe(403);
      expect((await gate.rest('GET', `/users/${username}`)).status).toBe(404);
      expect((await askToken(gate.url, { username, password: 'a password' })).status).toBe(401);
    });
  });
});
