import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { hostsAt } from '../../test/support/host-table';
import { readSettings } from '../config/read-settings';
import { registryTableOf } from '../config/registry-table-of';
import { OciError } from '../oci/oci-error';
import { parseRequest } from './parse-request';

/** What a gate with these settings makes of a request for `/v2/org/app/tags/list` at a host. */
function ask(host: string, env: Record<string, string>, target = '/v2/org/app/tags/list') {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: '192.0.2.1' });
  const request = new IncomingMessage(socket);
  request.method = 'GET';
  request.url = target;
  request.rawHeaders = ['host', host];
  request.headers.host = host;
  const settings = readSettings(env);
  return parseRequest(request, settings, registryTableOf(settings), () => false);
}

function refusalOf(host: string, env: Record<string, string>, target?: string): OciError {
  try {
    ask(host, env, target);
  } catch (error) {
    if (error instanceof OciError) return error;
    throw error;
  }
  throw new Error(`${host} is not refused`);
}

const CUSTOM = { CUSTOM_DOMAIN: 'example.com', PUBLIC_URL: 'https://gate.example.net' };

describe.each(['example.com', 'localhost', 'a.b.example'])('the hosts of %s', (domain) => {
  it.each(hostsAt(domain))('%s leads to %s', (host, registry, url) => {
    for (const written of [host, `${host}:8080`, host.toUpperCase()]) {
      const parsed = ask(written, { CUSTOM_DOMAIN: domain });

      expect([written, parsed.registry.name, parsed.registry.url.origin]).toEqual([
        written,
        registry,
        url,
      ]);
      expect(parsed).toMatchObject({
        byHost: true,
        home: { name: registry },
        realm: `http://${written.toLowerCase()}/v2/auth`,
        asked: { name: { canonical: `${registry}/org/app` } },
      });
    }
  });
});

describe('a host that is not in the table', () => {
  it.each([
    'localhost',
    'localhost:8080',
    '127.0.0.1',
    '10.1.2.3:80',
    '[::1]',
    '[2001:db8::1]:443',
    'gate.example.net',
    'GATE.example.net:8443',
  ])('means the default registry when it is the gate itself: %s', (host) => {
    const parsed = ask(host, CUSTOM);

    expect(parsed.registry.name).toBe('docker.io');
    expect(parsed.byHost).toBe(false);
    expect(parsed.realm).toBe('https://gate.example.net/v2/auth');
  });

  it.each([
    'example.com',
    'gate.example.com',
    'xghcr.example.com',
    'ghcr.example.com.evil.example',
    'ghcr.example.org',
    'ghcr.registry.example.com',
    'mcr.example.com',
    'ghcr.io',
    'constructor',
    'constructor:80',
    'tostring',
    '2130706433',
    '0x7f.1',
    '127.1',
    'x__proto__.example.com',
  ])('is refused with the routes that there are: %s', (host) => {
    for (const target of ['/v2/', '/', '/v2/nginx/manifests/1', '/v2/auth', '/admin/users']) {
      const refusal = refusalOf(host, CUSTOM, target);

      expect([target, refusal.status]).toEqual([target, 404]);
      expect(JSON.parse(JSON.stringify(refusal))).toEqual({
        errors: [
          {
            code: 'NOT_FOUND',
            message: 'no registry is reached by this host, and PUBLIC_URL does not name it',
          },
        ],
        message: 'Available registry routes',
        routes: Object.fromEntries(hostsAt('example.com').map(([at, , url]) => [at, url])),
      });
    }
    expect(ask(host, CUSTOM, '/health').asked).toEqual({ noun: 'health' });
  });

  it.each([
    '__proto__',
    '__proto__:80',
    'ghcr.example.com.',
    'evil/x?y#',
    'a b',
    '',
    '[::1',
    '::1',
  ])('is malformed: %j', (host) => {
    expect(refusalOf(host, CUSTOM).status).toBe(400);
  });

  it('means the default registry wherever registries have no hosts', () => {
    for (const host of ['ghcr.example.com', 'anything.example', 'constructor'])
      expect(ask(host, {})).toMatchObject({ byHost: false, registry: { name: 'docker.io' } });
  });

  it.each(['constructor', '__proto__', 'toString', 'hasOwnProperty', '169.254.169.254'])(
    'nor is %s a registry as ns',
    (ns) => {
      expect(refusalOf('localhost', CUSTOM, `/v2/org/app/tags/list?ns=${ns}`).status).toBe(404);
      expect(refusalOf('ghcr.example.com', CUSTOM, `/v2/?ns=${ns}`).status).toBe(404);
    },
  );

  it('nor is constructor one as the beginning of a path', () => {
    expect(ask('localhost', CUSTOM, '/v2/constructor/app/tags/list').asked).toMatchObject({
      name: { canonical: 'docker.io/constructor/app' },
    });
    expect(refusalOf('localhost', CUSTOM, '/v2/__proto__/app/tags/list').status).toBe(400);
  });
});

describe('TARGET_UPSTREAM', () => {
  const env = {
    CUSTOM_DOMAIN: 'example.com',
    TARGET_UPSTREAM: 'https://registry.example.com:5000',
  };

  it('is where an unknown host leads while debugging, as one more registry', () => {
    for (const [name, value] of [
      ['DEBUG', 'true'],
      ['LOG_LEVEL', 'trace'],
    ] as const) {
      const more = { [name]: value };
      const parsed = ask('other.example', { ...env, ...more });

      expect(parsed.registry).toMatchObject({
        name: 'registry.example.com:5000',
        url: new URL('https://registry.example.com:5000'),
        builtIn: false,
      });
      expect(parsed.byHost).toBe(true);
      expect(ask('ghcr.example.com', { ...env, ...more }).registry.name).toBe('ghcr.io');
      expect(ask('127.0.0.1', { ...env, ...more }).registry.name).toBe('docker.io');
      const byPath = '/v2/registry.example.com:5000/app/tags/list';
      expect(ask('127.0.0.1', { ...env, ...more }, byPath).asked).toMatchObject({
        name: { canonical: 'registry.example.com:5000/app' },
      });
    }
  });

  it('is the registry of the table, where there is one at that address', () => {
    const known = { ...env, TARGET_UPSTREAM: 'https://ghcr.io', DEBUG: 'true' };

    const { registry } = ask('other.example', known);

    expect(registry).toMatchObject({ name: 'ghcr.io', builtIn: true });
    expect(registry.hosts).toContain('ghcr.example.com');
  });

  it('has no effect otherwise', () => {
    expect(refusalOf('other.example', env).status).toBe(404);
  });
});
