import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { startGate, type Gate } from '../support/gate';
import { askToken, basic, bearer, send, tokenFor, unique } from '../support/http';
import { logsIn } from '../support/stand';

const UPSTREAM = { UPSTREAM_REGISTRY: 'http://127.0.0.1:9' };

describe('S29: an account that would be more than it is', () => {
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

it('S30: a gate without a configured secret or password makes its own, which nobody else can read, and shows none', async () => {
  const [one, other] = [await startGate(UPSTREAM), await startGate(UPSTREAM)];
  const files = ['initial-admin-password', 'token-secret'];

  for (const name of files) {
    const [here, there] = [join(one.dataDir, name), join(other.dataDir, name)];
    expect(statSync(here).mode & 0o777).toBe(0o600);
    const secret = readFileSync(here, 'utf8').trim();
    expect(secret.length).toBeGreaterThanOrEqual(16);
    expect(secret).not.toBe(readFileSync(there, 'utf8').trim());
    expect(one.output()).not.toContain(secret);
    await one.restart();
    expect(readFileSync(here, 'utf8').trim()).toBe(secret);
  }
  expect(one.stderr()).toContain('initial-admin-password');
  for (const password of ['', 'admin', 'password', 'tidegate']) {
    expect(await logsIn(one, { username: 'admin', password })).toBe(false);
  }
});

describe('S32: fifty accounts that are made at once', () => {
  it('are all there, after a restart too, and one that is removed is refused at once, with its tokens', async () => {
    const gate = await startGate(UPSTREAM);
    const file = join(gate.dataDir, 'htpasswd');
    const accounts = await Promise.all(Array.from({ length: 50 }, () => gate.addAccount()));
    const names = accounts.map(({ username }) => username);
    const listed = async () =>
      (await gate.rest('GET', '/users'))
        .json<{ users: { username: string }[] }>()
        .users.map(({ username }) => username);
    const [gone, ...others] = accounts;
    const { token } = await tokenFor(gate.url, gone!);
    const shown = () => send(`${gate.url}/v2/`, { headers: bearer(token) });

    expect(await listed()).toEqual(expect.arrayContaining(names));
    expect((await shown()).status).toBe(200);
    await gate.removeAccount(gone!);

    expect([(await shown()).status, await logsIn(gate, gone!)]).toEqual([401, false]);
    expect(await logsIn(gate, others.at(-1)!)).toBe(true);
    const lines = readFileSync(file, 'utf8');
    for (const { username } of others) expect(lines).toContain(`${username}:`);
    await gate.restart();
    expect(await listed()).toEqual(expect.arrayContaining(names.slice(1)));
    expect([await logsIn(gate, gone!), await logsIn(gate, others[0]!)]).toEqual([false, true]);
  });
});
