import type { IncomingMessage } from 'node:http';
import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AccountsModule } from '../auth/accounts/accounts.module';
import { Accounts } from '../auth/accounts/accounts.service';
import { contextOf } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import { behindEdge } from '../../test/support/behind-edge';
import { basic, errorCode, raw, send, type Answer, type Sending } from '../../test/support/http';
import { atTheEnd, freshFolder } from '../../test/support/lifecycle';
import { AdminModule } from './admin.module';
import { describeApi } from './api-document';
import type { Fault } from './validated';

const ADMIN = { username: 'admin', password: 'admin-Passw0rd' };
const SECRET = 'vEry-s3cret';

/** Stands where the real guard stands: Basic of an admin, or nothing. */
@Injectable()
class AdminsOnly implements CanActivate {
  constructor(@Inject(Accounts) private readonly accounts: Accounts) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
    if (context?.credentials.scheme !== 'basic') throw new OciError('UNAUTHORIZED');
    const { username, password } = context.credentials;
    const account = await this.accounts.verify(username, password, context.address);
    if (account?.role !== 'admin') throw new OciError('UNAUTHORIZED');
    context.identity = {
      username,
      epoch: account.epoch,
      admin: true,
      may: () => true,
      sees: () => true,
      upstreamAs: () => 'configured',
    };
    return true;
  }
}

async function openGate() {
  const dataDir = freshFolder('admin');
  const lines: string[] = [];
  const { app, url, port } = await behindEdge({
    settings: {
      dataDir,
      htpasswdFile: `${dataDir}/htpasswd`,
      accounts: [{ username: 'fixed', password: 'fixed' }],
    },
    logTo: (line) => lines.push(line),
    imports: [AccountsModule, AdminModule],
    providers: [{ provide: APP_GUARD, useClass: AdminsOnly }],
  });
  const accounts = app.get(Accounts);
  await accounts.open({ watch: false });
  atTheEnd(() => accounts.close());
  await accounts.add({ ...ADMIN, role: 'admin' }, {});
  describeApi(app, '1.2.3', [AdminModule]);
  const ask = (path: string, { headers, ...sending }: Sending = {}) =>
    send(`${url}${path}`, { ...sending, headers: { ...basic(ADMIN), ...headers } });
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    ask('/admin/users', { method: 'POST', body: JSON.stringify(body), headers });
  const patch = (username: string, body: unknown) =>
    ask(`/admin/users/${username}`, { method: 'PATCH', body: JSON.stringify(body) });
  return { ask, post, patch, accounts, url, port, lines };
}

let gate: Awaited<ReturnType<typeof openGate>>;
let count = 0;
const fresh = () => `user${(count += 1)}`;
const faultsOf = (answer: Answer) =>
  answer.json<{ errors: [{ detail: Fault[] }] }>().errors[0].detail;
const seen = ({ status, text }: Answer) => [status, text === '' ? '' : JSON.parse(text)];

beforeAll(async () => {
  gate = await openGate();
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
      { username: fresh(), password: SECRET },
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
    const username = fresh();
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
    const username = fresh();
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
    const username = fresh();
    await gate.post({ username, password: SECRET });
    const epoch = gate.accounts.get(username)?.epoch ?? 0;
    const ended = await gate.ask(`/admin/users/${username}/sessions`, { method: 'DELETE' });
    expect(seen(ended)).toEqual([204, '']);
    expect(gate.accounts.get(username)?.epoch).toBeGreaterThan(epoch);
    const removed = await gate.ask(`/admin/users/${username}`, { method: 'DELETE' });
    expect([...seen(removed), removed.headers['cache-control']]).toEqual([204, '', 'no-store']);
    expect(gate.accounts.get(username)).toBeUndefined();
  });

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
    const username = fresh();
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

  it('refuse passwords over 72 bytes, empty ones and those with NUL, and quote none (S19)', async () => {
    for (const password of ['', 'ü'.repeat(37), `${SECRET}\0x`, `${SECRET}`.repeat(7)]) {
      const answer = await gate.post({ username: fresh(), password });
      expect([answer.status, faultsOf(answer)[0]?.path]).toEqual([400, 'password']);
      expect(answer.text).not.toContain(SECRET);
    }
    const answer = await gate.post({ username: fresh(), password: 'ü'.repeat(36) });
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
    expect(faultsOf(answer).find(({ path }) => path === '')?.message).toContain('"admin"');
    expect(answer.text).not.toContain(SECRET);
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
      Buffer.from([0x22, 0xff, 0x22]),
    ];
    for (const body of bodies) {
      const answer = await gate.ask('/admin/users', { method: 'POST', body });
      expect([answer.status, errorCode(answer)]).toEqual([400, 'BODY_INVALID']);
      expect(answer.text).not.toContain(SECRET);
    }
    expect(gate.lines.join('')).not.toContain(SECRET);
  });

  it('are at most 512 KiB, announced or not, and not compressed', async () => {
    const big = Buffer.alloc(512 * 1024 + 1, ' ');
    const chunked = {
      method: 'POST',
      body: big,
      headers: { 'transfer-encoding': 'chunked', 'content-length': [] },
    };
    for (const sending of [{ method: 'POST', body: big }, chunked]) {
      const answer = await gate.ask('/admin/users', sending);
      expect([answer.status, errorCode(answer)]).toEqual([413, 'BODY_TOO_LARGE']);
    }
    const packed = await gate.post({}, { 'content-encoding': 'gzip' });
    expect([packed.status, errorCode(packed)]).toEqual([400, 'BODY_INVALID']);
    const rules = Array.from({ length: 1000 }, (_, n) => ({
      repository: `team/${n}/`.padEnd(255, 'x'),
      actions: ['pull', 'push', 'delete'],
    }));
    expect((await gate.post({ username: fresh(), password: SECRET, access: rules })).status).toBe(
      201,
    );
    const oneMore = await gate.post({
      username: fresh(),
      password: SECRET,
      access: Array(1001).fill({ repository: 'a', actions: ['pull'] }),
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
    const tooLarge = await ask({ Authorization, 'Content-Length': '600000' });
    expect(tooLarge.text).toMatch(/^HTTP\/1\.1 413 /);
  });
});

describe('browsers', () => {
  const post = (headers: Record<string, string>) =>
    gate.post({ username: fresh(), password: SECRET }, headers);
  const get = (headers: Record<string, string>) => gate.ask('/admin/users', { headers });

  it.each([
    [{ 'sec-fetch-site': 'cross-site' }],
    [{ 'sec-fetch-site': 'same-site' }],
    [{ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' }],
    [{ origin: 'https://evil.example' }],
    [{ origin: 'null' }],
    [{ origin: 'http://localhost', host: 'localhost:8080' }],
    [{ 'sec-fetch-site': 'none', origin: 'https://evil.example' }],
  ])('may not change anything from another site: %j (S29)', async (headers) => {
    const before = gate.accounts.list().length;
    const refused = await post(headers as Record<string, string>);
    expect([refused.status, errorCode(refused)]).toEqual([403, 'DENIED']);
    expect(gate.accounts.list()).toHaveLength(before);
  });

  it('may from the gate itself', async () => {
    const own = {
      origin: 'http://gate.example:8080',
      host: 'gate.example:8080',
      'sec-fetch-site': 'same-origin',
    };
    expect((await post(own)).status).toBe(201);
    expect(
      (
        await post({
          origin: 'https://gate.example',
          host: 'gate.example:443',
          'x-forwarded-proto': 'https',
        })
      ).status,
    ).toBe(201);
    expect((await get({ 'sec-fetch-site': 'none' })).status).toBe(200);
  });

  it('may read from another site only by following a link', async () => {
    expect(
      (await get({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).status,
    ).toBe(403);
    expect((await get({ 'sec-fetch-site': 'same-site', 'sec-fetch-mode': 'cors' })).status).toBe(
      403,
    );
    expect(
      (await get({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).status,
    ).toBe(200);
  });
});

describe('/admin/api', () => {
  it('describes the routes with the schemas that bodies are checked by', async () => {
    const answer = await gate.ask('/admin/api/openapi.json');
    expect(answer.status).toBe(200);
    const document = answer.json<{
      info: { version: string };
      paths: Record<
        string,
        Record<
          string,
          {
            requestBody?: {
              content: Record<
                string,
                { schema: { properties: object; additionalProperties: boolean } }
              >;
            };
          }
        >
      >;
    }>();
    expect(document.info.version).toBe('1.2.3');
    expect(
      Object.entries(document.paths)
        .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method} ${path}`))
        .sort(),
    ).toEqual([
      'delete /admin/users/{username}',
      'delete /admin/users/{username}/sessions',
      'get /admin/users',
      'get /admin/users/{username}',
      'get /token',
      'patch /admin/users/{username}',
      'post /admin/users',
      'post /token',
    ]);
    const { schema } =
      document.paths['/admin/users']?.['post']?.requestBody?.content['application/json'] ?? {};
    expect(Object.keys(schema?.properties ?? {})).toEqual([
      'username',
      'password',
      'role',
      'access',
      'disabled',
      'expires',
    ]);
    expect(schema?.additionalProperties).toBe(false);
  });

  it('is a page that needs nothing from elsewhere and runs no script of its own text', async () => {
    const page = await gate.ask('/admin/api');
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8']);
    const policy = page.headers['content-security-policy'];
    expect(policy).toMatch(/default-src 'none'; script-src 'self';/);
    const named = [...page.text.matchAll(/(?:src|href)="([^"]+)"/g)].map(
      ([, address]) => address ?? '',
    );
    expect(named).toHaveLength(4);
    for (const address of named) {
      const { status, headers, body } = await gate.ask(address);
      expect([status, headers['x-content-type-options'], headers['cache-control']]).toEqual([
        200,
        'nosniff',
        'no-store',
      ]);
      expect(headers['content-type']).toMatch(/^(?:text\/css|text\/javascript|image\/png)/);
      expect(body.length).toBeGreaterThan(50);
    }
  });

  it.each([
    'package.json',
    'index.html',
    'swagger-ui.css.map',
    '..%2fpackage.json',
    'swagger-ui.js',
    '__proto__',
  ])('serves no other file: %s', async (name) => {
    expect([400, 404]).toContain((await gate.ask(`/admin/api/${name}`)).status);
  });

  it.each([
    '/admin/api',
    '/admin/api/openapi.json',
    '/admin/api/start.js',
    '/admin/api-json',
    '/admin/users',
  ])('shows a stranger nothing: %s (S38)', async (path) => {
    expect([401, 404]).toContain((await send(`${gate.url}${path}`)).status);
  });
});
