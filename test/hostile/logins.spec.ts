import { startGate, type Gate } from '../support/gate';
import { basic, bearer, send, tokenFor, unique, type Account } from '../support/http';
import { imageOf, layersWith, MIB } from '../support/images';
import { seed, startStand, type Stand } from '../support/stand';
import { describeWith } from '../support/tools';

/** Figures in time are for the long runs. */
const LONG = process.env['LONG_TESTS'] === '1';

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
    // It is bytes that count: these are 40 characters.
    const wide = { username: unique('long-'), password: 'ä'.repeat(40) };
    expect((await gate.rest('POST', '/users', wide)).status).toBe(400);
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

  it('S20: a storm from hundreds of addresses waits in a queue that has an end: the rest is 429 at once', async () => {
    const { gate } = await startStand();
    const idle = gate.memory().now;

    const storm = await Promise.all(
      Array.from({ length: 500 }, (_, n) => {
        const from = `127.1.${n >> 8}.${n & 255 || 1}`;
        return login(gate, { username: `guess-${n}`, password: `wrong-${n}` }, from);
      }),
    );

    const refused = storm.filter(({ status }) => status === 429);
    const judged = storm.filter(({ status }) => status === 401);
    expect(refused.length + judged.length).toBe(500);
    // 2 at work and 32 that wait; whoever is judged makes room for one more while the others still come.
    expect(judged.length).toBeGreaterThanOrEqual(34);
    expect(refused.length).toBeGreaterThan(100);
    for (const { headers } of refused) expect(Number(headers['retry-after'])).toBeGreaterThan(0);
    expect(gate.memory().now - idle).toBeLessThan(100 * MIB);
    // Nothing is left of it: the next who logs in is judged.
    const owner = await gate.addAccount();
    expect((await login(gate, owner, HOME)).status).toBe(200);
  });

  if (LONG)
    it('S20: while 500 wrong logins come a second, blobs come with a p99 below 200 ms', async () => {
      const { gate, registry } = await startStand();
      const image = imageOf(layersWith(1000));
      await seed(registry, 'team/app', '1', image);
      const account = await gate.addAccount();
      const { token } = await tokenFor(gate.url, account, 'repository:team/app:pull');
      const blob = `${gate.url}/v2/team/app/blobs/${[...image.blobs.keys()][1]}`;
      const guesses: Promise<unknown>[] = [];
      let n = 0;
      const storm = setInterval(() => {
        for (let each = 0; each < 50; each += 1, n += 1) {
          const from = `127.${2 + (n & 63)}.${(n >> 6) & 255}.1`;
          const guess = { username: `guess-${n}`, password: `wrong-${n}` };
          guesses.push(login(gate, guess, from).catch(() => undefined));
        }
      }, 100);

      const times: number[] = [];
      const until = performance.now() + 20_000;
      while (performance.now() < until) {
        const began = performance.now();
        expect((await send(blob, { headers: bearer(token), from: HOME })).status).toBe(200);
        times.push(performance.now() - began);
      }
      clearInterval(storm);
      await Promise.all(guesses);

      expect(n).toBeGreaterThan(5_000);
      expect(times.sort((x, y) => x - y)[Math.floor(times.length * 0.99)]).toBeLessThan(200);
    }, 120_000);

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
});
