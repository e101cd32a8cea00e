import fc from 'fast-check';
import { connect } from 'node:net';
import { openInnerGate, type InnerGate } from '../support/inner-gate';

/**
 * S15: edge, guard and router read every path alike. The gate runs whole, its upstream refuses connections, and
 * requests are written to the socket byte for byte, since a client library would tidy them up.
 */
describe('edge, guard and router agree', () => {
  let gate: InnerGate;
  let admin: string;

  beforeAll(async () => {
    gate = await openInnerGate({
      UPSTREAM_REGISTRY: 'http://127.0.0.1:1',
      RATE_LIMIT: '100000',
      RATE_BURST: '100000',
    });
    admin = `Authorization: ${gate.admin}\r\n`;
  });

  afterAll(() => gate.close());

  /** The status of the answer to exactly these bytes. */
  async function status(method: string, target: string, headers = ''): Promise<number> {
    return new Promise((resolve, reject) => {
      const socket = connect(gate.port, '127.0.0.1', () => {
        socket.write(
          `${method} ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n${headers}\r\n`,
        );
      });
      let text = '';
      socket
        .on('data', (chunk) => (text += chunk.toString('latin1')))
        .on('error', reject)
        .setTimeout(5_000, () => socket.destroy(new Error(`no answer to ${method} ${target}`)))
        .on('close', () => resolve(Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1] ?? 0)));
    });
  }

  const PUBLIC = new Set(['/', '/health', '/health/live', '/health/ready', '/v1/_ping']);

  const word = fc.constantFrom(
    'v2',
    'V2',
    'v1',
    'V1',
    '_ping',
    '_p%69ng',
    'ping',
    'search',
    'admin',
    'ADMIN',
    '%61dmin',
    'admin;',
    'users',
    'users;x',
    'u%73ers',
    'api',
    'api-json',
    'openapi.json',
    'cache',
    'CACHE',
    'c%61che',
    'repositories',
    'jobs',
    'prefetch',
    'verify',
    'docker.io',
    '127.0.0.1:1',
    '127.0.0.1%3a1',
    'internal',
    'manifest',
    'base',
    'token',
    'auth',
    'health',
    'ready',
    '_catalog',
    'a',
    'blobs',
    'uploads',
    'manifests',
    'latest',
    'tags',
    'list',
    '',
    '.',
    '..',
    '%2e%2e',
    '%2f',
    '\\',
    '*',
    `sha256:${'a'.repeat(64)}`,
  );
  const path = fc
    .tuple(
      fc.array(word, { minLength: 1, maxLength: 5 }),
      fc.constantFrom('', '/', '?', '?x=1', '?q=a', '?ns=127.0.0.1:1', '#x', ';', '%00', '//'),
    )
    .map(([words, end]) => `/${words.join('/')}${end}`);
  const method = fc.constantFrom('GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE');

  it('S15: nothing but the public addresses answers a stranger with more than a refusal', async () => {
    await fc.assert(
      fc.asyncProperty(path, method, async (target, verb) => {
        const answered = await status(verb, target, 'Content-Length: 0\r\n');
        const stripped = target.replace(/[?].*$/, '');
        if (PUBLIC.has(stripped) && (verb === 'GET' || verb === 'HEAD')) expect(answered).toBe(200);
        else expect([400, 401, 404, 405]).toContain(answered);
      }),
      { numRuns: 1500 },
    );
  });

  it('S15: an admin finds what the edge lets through, and no second spelling of it', async () => {
    await fc.assert(
      fc.asyncProperty(path, async (target) => {
        const answered = await status('GET', target, admin);
        // 503: it reached the registry's room, and there is no upstream.
        expect([200, 400, 404, 405, 503]).toContain(answered);
        if (answered === 200)
          expect(target.replace(/\?.*$/, '')).toMatch(
            /^\/(?:$|health|v1\/_ping$|v2\/?$|v2\/auth$|token$|admin\/(?:users|api|cache)(?:$|\/))/,
          );
      }),
      { numRuns: 500 },
    );
  });

  it('S15: an admin finds each address of the cache in one spelling', async () => {
    const digest = `sha256:${'a'.repeat(64)}`;
    const found = {
      '/admin/cache': [200, 405],
      '/admin/cache/repositories': [200, 405],
      '/admin/cache/repositories/nginx': [405, 405],
      '/admin/cache/repositories/127.0.0.1:1/team/app': [405, 405],
      [`/admin/cache/blobs/${digest}`]: [405, 405],
      '/admin/cache/jobs': [200, 405],
      '/admin/cache/jobs/0b3a1f5c': [404, 405],
      '/admin/cache/verify': [405, 405],
    };
    for (const [target, expected] of Object.entries(found)) {
      const answered = [await status('GET', target, admin), await status('PATCH', target, admin)];
      expect([target, ...answered]).toEqual([target, ...expected]);
      for (const other of spelledAgain(target))
        expect([other, await status('GET', other, admin)]).toEqual([other, 404]);
    }
  });

  /** The same address to a router that decodes, tidies up, or overlooks upper case. */
  function spelledAgain(target: string): string[] {
    const last = target.slice(target.lastIndexOf('/') + 1);
    const escaped = `%${last.charCodeAt(0).toString(16)}${last.slice(1)}`;
    return [
      `${target}/`,
      `${target};x`,
      `/${target}`,
      target.replace('/cache', '/CACHE'),
      target.replace('/cache', '/./cache'),
      target.replace('/cache', '/x/../cache'),
      target.replace(/[^/]+$/, escaped),
      ...(target.includes(':') ? [target.replace(':', '%3a')] : []),
      ...(target.includes('/team/') ? [target.replace('/team/', '%2fteam/')] : []),
    ];
  }

  it('S15: docker’s search is found in one spelling', async () => {
    const found = { '/v1/_ping': [200, 200], '/v1/search?q=a': [401, 503] };
    for (const [target, expected] of Object.entries(found)) {
      const answered = [await status('GET', target), await status('GET', target, admin)];
      expect([target, ...answered]).toEqual([target, ...expected]);
      expect([target, await status('POST', target, admin)]).toEqual([target, 405]);
      const [path = '', query = ''] = target.split('?');
      const other = ['/internal/ping', '/internal/search', '/v1', '/v1/', '/V1/_ping', '/v1/users'];
      for (const wrong of [`${path}/`, `${path};x`, `/${path}`, `/v1/.${path.slice(3)}`, ...other])
        expect([wrong, await status('GET', `${wrong}?${query}`, admin)]).toEqual([wrong, 404]);
    }
  });

  it.each([
    '/%61dmin/users',
    '//admin/users',
    '/admin/users/',
    '/admin;/users',
    '/ADMIN/users',
    '/admin/users;x',
    '/./admin/users',
  ])('S15: %s is nobody’s address, by any method', async (target) => {
    for (const verb of ['GET', 'HEAD', 'OPTIONS', 'POST'])
      expect([401, 404]).toContain(await status(verb, target, 'Content-Length: 0\r\n'));
  });

  it.each(['GET', 'HEAD', 'OPTIONS', 'POST', 'DELETE'])(
    'S38: %s of /admin shows a stranger nothing',
    async (verb) => {
      for (const path of ['users', 'cache', 'cache/repositories/nginx', 'cache/jobs'])
        expect([401, 404]).toContain(await status(verb, `/admin/${path}`, 'Content-Length: 0\r\n'));
    },
  );
});
