import { FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, raw, send, type Account } from '../support/http';
import type { Registry } from '../support/registry';
import { startStand } from '../support/stand';
import { describeWith } from '../support/tools';

/** Figures in time are for the long runs; work is told by the processor's. */
const LONG = process.env['LONG_TESTS'] === '1';
/** Seconds of work that one path may be worth, and how often each is sent. */
const [MOST_WORK, REPEATS] = [0.05, 20];
const DIGEST = `sha256:${'a'.repeat(64)}`;

describeWith(['docker-registry'], 'hostile requests', () => {
  let gate: Gate;
  let registry: Registry;
  let account: Account;

  beforeAll(async () => {
    // Each refusal here is one of the path's, and none for having asked too often.
    ({ gate, registry } = await startStand('none', { RATE_BURST: '100000' }));
    account = await gate.addAccount();
  });

  /** The answer to a request that is written to the letter. */
  async function exchange(target: string, headers: string[] = [], method = 'GET', at = gate) {
    const host = headers.some((header) => /^host:/i.test(header)) ? [] : [`Host: ${at.host}`];
    const lines = [`${method} ${target} HTTP/1.1`, ...host, 'Connection: close', ...headers];
    const { text, closed } = await raw(at.port, `${lines.join('\r\n')}\r\n\r\n`, 3_000);
    return { status: Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1]), text, closed };
  }

  const authorized = () => [`Authorization: ${basic(account).authorization}`];

  async function reachesNothing(hostile: () => Promise<void>): Promise<void> {
    const before = (await registry.requests()).length;
    await hostile();
    expect((await registry.requests()).slice(before)).toEqual([]);
  }

  describe('S4: a client that names the gate as it likes', () => {
    let named: Gate;

    beforeAll(async () => {
      named = await startGate({ ...registry.settings, PUBLIC_URL: 'https://gate.example.test' });
    });

    it.each([
      [['Host: evil.example']],
      [['Host: evil.example:1234', 'X-Forwarded-Host: evil.example']],
      [
        [
          'X-Forwarded-Host: evil.example',
          'X-Forwarded-Proto: http',
          'Forwarded: host=evil.example',
        ],
      ],
    ])('gets the public URL in realm and Location: %j', async (headers) => {
      const answer = await exchange('/v2/', headers, 'GET', named);
      const user = await named.addAccount();
      const login = [
        ...headers,
        `Authorization: ${basic(user).authorization}`,
        'Content-Length: 0',
      ];
      const upload = await exchange('/v2/team/app/blobs/uploads/', login, 'POST', named);

      expect(answer.status).toBe(401);
      expect(answer.text).toContain('realm="https://gate.example.test/v2/auth"');
      expect(upload.status).toBe(202);
      expect(upload.text).toMatch(/location: (https:\/\/gate\.example\.test)?\/v2\/team\/app\//i);
      expect(`${answer.text}${upload.text}`).not.toContain('evil');
    });

    it('believes no forwarded header of an untrusted peer, without a public URL too', async () => {
      const headers = ['X-Forwarded-Host: evil.example', 'X-Forwarded-Proto: https'];

      const { text } = await exchange('/v2/', headers);

      expect(text).toContain(`realm="${gate.url}/v2/auth"`);
    });

    it.each([
      ['a host with a path', '/v2/', ['Host: evil/x?y#']],
      ['a host with a quote', '/v2/', ['Host: evil"x']],
      ['a host with a user', '/v2/', ['Host: user@evil']],
      ['two hosts', '/v2/', ['Host: one.example', 'Host: two.example']],
      ['no host', '/v2/', ['Host:']],
      ['an absolute address', 'http://evil.example/v2/', []],
      ['an absolute address of the operators', 'http://evil.example/admin/users', []],
    ])('refuses %s', async (_, target, headers) => {
      for (const at of [gate, named]) {
        const { status, text } = await exchange(target, headers, 'GET', at);

        expect(status).toBe(400);
        expect(text).not.toMatch(/realm=/);
      }
    });
  });

  it.each([
    '/v2/team/app/blobs/sha256:../../x',
    `/v2/team/app/blobs/${DIGEST}/../../x`,
    '/v2/team/app/blobs/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
    '/v2/team/../../admin/users',
    '/v2/team/%2e%2e/secret/manifests/1',
    '/v2/team%2fapp/manifests/1',
    '/v2/team//app/manifests/1',
    '/v2/team/app/manifests/..%2f1',
    '/v2/team/app/manifests/1%00',
    '/v2/Team/App/manifests/1',
    '/v2/team/app/blobs/md5:abc',
    '/v2/team/app\\..\\x/manifests/1',
    `/v2/team/app/blobs/uploads/../../../secret/blobs/${DIGEST}`,
    '/v2/team/app/blobs/uploads/%2e%2e?_state=x',
    '/v2/team/app/blobs/uploads/x?_state=http://127.0.0.1:1/steal',
  ])('S14: %s is refused, and goes nowhere', async (target) => {
    await reachesNothing(async () => {
      const { status } = await exchange(target, authorized());

      expect([400, 404]).toContain(status);
    });
  });

  const ADMIN_FORMS = [
    '/admin/users',
    '/%61dmin/users',
    '//admin/users',
    '/admin/users/',
    '/admin//users',
    '/admin;/users',
    '/admin/users;x=1',
    '/ADMIN/users',
    '/Admin/Users',
    '/admin/./users',
    '/v2/../admin/users',
    '/admin/users?x',
    '/admin/users%2f',
    '/admin/api',
    '/admin/api/openapi.json',
    '/admin/users/admin/sessions',
    '/internal/catalog',
    '/internal/admin',
  ];

  it.each(ADMIN_FORMS)('S15, S38: %s opens to nobody by any method', async (target) => {
    const logins = [[], authorized(), ['Authorization: Bearer x'], ['Authorization: Basic OjE=']];
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'POST', 'DELETE', 'TRACE']) {
      for (const login of logins) {
        const { status, text } = await exchange(target, [...login, 'Content-Length: 0'], method);

        expect([method, target, status < 400]).toEqual([method, target, false]);
        const barred = login[0]?.includes('Basic OjE=') ? [401, 429] : [];
        expect([400, 401, 403, 404, 405, ...barred]).toContain(status);
        expect(text).not.toContain('"users"');
      }
    }
    // Below /v2/ it is a malformed name, to everybody.
    const shut = target.startsWith('/v2/') ? [400, 401, 404] : [401, 404];
    for (const method of ['GET', 'HEAD', 'OPTIONS']) {
      const { status } = await exchange(target, [], method);
      expect([method, target, shut.includes(status)]).toEqual([method, target, true]);
    }
  });

  it('S38: a stranger learns nothing from health, and there are no metrics', async () => {
    const health = await send(`${gate.url}/health`);
    const wrong = await send(`${gate.url}/health`, {
      headers: basic({ ...account, password: 'x' }),
    });
    const user = await send(`${gate.url}/health`, { headers: basic(account) });
    const admin = await send(`${gate.url}/health`, { headers: basic(gate.admin) });

    for (const answer of [health, wrong, user]) expect(answer.json()).toEqual({ status: 'ok' });
    expect(Object.keys(admin.json())).toEqual(expect.arrayContaining(['status', 'version']));
    for (const path of ['/metrics', '/admin/metrics', '/api', '/api-json', '/docs']) {
      expect([401, 404]).toContain((await send(`${gate.url}${path}`)).status);
    }
  });

  it('S35: very long and very winding paths are refused at once', async () => {
    const paths = [
      `/v2/${'a/'.repeat(8000)}manifests/1`,
      `/v2/${'a'.repeat(15_000)}/manifests/1`,
      `/v2/${'a-'.repeat(500)}/manifests/1`,
      `/v2/${'a__'.repeat(330)}!/manifests/1`,
      `/v2/team/app/manifests/${'x'.repeat(900)}`,
      `/v2/auth?scope=${'repository:a:pull%20'.repeat(700)}`,
    ];
    await reachesNothing(async () => {
      for (const path of paths) {
        const { status } = await exchange(path, authorized());
        expect(status).toBeGreaterThanOrEqual(path.startsWith('/v2/auth') ? 200 : 400);
        expect(status).toBeLessThan(500);
      }
    });
    for (const length of [16 * 1024, 20 * 1024, 1024 * 1024]) {
      const began = performance.now();
      const { status } = await exchange(`/v2/${'a/'.repeat(length / 2)}manifests/1`, authorized());
      expect([400, 414, 431]).toContain(status);
      // Steps in the path's length, not in its square: a MiB ends like 16 KiB does.
      if (LONG) expect(performance.now() - began).toBeLessThan(20);
    }
  });

  it('S35: a path of nearly 16 KiB, of whatever it winds itself, is no way to keep the gate busy', async () => {
    const parts = ['a/', 'a-', 'a__', 'a.', '%2e', '//', 'blobs/', 'manifests/', 'uploads/', '../'];
    for (const part of parts) {
      const path = `/v2/${part.repeat(15_500 / part.length)}/manifests/1`;
      const times: number[] = [];
      const before = gate.processorTime();
      for (let n = 0; n < REPEATS; n += 1) {
        const began = performance.now();
        const { status } = await exchange(path, authorized());
        times.push(performance.now() - began);
        expect([part, [400, 404].includes(status)]).toEqual([part, true]);
      }
      // A reader whose steps grow with the square of the path takes several times as long.
      const spent = gate.processorTime() - before;
      expect([part, spent < REPEATS * MOST_WORK, spent]).toEqual([part, true, spent]);
      if (LONG)
        expect([part, times.sort((x, y) => x - y)[REPEATS / 2]! < 20]).toEqual([part, true]);
    }
  });

  it('S36: names that no table holds are no addresses', async () => {
    const trap = await FaultServer.start();
    const at = trap.host;

    await reachesNothing(async () => {
      for (const target of [
        `/v2/team/app/manifests/1?ns=${at}`,
        '/v2/team/app/manifests/1?ns=169.254.169.254',
        `/v2/team/app/manifests/1?ns=${registry.host}&ns=${at}`,
        '/v2/team/app/manifests/1?ns=',
        `/v2/auth?ns=${at}&scope=repository:team/app:pull`,
        `/v2/${at}/team/app/manifests/1`,
        '/v2/169.254.169.254/team/app/manifests/1',
        '/v2/evil.example/team/app/manifests/1',
      ]) {
        const { status } = await exchange(target, authorized());
        expect([target, [400, 404].includes(status)]).toEqual([target, true]);
      }
    });
    expect(trap.accepted).toBe(0);
  });
});
