import fc from 'fast-check';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { RegistryTable, type Registry } from '../config/registry-table';
import { readSettings } from '../config/read-settings';
import { OciError } from '../oci/oci-error';
import { parseRequest } from './parse-request';

const docker: Registry = {
  name: 'docker.io',
  url: new URL('https://registry-1.docker.io'),
  hosts: [],
  credentials: [],
  mirrors: [],
  library: true,
  redirects: 'follow',
  redirectHosts: [],
  authHosts: [],
  builtIn: true,
};
const ghcr: Registry = {
  ...docker,
  name: 'ghcr.io',
  url: new URL('https://ghcr.io'),
  hosts: ['ghcr.example.com'],
  library: false,
};
const local: Registry = {
  ...docker,
  name: '127.0.0.1:5000',
  url: new URL('http://127.0.0.1:5000'),
  library: false,
};
const DIGEST = `sha256:${'a'.repeat(64)}`;

interface Given {
  method?: string;
  headers?: Record<string, string>;
  table?: RegistryTable;
  env?: Record<string, string>;
}

function parse(
  target: string,
  { method = 'GET', headers = {}, table = new RegistryTable([docker]), env = {} }: Given = {},
) {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' });
  const request = new IncomingMessage(socket);
  const all = { host: 'gate.example', ...headers };
  request.method = method;
  request.url = target;
  request.rawHeaders = Object.entries(all).flat();
  Object.assign(request.headers, all);
  return parseRequest(request, readSettings(env), table, () => false);
}

/** The status with which the edge itself answers, or 0 where it passes the request on. */
function refusal(target: string, given?: Given): number {
  try {
    parse(target, given);
    return 0;
  } catch (error) {
    if (error instanceof OciError) return error.status;
    throw error;
  }
}

describe('names', () => {
  it.each([
    ['/v2/nginx/manifests/latest', 'docker.io/library/nginx', 'nginx'],
    ['/v2/library/nginx/manifests/latest', 'docker.io/library/nginx', 'library/nginx'],
    [
      '/v2/docker.io/library/nginx/manifests/latest',
      'docker.io/library/nginx',
      'docker.io/library/nginx',
    ],
    ['/v2/docker.io/nginx/manifests/latest', 'docker.io/library/nginx', 'docker.io/nginx'],
    ['/v2/team/manifests/manifests/latest', 'docker.io/team/manifests', 'team/manifests'],
    ['/v2/team/blobs/uploads/manifests/v1', 'docker.io/team/blobs/uploads', 'team/blobs/uploads'],
    ['/v2/app/manifests/1?ns=docker.io', 'docker.io/library/app', 'app'],
  ])('%s is %s', (target, canonical, asked) => {
    const parsed = parse(target);

    expect(parsed.asked).toMatchObject({ noun: 'manifest', name: { canonical, asked } });
    expect(parsed.need).toMatchObject({ kind: 'repository', actions: ['pull'] });
  });

  it('reach a registry by path, by host and by ns alike', () => {
    const table = new RegistryTable([docker, ghcr]);

    const ways = [
      parse('/v2/ghcr.io/org/app/tags/list', { table, headers: { host: 'localhost' } }),
      parse('/v2/org/app/tags/list', { table, headers: { host: 'ghcr.example.com' } }),
      parse('/v2/org/app/tags/list?ns=ghcr.io', { table, headers: { host: 'localhost' } }),
    ];

    for (const { asked } of ways)
      expect(asked).toMatchObject({
        name: { canonical: 'ghcr.io/org/app', repository: 'org/app' },
      });
    expect(ways.map(({ realm }) => realm)).toEqual([
      'http://localhost/v2/auth',
      'http://ghcr.example.com/v2/auth',
      'http://localhost/v2/auth?ns=ghcr.io',
    ]);
  });

  it('may name a registry by its port', () => {
    const table = new RegistryTable([local]);

    expect(parse('/v2/127.0.0.1:5000/team/app/tags/list', { table }).asked).toMatchObject({
      name: { canonical: '127.0.0.1:5000/team/app' },
    });
  });

  it.each([
    ['/v2/169.254.169.254/a/manifests/1', 404],
    ['/v2/evil.example/a/manifests/1', 404],
    ['/v2/evil:5000/a/manifests/1', 404],
    ['/v2/a/manifests/1?ns=169.254.169.254', 404],
    ['/v2/a/manifests/1?ns=docker.io&ns=docker.io', 400],
    ['/v2/Nginx/manifests/1', 400],
    ['/v2/a..b/manifests/1', 400],
    [`/v2/${'a'.repeat(256)}/manifests/1`, 400],
  ])('%s is refused with %d', (target, status) => {
    expect(refusal(target)).toBe(status);
  });

  it('are nobody’s on an unknown host, where registries are told apart by host; health still answers', () => {
    const table = new RegistryTable([docker, ghcr]);

    expect(refusal('/v2/', { table, headers: { host: 'other.example' } })).toBe(404);
    expect(refusal('/health', { table, headers: { host: 'other.example' } })).toBe(0);
  });
});

describe('nouns', () => {
  it.each([
    ['GET', '/v2/', 'base', 'login'],
    ['GET', '/v2', 'base', 'login'],
    ['GET', '/v2/_catalog?n=5', 'catalog', 'catalog'],
    ['HEAD', `/v2/a/blobs/${DIGEST}`, 'blob', 'repository'],
    ['POST', '/v2/a/blobs/uploads/', 'uploads', 'repository'],
    ['POST', '/v2/a/blobs/uploads', 'uploads', 'repository'],
    ['PATCH', '/v2/a/blobs/uploads/uuid-1?_state=x', 'upload', 'repository'],
    ['GET', `/v2/a/referrers/${DIGEST}`, 'referrers', 'repository'],
    ['GET', '/v2/auth?service=x&scope=repository:a:pull', 'token', 'nothing'],
    ['GET', '/token', 'token', 'nothing'],
    ['DELETE', '/admin/users/ci', 'admin', 'admin'],
    ['OPTIONS', '/admin/users', 'admin', 'admin'],
    ['GET', '/health/ready', 'health', 'nothing'],
    ['GET', '/', 'status', 'nothing'],
  ])('%s %s is %s and needs %s', (method, target, noun, kind) => {
    const parsed = parse(target, { method });

    expect(parsed.asked.noun).toBe(noun);
    expect(parsed.need.kind).toBe(kind);
  });

  it.each([
    ['PUT', ['pull', 'push']],
    ['DELETE', ['delete']],
    ['HEAD', ['pull']],
  ])('%s of a manifest needs %j', (method, actions) => {
    expect(parse('/v2/a/manifests/1', { method }).need).toMatchObject({ actions });
  });

  it.each([
    ['POST', '/v2/', 405],
    ['POST', '/v2/a/manifests/1', 405],
    ['OPTIONS', '/health', 405],
    ['GET', '/v2/a', 404],
    ['GET', '/v1/search', 400],
    ['GET', '/internal/manifest', 404],
    ['GET', '/admin', 404],
    ['GET', '/admin/users/', 404],
    ['GET', '/admin;/users', 404],
    ['GET', '/ADMIN/users', 404],
    ['GET', '/%61dmin/users', 404],
    ['GET', '/admin/%75sers', 404],
    ['GET', '//admin/users', 404],
    ['GET', '/v2/../admin/users', 400],
    ['GET', '/v2//_catalog', 400],
    ['GET', 'http://evil.example/v2/', 400],
    ['GET', '/v2/a/blobs/sha256:../../x', 400],
    ['GET', '/v2/a/blobs/%2e%2e%2fx', 400],
    ['GET', '/v2/a/manifests/-x', 400],
    ['GET', `/v2/${'a/'.repeat(8000)}tags/list`, 400],
    ['GET', '/v2/_catalog?n=x', 400],
    ['GET', '/v2/_catalog?n=1&n=2', 400],
  ])('%s %s is answered %d', (method, target, status) => {
    expect(refusal(target, { method })).toBe(status);
  });

  it('mount only from a source that can be meant here', () => {
    const mount = (from: string) =>
      parse(`/v2/a/blobs/uploads/?mount=${DIGEST}${from}`, { method: 'POST' }).asked;

    expect(mount('&from=b')).toMatchObject({
      mount: { digest: DIGEST, from: { canonical: 'docker.io/library/b' } },
    });
    expect(mount('')).toMatchObject({ mount: undefined });
    expect(mount('&from=evil.example/b')).toMatchObject({ mount: undefined });
  });

  it('are parsed without a fault whatever the target is', () => {
    const segment = fc.oneof(
      fc.constantFrom(
        'v2',
        'admin',
        'users',
        'blobs',
        'uploads',
        'manifests',
        'tags',
        'list',
        'auth',
        '',
        '.',
        '..',
        '%2e',
        '_catalog',
        ';',
        'A',
      ),
      fc.string({ maxLength: 8 }),
    );
    const target = fc
      .tuple(fc.array(segment, { maxLength: 8 }), fc.string({ maxLength: 20 }))
      .map(([parts, query]) => `/${parts.join('/')}?${query}`);

    fc.assert(
      fc.property(
        target,
        fc.constantFrom('GET', 'PUT', 'DELETE', 'POST', 'OPTIONS'),
        (text, method) => {
          const status = refusal(text, { method });
          expect([0, 400, 404, 405]).toContain(status);
          if (status !== 0) return;
          const { asked, need, route } = parse(text, { method });
          // What is public is one of five addresses, to the letter; what is the router's own is named by the noun alone.
          if (need.kind === 'nothing')
            expect(['/', '/health', '/health/live', '/health/ready', '/internal/token']).toContain(
              route,
            );
          if (asked.noun === 'admin') expect(route).toMatch(/^\/admin(?:\/[^/?;\\]+)+$/);
          else if (need.kind !== 'nothing') expect(route).toBe(`/internal/${asked.noun}`);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe('the public base', () => {
  it.each([
    [{ host: 'gate.example:8443' }, {}, 'http://gate.example:8443'],
    [{ host: 'GATE.example' }, {}, 'http://gate.example'],
    [{ host: '[::1]:5000' }, {}, 'http://[::1]:5000'],
    [{ host: 'evil.example' }, { PUBLIC_URL: 'https://gate.example' }, 'https://gate.example'],
    [
      { host: 'gate.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' },
      {},
      'http://gate.example',
    ],
  ])('of %j with %j is %s', (headers, env, base) => {
    expect(parse('/v2/', { headers, env: env as Record<string, string> }).base).toBe(base);
  });

  it.each(['evil/x?y#', 'a b', 'user@host', 'host:port', 'x'.repeat(300), '-a', '<script>'])(
    'refuses Host: %s',
    (host) => {
      expect(refusal('/v2/', { headers: { host } })).toBe(400);
    },
  );
});
