import fc from 'fast-check';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { expectLinear, fuzzed, shapes, textOf } from '../../test/support/fuzz';
import { registryAt } from '../../test/support/gate-of-many';
import { readSettings } from '../config/read-settings';
import { RegistryTable } from '../config/registry-table';
import { REPOSITORY_ACTIONS } from '../oci/access';
import { OciError } from '../oci/oci-error';
import { readAdminPath } from './admin-path';
import { readCredentials } from './credentials';
import { addressOf } from './names';
import { trustedProxies } from './origin';
import { parseRequest } from './parse-request';
import { listingQueryOf, pageOf, searchQueryOf } from './query';
import { readTokenForm, readTokenQuery } from './read-token-request';

const docker = registryAt('docker.io', new URL('https://registry-1.docker.io'), { library: true });
const other = registryAt('second.test:5000', new URL('http://second.test:5000'), {
  hosts: ['second.example'],
});
const table = new RegistryTable([docker, other]);
const settings = readSettings({ TRUST_PROXY: '127.0.0.1' });
const trusts = trustedProxies(settings);

function parse(method: string, target: string, headers: Record<string, string> = {}) {
  const socket = new Socket();
  Object.defineProperty(socket, 'remoteAddress', { value: '127.0.0.1' });
  const request = new IncomingMessage(socket);
  const all = { host: 'localhost', ...headers };
  request.method = method;
  request.url = target;
  request.rawHeaders = Object.entries(all).flat();
  Object.assign(request.headers, all);
  return parseRequest(request, settings, table, trusts);
}

/** Undefined for what the edge refuses, in words of its own. */
function ifTaken<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    expect(error).toBeInstanceOf(OciError);
    expect((error as OciError).status).toBeLessThan(500);
    return undefined;
  }
}

const DIGEST = `sha256:${'a'.repeat(64)}`;
const path = shapes(
  '/v2/',
  'team/',
  'app',
  '/manifests/',
  '/blobs/',
  'uploads/',
  DIGEST,
  '/tags/list',
  '_catalog',
  '?ns=second.test:5000',
  '&',
  '%2f',
  '..',
  'second.test:5000/',
  '?digest=',
  '/admin/',
  'users/',
).map((shape) => `/${textOf(shape, 60)}`.replace(/^\/\//, '/'));
const methods = fc.constantFrom('GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS');

describe('an address', () => {
  it('is refused, or leads by its own words to the same again', () => {
    fc.assert(
      fc.property(methods, path, (method, target) => {
        const parsed = ifTaken(() => parse(method, target));
        if (!parsed) return;
        expect(parsed.route).toMatch(/^\/[!-~]*$/);
        expect(parsed.route).not.toMatch(/\/\/|\/\.{1,2}(?:\/|$)|\\/);
        const { asked } = parsed;
        if (!('name' in asked)) return;
        expect(asked.name.canonical).toMatch(
          /^(?:docker\.io|second\.test:5000)\/[a-z0-9][a-z0-9._/-]*$/,
        );
        // What the gate says of it in Location and Link is read as the same repository.
        const again = parse('GET', addressOf(asked.name, 'tags/list')).asked;
        expect('name' in again && again.name.canonical).toBe(asked.name.canonical);
      }),
      fuzzed(500),
    );
  });

  it('is read in time that grows with its length alone', () => {
    const shape = shapes(
      '/v2/',
      'a/',
      'manifests/',
      '?',
      '&',
      'n=1',
      '=',
      '%41',
      'scope=a:b:c ',
      '..',
      'blobs/uploads/',
    );
    fc.assert(
      fc.property(
        shape,
        fc.constantFrom('/v2/', '/admin/users/', '/v2/auth?', '/v2/a/tags/list?', '/v1/search?q='),
        (each, before) =>
          expectLinear((text) => ifTaken(() => parse('GET', `${before}${text}`)), each, {
            length: 12_288,
          }),
      ),
      fuzzed(40),
    );
  });
});

describe('a host', () => {
  const host = fc.oneof(
    shapes(
      'second.example',
      'localhost',
      ':5000',
      '[::1]',
      '..',
      '@',
      '/x?y#',
      'xn--',
      '127.0.0.1',
      '_',
      'é',
    ).map((shape) => textOf(shape, 12)),
    fc.constantFrom(
      'second.example:1',
      'SECOND.example',
      'second.example.',
      '[::1]:80',
      '0x7f.1',
      '',
    ),
  );
  it('is a key into the table, and the realm names it only as it may stand in a URL', () => {
    fc.assert(
      fc.property(host, fc.constantFrom('host', 'x-forwarded-host'), (said, name) => {
        const parsed = ifTaken(() => parse('GET', '/v2/', { [name]: said }));

        if (!parsed) return;
        expect(new URL(parsed.realm).pathname).toBe('/v2/auth');
        expect(parsed.base).toMatch(/^https?:\/\/[a-z0-9._:[\]-]+$/);
        expect([docker, other]).toContain(parsed.registry);
        if (parsed.byHost)
          expect(said.toLowerCase()).toMatch(/(?:^|,)\s*second\.example(?::\d+)?\s*$/);
      }),
      // HTTP leaves spaces around a value out, and a test's request brings them.
      fuzzed(300, [[' second.example', 'x-forwarded-host']]),
    );
  });

  it.each(['host', 'x-forwarded-host', 'x-forwarded-for', 'x-forwarded-proto', 'forwarded'])(
    'or another origin in %s is read in time that grows with its length alone',
    (name) => {
      fc.assert(
        fc.property(shapes('a.', 'a-', ':1', '127.0.0.1, ', '::1,', '[', ']'), (shape) =>
          expectLinear((text) => ifTaken(() => parse('GET', '/v2/', { [name]: text })), shape, {
            length: 16_384,
          }),
        ),
        fuzzed(15),
      );
    },
  );
});

describe('a token request', () => {
  const pairs = fc.array(
    fc.tuple(
      fc.constantFrom(
        'scope',
        'service',
        'grant_type',
        'username',
        'password',
        'refresh_token',
        'offline_token',
        'access_type',
        'client_id',
      ),
      fc.oneof(
        fc.constantFrom(
          'password',
          'refresh_token',
          'true',
          'offline',
          'repository:app:pull',
          'repository:second.test:5000/a/b:pull,push,*',
          'registry:catalog:*',
          'repository:no.such/a:pull',
        ),
        fc.string({ unit: 'binary' }),
      ),
    ),
    { maxLength: 8 },
  );
  const naming = { table };

  it('by GET and by POST is read alike, and asks for nothing but what can be had here', () => {
    fc.assert(
      fc.property(pairs, (list) => {
        const query = new URLSearchParams(list);
        const form = ifTaken(() => readTokenForm(query, naming));
        const got = ifTaken(() => readTokenQuery('GET', query, naming));

        if (form)
          expect(got).toMatchObject({
            scopes: form.scopes,
            service: form.service,
            offline: form.offline,
          });
        for (const scope of got?.scopes ?? []) {
          if (scope.type === 'catalog') continue;
          expect([docker, other]).toContain(scope.name.registry);
          for (const action of scope.actions) expect(REPOSITORY_ACTIONS).toContain(action);
        }
        if (form?.grant.kind === 'password')
          expect(query.getAll('username').length).toBeLessThan(2);
      }),
      fuzzed(300),
    );
  });

  it('is read in time that grows with its length alone', () => {
    fc.assert(
      fc.property(
        shapes('scope=', 'repository:a:pull', '+', '&', 'username=', '%', 'registry:catalog:*'),
        (shape) =>
          expectLinear(
            (text) =>
              ifTaken(() =>
                readTokenForm(new URLSearchParams(`grant_type=password&${text}`), naming),
              ),
            shape,
            { length: 16_000, quick: 10 },
          ),
      ),
      fuzzed(30),
    );
  });
});

it('credentials are read as they were written, or not at all', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary' }),
      fc.string({ unit: 'binary' }),
      fc.constantFrom('Basic', 'basic', 'BASIC  '),
      (username, password, scheme) => {
        fc.pre(username.isWellFormed() && password.isWellFormed() && !username.includes(':'));
        const header = `${scheme} ${Buffer.from(`${username}:${password}`).toString('base64')}`;

        expect(readCredentials(header)).toEqual({ scheme: 'basic', username, password });
      },
    ),
    fuzzed(200),
  );
});

describe('what else clients write is read in time that grows with its length alone', () => {
  const query = (read: (given: URLSearchParams) => unknown) => (text: string) =>
    ifTaken(() => read(new URLSearchParams(text)));
  it.each<[string, (text: string) => unknown, string[]]>([
    ['credentials', readCredentials, ['Basic ', 'Bearer ', '=', 'YTpi']],
    [
      'an operator’s path',
      (text) => ifTaken(() => readAdminPath(`/admin/${text}`)),
      ['users/', 'cache/repositories/', '%41', '[::', ':5000'],
    ],
    ['a page', query(pageOf), ['n=1', 'last=', '&']],
    ['a listing’s query', query(listingQueryOf), ['n=1', 'x=', '&', 'ns=']],
    ['a search', query(searchQueryOf), ['q=', 'n=1', '&']],
  ])('%s', (_, read, pieces) => {
    fc.assert(
      fc.property(shapes(...pieces), (shape) => expectLinear(read, shape, { length: 16_384 })),
      fuzzed(25),
    );
  });
});
