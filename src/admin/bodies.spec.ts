import { ADMIN, SECRET, faultsOf, freshName, openAdminRoom } from '../../test/support/admin-room';
import { basic, errorCode, raw, type Answer } from '../../test/support/http';

let gate: Awaited<ReturnType<typeof openAdminRoom>>;

beforeAll(async () => {
  gate = await openAdminRoom();
});

describe('bodies of /admin', () => {
  it.each([
    ['<script>', 'username'],
    ['a:b', 'username'],
    ['', 'username'],
    ['.hidden', 'username'],
    ['u'.repeat(65), 'username'],
  ])('refuse the user name %j (S29)', async (username, path) => {
    const answer = await gate.post({ username, password: SECRET });
    expect([answer.status, errorCode(answer)]).toEqual([400, 'BODY_INVALID']);
    expect(faultsOf(answer)).toEqual([
      { path, message: expect.stringContaining('letter or digit') },
    ]);
  });

  it('refuse passwords over 72 bytes, empty ones and those with control characters, and quote none (S19)', async () => {
    for (const password of [
      '',
      'ü'.repeat(37),
      `${SECRET}\0x`,
      `${SECRET}\n`,
      `${SECRET}`.repeat(7),
    ]) {
      const answer = await gate.post({ username: freshName(), password });
      expect([answer.status, faultsOf(answer)[0]?.path]).toEqual([400, 'password']);
      expect(answer.text).not.toContain(SECRET);
    }
    const answer = await gate.post({ username: freshName(), password: 'ü'.repeat(36) });
    expect(answer.status).toBe(201);
  });

  it('have every fault named at once, and unknown fields refused', async () => {
    const answer = await gate.post({
      username: 'x y',
      password: { [SECRET]: SECRET },
      role: 'root',
      access: [
        { repository: 'Team/**', actions: [] },
        { repository: 'a', actions: ['pull', 'admin'], more: 1 },
      ],
      disabled: 'no',
      expires: '2027-01-31 12:00',
      admin: true,
    });
    expect(answer.status).toBe(400);
    expect(
      faultsOf(answer)
        .map(({ path }) => path)
        .sort(),
    ).toEqual([
      '',
      'access.0.actions',
      'access.0.repository',
      'access.1',
      'access.1.actions.1',
      'disabled',
      'expires',
      'password',
      'role',
      'username',
    ]);
    const unknown = faultsOf(answer).find(({ path }) => path === '')?.message;
    expect(unknown).toContain('"admin"');
    expect(unknown).toContain('username, password, role, access, disabled, expires');
    expect(answer.text).not.toContain(SECRET);
  });

  it('are told in words of our own what is wrong and what is allowed, whatever they hold', async () => {
    const rule = { repository: 'a', actions: ['pull'] };
    const odd = [
      undefined,
      null,
      1,
      true,
      '',
      'x'.repeat(600),
      [],
      [1],
      {},
      [rule, null],
      { a: 1 },
    ];
    const answers: Answer[] = [];
    for (const value of odd) {
      answers.push(await gate.post(value));
      const names = ['username', 'password', 'role', 'access', 'disabled', 'expires', 'more'];
      for (const name of names) answers.push(await gate.post({ username: 'a:b', [name]: value }));
      for (const name of ['repository', 'actions', 'more'])
        answers.push(await gate.post({ username: 'a:b', access: [{ ...rule, [name]: value }] }));
      answers.push(await gate.patch('admin', { role: 'admin', expires: 1, more: value }));
    }
    for (const answer of answers.filter(({ text }) => text.includes('"detail"'))) {
      for (const { message } of faultsOf(answer)) {
        expect(message).toMatch(/; give /);
        expect(message).not.toMatch(/invalid|expected|unrecognized|too (?:big|small)|x{40}/i);
      }
    }
    expect(answers.filter(({ status }) => status !== 400)).toEqual([]);
    expect(faultsOf(await gate.post({}))).toEqual([
      { path: 'username', message: expect.stringMatching(/^is missing; give a letter or digit/) },
      { path: 'password', message: expect.stringMatching(/^is missing; give 1 to 72 bytes/) },
    ]);
  });

  it.each([
    ['an unknown field of a change', { username: 'else' }],
    ['a change of nothing', {}],
    ['__proto__', JSON.parse('{"disabled":true,"__proto__":{"role":"admin"}}') as object],
    ['no object', [{ disabled: true }]],
  ])('refuse %s', async (_what, body) => {
    const answer = await gate.patch('admin', body);
    expect([answer.status, errorCode(answer)]).toEqual([400, 'BODY_INVALID']);
    expect(gate.accounts.get('admin')).toMatchObject({ role: 'admin', disabled: false });
  });

  it('refuse what is not JSON in UTF-8, without quoting it in answer or log', async () => {
    const bodies = [
      `{"username":"x","password":"${SECRET}"`,
      `password=${SECRET}`,
      '',
      Buffer.from('{"username":"latin1","password":"\xfc"}', 'latin1'),
    ];
    for (const body of bodies) {
      const answer = await gate.ask('/admin/users', { method: 'POST', body });
      expect([answer.status, errorCode(answer)]).toEqual([400, 'BODY_INVALID']);
      expect(answer.text).not.toContain(SECRET);
    }
    expect(gate.lines.join('')).not.toContain(SECRET);
  });

  it('are at most 640 KiB, announced or not, and not compressed', async () => {
    const big = Buffer.alloc(640 * 1024 + 1, ' ');
    const chunked = {
      method: 'POST',
      body: big,
      headers: { 'transfer-encoding': 'chunked', 'content-length': [] },
    };
    for (const sending of [{ method: 'POST', body: big }, chunked]) {
      const answer = await gate.ask('/admin/users', sending);
      expect([answer.status, errorCode(answer)]).toEqual([413, 'BODY_TOO_LARGE']);
    }
    const packed = await gate.post(
      { username: freshName(), password: SECRET },
      { 'content-encoding': 'gzip' },
    );
    expect([packed.status, errorCode(packed)]).toEqual([400, 'BODY_INVALID']);
    const rules = Array.from({ length: 1000 }, (_, n) => ({
      repository: `team/${n}/`.padEnd(512, 'x'),
      actions: ['pull', 'push', 'delete'],
    }));
    expect(
      (await gate.post({ username: freshName(), password: SECRET, access: rules })).status,
    ).toBe(201);
    const oneMore = await gate.post({
      username: freshName(),
      password: SECRET,
      access: Array.from({ length: 1001 }, () => ({ repository: 'a', actions: ['pull'] })),
    });
    expect(faultsOf(oneMore)[0]?.path).toBe('access');
  });

  it('are asked for only once the guards said yes', async () => {
    const ask = (headers: Record<string, string>, body = '') => {
      const named = {
        Host: 'localhost',
        'Content-Length': '2',
        Expect: '100-continue',
        ...headers,
      };
      const lines = Object.entries(named).map(([name, value]) => `${name}: ${value}\r\n`);
      return raw(gate.port, `POST /admin/users HTTP/1.1\r\n${lines.join('')}\r\n${body}`, 500);
    };
    const Authorization = basic(ADMIN).authorization;
    expect((await ask({ Authorization }, '{}')).text).toMatch(
      /^HTTP\/1\.1 100 [^]*HTTP\/1\.1 400 /,
    );
    expect((await ask({})).text).toMatch(/^HTTP\/1\.1 401 /);
    const Origin = 'https://evil.example';
    expect((await ask({ Authorization, Origin })).text).toMatch(/^HTTP\/1\.1 403 /);
    const tooLarge = await ask({ Authorization, 'Content-Length': '700000' });
    expect(tooLarge.text).toMatch(/^HTTP\/1\.1 413 /);
  });
});
