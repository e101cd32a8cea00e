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
  noteNamespace?: (name: string) => void;
}

function parse(
  target: string,
  {
    method = 'GET',
    headers = {},
    table = new RegistryTable([docker]),
    env = {},
    noteNamespace,
  }: Given = {},
) {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' });
  const request = new IncomingMessage(socket);
  const all = { host: 'gate.example', ...headers };
  request.method = method;
  request.url = target;
  request.rawHeaders = Object.entries(all).flat();
  Object.assign(request.headers, all);
  return parseRequest(request, readSettings(env), table, () => false, noteNamespace);
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

  it('reach a catalog by path, by host and by ns alike', () => {
    const table = new RegistryTable([docker, ghcr, local]);
    const catalog = (target: string, host = 'localhost') =>
      parse(target, { table, headers: { host } }).asked;

    expect([
      catalog('/v2/_catalog'),
      catalog('/v2/ghcr.io/_catalog?n=5'),
      catalog('/v2/127.0.0.1:5000/_catalog'),
      catalog('/v2/_catalog', 'ghcr.example.com'),
      catalog('/v2/_catalog?ns=ghcr.io'),
    ]).toMatchObject([
      { noun: 'catalog', registry: docker, prefix: '' },
      { noun: 'catalog', registry: ghcr, prefix: 'ghcr.io/', page: { n: 5 } },
      { noun: 'catalog', registry: local, prefix: '127.0.0.1:5000/' },
      { noun: 'catalog', registry: ghcr, prefix: '' },
      { noun: 'catalog', registry: ghcr, prefix: '' },
    ]);
  });

  it.each([
    ['q=nginx', 'localhost', docker, '', 'nginx'],
    ['q=library/nginx', 'localhost', docker, '', 'library/nginx'],
    ['q=ghcr.io', 'localhost', docker, '', 'ghcr.io'],
    ['q=ghcr.io/org/app', 'localhost', ghcr, 'ghcr.io/', 'org/app'],
    ['q=app&ns=ghcr.io', 'localhost', ghcr, '', 'app'],
    ['q=docker.io/app&ns=ghcr.io', 'localhost', ghcr, '', 'docker.io/app'],
    ['q=docker.io/app', 'ghcr.example.com', ghcr, '', 'docker.io/app'],
  ])('a search for %s at %s', (query, host, registry, prefix, rest) => {
    const table = new RegistryTable([docker, ghcr]);

    const parsed = parse(`/v1/search?${query}`, { table, headers: { host } });

    expect(parsed.asked).toMatchObject({ noun: 'search', parted: { registry, prefix, rest } });
  });

  it('name the registry of ns before anything else is refused', () => {
    const table = new RegistryTable([docker, ghcr]);
    const noted: string[] = [];
    const note = (target: string) => {
      expect(refusal(target, { table, noteNamespace: (name) => noted.push(name) })).not.toBe(0);
    };

    note('/v2/Upper/tags/list?ns=ghcr.io');
    note('/v1/search?ns=docker.io');
    note('/v2/a/tags/list?ns=evil.example');
    note('/v2/a/tags/list?ns=ghcr.io&ns=ghcr.io');

    expect(noted).toEqual(['ghcr.io', 'docker.io']);
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

const PUBLIC = [
  '/',
  '/health',
  '/health/live',
  '/health/ready',
  '/help/clients',
  '/internal/ping',
  '/internal/token',
];

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
    ['GET', '/v1/_ping', 'ping', 'nothing'],
    ['HEAD', '/v1/_ping?ns=docker.io', 'ping', 'nothing'],
    ['GET', '/v1/search?q=nginx&n=25&page=2', 'search', 'search'],
    ['HEAD', '/v1/search?q=nginx', 'search', 'search'],
    ['GET', '/help/clients', 'help', 'nothing'],
    ['HEAD', '/help/clients?ns=docker.io', 'help', 'nothing'],
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
    ['GET', '/v1/search?q=', 400],
    ['GET', '/v1/search?q=a&q=b', 400],
    ['GET', '/v1/search?q=a%0ab', 400],
    ['GET', `/v1/search?q=${'a'.repeat(257)}`, 400],
    ['GET', '/v1/search?q=docker.io/', 400],
    ['GET', '/v1/search?q=evil.example/a', 404],
    ['GET', '/v1/search?q=a&n=0', 400],
    ['GET', '/v1/search?q=a&page=x', 400],
    ['GET', '/v1/search?q=a&ns=evil.example', 404],
    ['POST', '/v1/search?q=a', 405],
    ['PUT', '/v1/_ping', 405],
    ['POST', '/help/clients', 405],
    ['GET', '/v1', 404],
    ['GET', '/v1/', 404],
    ['GET', '/v1/_ping/', 404],
    ['GET', '/V1/_ping', 404],
    ['GET', '/v1/_p%69ng', 404],
    ['GET', '/v1/users', 404],
    ['GET', '/v1/repositories/a/images', 404],
    ['GET', '/help', 404],
    ['GET', '/help/clients/', 404],
    ['GET', '/help/clients/docker', 404],
    ['GET', '/v2/a/_catalog', 404],
    ['GET', '/v2/a/b/_catalog', 404],
    ['GET', '/v2/docker.io/a/_catalog', 404],
    ['GET', '/v2/evil.example/_catalog', 404],
    ['GET', '/v2/docker.io/_catalog?n=x', 400],
    ['GET', '/v2/_catalog/', 404],
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
        'v1',
        '_ping',
        'search',
        'help',
        'clients',
        'docker.io',
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
      .tuple(
        fc.array(segment, { maxLength: 8 }),
        fc.oneof(
          fc.string({ maxLength: 20 }),
          fc.constantFrom('q=a', 'q=docker.io/a', 'ns=docker.io'),
        ),
      )
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
          // What is public is one of seven addresses, to the letter; what is the router's own is named by the noun alone.
          if (need.kind === 'nothing') expect(PUBLIC).toContain(route);
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
