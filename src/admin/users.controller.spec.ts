import { SECRET, freshName, openAdminRoom, seen } from '../../test/support/admin-room';
import { errorCode, send } from '../../test/support/http';

let gate: Awaited<ReturnType<typeof openAdminRoom>>;

beforeAll(async () => {
  gate = await openAdminRoom();
});

describe('/admin/users', () => {
  it('makes an account that can log in at once, and says where it is', async () => {
    const username = 'a.b@c+d';
    const access = [{ repository: 'team/**', actions: ['pull', 'push'] }];
    const made = await gate.post({
      username,
      password: SECRET,
      access,
      expires: '2099-01-31T12:00:00+02:00',
    });
    const account = {
      username,
      role: 'user',
      access,
      disabled: false,
      expires: expect.stringMatching(/^2099-01-31T/),
      source: 'htpasswd',
    };
    expect(seen(made)).toEqual([201, account]);
    expect(made.headers['cache-control']).toBe('no-store');
    expect(seen(await gate.ask(made.headers.location ?? ''))).toEqual([200, account]);
    expect(await gate.accounts.verify(username, SECRET, '198.51.100.7')).toMatchObject({
      username,
    });
  });

  it('takes what `curl -d` sends: JSON that calls itself a form', async () => {
    const answer = await gate.post(
      { username: freshName(), password: SECRET },
      { 'content-type': 'application/x-www-form-urlencoded' },
    );
    expect(answer.status).toBe(201);
  });

  it('lists all accounts, and nothing of their hashes', async () => {
    const { status, text, headers, ...answer } = await gate.ask('/admin/users');
    expect([status, headers['cache-control']]).toEqual([200, 'no-store']);
    const { users } = answer.json<{ users: Record<string, unknown>[] }>();
    expect(users).toContainEqual({
      username: 'admin',
      role: 'admin',
      disabled: false,
      source: 'htpasswd',
    });
    expect(users).toContainEqual({
      username: 'fixed',
      role: 'user',
      disabled: false,
      source: 'settings',
    });
    expect(text).not.toMatch(/\$2|hash|epoch|fingerprint|password/i);
    expect((await gate.ask('/admin/users', { method: 'HEAD' })).status).toBe(200);
  });

  it('refuses a name that is taken with 409, and tells an unknown one with 404', async () => {
    const username = freshName();
    await gate.post({ username, password: SECRET });
    const again = await gate.post({ username, password: SECRET });
    expect([again.status, errorCode(again)]).toEqual([409, 'CONFLICT']);
    const missing = await Promise.all([
      gate.ask('/admin/users/nobody'),
      gate.patch('nobody', { disabled: true }),
      gate.ask('/admin/users/nobody', { method: 'DELETE' }),
      gate.ask('/admin/users/nobody/sessions', { method: 'DELETE' }),
    ]);
    for (const answer of missing)
      expect([answer.status, errorCode(answer)]).toEqual([404, 'USER_UNKNOWN']);
  });

  it('changes what is named and leaves the rest; null takes the list and the date away', async () => {
    const username = freshName();
    const access = [{ repository: '**', actions: ['pull'] }];
    await gate.post({ username, password: SECRET, access, expires: '2099-01-31T12:00:00Z' });
    const before = gate.accounts.get(username);
    const disabled = await gate.patch(username, { disabled: true, password: 'another-one' });
    expect(seen(disabled)).toEqual([
      200,
      {
        username,
        role: 'user',
        access,
        disabled: true,
        expires: '2099-01-31T12:00:00.000Z',
        source: 'htpasswd',
      },
    ]);
    expect(gate.accounts.get(username)?.fingerprint).not.toBe(before?.fingerprint);
    const open = await gate.patch(username, {
      disabled: false,
      role: 'admin',
      access: null,
      expires: null,
    });
    expect(seen(open)).toEqual([
      200,
      { username, role: 'admin', disabled: false, source: 'htpasswd' },
    ]);
    await gate.ask(`/admin/users/${username}`, { method: 'DELETE' });
  });

  it('removes an account, and ends the sessions of one, with 204', async () => {
    const username = freshName();
    await gate.post({ username, password: SECRET });
    const epoch = gate.accounts.get(username)?.epoch ?? 0;
    const ended = await gate.ask(`/admin/users/${username}/sessions`, { method: 'DELETE' });
    expect(seen(ended)).toEqual([204, '']);
    expect(gate.accounts.get(username)?.epoch).toBeGreaterThan(epoch);
    const removed = await gate.ask(`/admin/users/${username}`, { method: 'DELETE' });
    expect([...seen(removed), removed.headers['cache-control']]).toEqual([204, '', 'no-store']);
    expect(gate.accounts.get(username)).toBeUndefined();
  });

  it.each([
    ['PUT', '/admin/users', 'GET, HEAD, POST'],
    ['DELETE', '/admin/users', 'GET, HEAD, POST'],
    ['OPTIONS', '/admin/users', 'GET, HEAD, POST'],
    ['POST', '/admin/users/admin', 'GET, HEAD, PATCH, DELETE'],
    ['PUT', '/admin/users/nobody', 'GET, HEAD, PATCH, DELETE'],
    ['GET', '/admin/users/admin/sessions', 'DELETE'],
    ['POST', '/admin/users/admin/sessions', 'DELETE'],
  ])(
    'refuses %s %s with 405, and says to admins alone what it takes',
    async (method, path, allow) => {
      const answer = await gate.ask(path, { method });
      expect([answer.status, errorCode(answer), answer.headers.allow]).toEqual([
        405,
        'UNSUPPORTED',
        allow,
      ]);
      const stranger = await send(`${gate.url}${path}`, { method });
      expect([stranger.status, stranger.headers.allow]).toEqual([401, undefined]);
    },
  );

  it('keeps the last admin and the accounts of ACCOUNTS, and says why', async () => {
    const refusals = await Promise.all([
      gate.ask('/admin/users/admin', { method: 'DELETE' }),
      gate.patch('admin', { role: 'user' }),
      gate.patch('fixed', { disabled: true }),
    ]);
    for (const refusal of refusals)
      expect([refusal.status, errorCode(refusal)]).toEqual([409, 'CONFLICT']);
    expect(refusals[2]?.text).toContain('ACCOUNTS');
  });

  it('writes one audit line a change, with actor, target, address and request', async () => {
    const username = freshName();
    const made = await gate.post(
      { username, password: SECRET },
      { 'x-forwarded-for': '198.51.100.9' },
    );
    const line = gate.lines
      .map((text) => JSON.parse(text) as Record<string, unknown>)
      .find((entry) => entry['audit'] === 'account.created' && entry['target'] === username);
    expect(line).toMatchObject({
      actor: 'admin',
      address: '198.51.100.9',
      request: made.headers['x-request-id'],
    });
  });
});
