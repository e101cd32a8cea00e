import fc from 'fast-check';
import type { LookupAddress } from 'node:dns';
import { registryAt } from '../../test/support/upstream-fixture';
import { OciError } from '../oci/oci-error';
import { classOfHost } from './address-reach';
import { EgressPolicy, ForbiddenAddressError, type Trust } from './egress-policy';

const policy = new EgressPolicy();
const hub = registryAt('https://registry-1.docker.io');

describe('allowsRealm', () => {
  it.each([
    ['https://registry-1.docker.io', 'https://auth.docker.io/token'],
    ['https://registry-1.docker.io', 'https://registry-1.docker.io:8443/token'],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['https://team.github.io', 'https://team.github.io/token'],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:5001/token'],
    ['http://169.254.10.1:5000', 'http://169.254.10.1:5001/token'],
    ['http://registry:5000', 'http://registry:5001/token'],
    ['http://registry.example.com', 'https://auth.example.com/token'],
  ])('S2: lets %s name %s', (registry, realm) => {
    expect(policy.allowsRealm(registryAt(registry), new URL(realm))).toBe(true);
  });

  it.each([
    ['https://registry-1.docker.io', 'http://auth.docker.io/token'],
    ['https://registry-1.docker.io', 'https://169.254.169.254/latest/meta-data'],
    ['https://registry-1.docker.io', 'https://auth.docker.io.evil.example/token'],
    ['https://registry-1.docker.io', 'https://user:pass@auth.docker.io/token'],
    ['https://registry-1.docker.io', 'ftp://auth.docker.io/token'],
    ['https://team.github.io', 'https://other.github.io/token'],
    ['https://registry.co.uk', 'https://evil.co.uk/token'],
    ['http://10.0.0.5:5000', 'http://10.0.0.6:5000/token'],
    ['http://127.0.0.1:5000', 'http://localhost:5001/token'],
    ['http://registry:5000', 'http://auth:5001/token'],
    ['http://registry:5000', 'http://169.254.169.254/token'],
  ])('S2: does not let %s name %s', (registry, realm) => {
    expect(policy.allowsRealm(registryAt(registry), new URL(realm))).toBe(false);
  });

  it('takes the hosts of auth_hosts, at any port or at the one that is named', () => {
    const registry = registryAt('https://lscr.io', { authHosts: ['ghcr.io', 'auth.example:8443'] });

    expect(policy.allowsRealm(registry, new URL('https://ghcr.io/token'))).toBe(true);
    expect(policy.allowsRealm(registry, new URL('https://auth.example:8443/token'))).toBe(true);
    expect(policy.allowsRealm(registry, new URL('https://auth.example/token'))).toBe(false);
    expect(policy.allowsRealm(registry, new URL('http://ghcr.io/token'))).toBe(false);
  });
});

describe('allowsRedirect', () => {
  const from = new URL('https://registry-1.docker.io/v2/library/nginx/blobs/sha256:0');

  it.each([
    'https://production.cloudflare.docker.com/x?sig=1',
    'https://8.8.8.8/x',
    'https://registry-1.docker.io:444/x',
  ])('lets a public registry redirect to %s', (to) => {
    expect(policy.allowsRedirect(hub, from, new URL(to))).toBe(true);
  });

  it.each([
    'http://production.cloudflare.docker.com/x',
    'https://169.254.169.254/latest/meta-data',
    'https://10.0.0.1/x',
    'https://[::1]/x',
    'https://[::ffff:10.0.0.1]/x',
    'https://2130706433/x',
    'https://localhost/x',
    'https://vault/x',
    'https://metadata.google.internal/x',
    'https://user:pass@cdn.example/x',
    'file:///etc/passwd',
  ])('does not let a public registry redirect to %s', (to) => {
    expect(policy.allowsRedirect(hub, from, new URL(to))).toBe(false);
  });

  it('does not go from https to http on a later hop either', () => {
    const registry = registryAt('http://registry.example.com');

    expect(
      policy.allowsRedirect(
        registry,
        new URL('https://cdn.example/x'),
        new URL('http://cdn.example/x'),
      ),
    ).toBe(false);
  });

  it('takes private addresses from a private registry, but not the loopback of the gate', () => {
    const registry = registryAt('http://registry:5000');

    expect(policy.allowsRedirect(registry, registry.url, new URL('http://10.1.2.3:9000/x'))).toBe(
      true,
    );
    expect(policy.allowsRedirect(registry, registry.url, new URL('http://minio:9000/x'))).toBe(
      true,
    );
    expect(
      policy.allowsRedirect(registry, registry.url, new URL('http://127.0.0.1:8080/admin/users')),
    ).toBe(false);
    expect(policy.allowsRedirect(registry, registry.url, new URL('http://169.254.169.254/x'))).toBe(
      false,
    );
  });

  it('takes private hosts that redirect_hosts lists', () => {
    const registry = registryAt('https://registry.example.com', {
      redirectHosts: ['minio.internal:9000'],
    });

    expect(
      policy.allowsRedirect(registry, registry.url, new URL('https://minio.internal:9000/x')),
    ).toBe(true);
    expect(policy.allowsRedirect(registry, registry.url, new URL('https://minio.internal/x'))).toBe(
      false,
    );
  });

  it('takes a registry that was seen at a private address for a private one', () => {
    const seeing = new EgressPolicy();
    const registry = registryAt('https://registry.corp.example');
    const to = new URL('https://10.0.0.9/x');

    expect(seeing.allowsRedirect(registry, registry.url, to)).toBe(false);
    seeing.observe('registry.corp.example', '10.0.0.5');
    expect(seeing.allowsRedirect(registry, registry.url, to)).toBe(true);
    expect(seeing.allowsRedirect(hub, hub.url, to)).toBe(false);
  });

  it('never sends a public https registry to anything but a public https host', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    const host = fc.oneof(
      fc.tuple(octet, octet, octet, octet).map((octets) => octets.join('.')),
      fc.integer({ min: 0, max: 0xffffffff }).map(String),
      fc.ipV6().map((address) => `[${address}]`),
      fc.domain(),
      fc.constantFrom('localhost', 'vault', 'a.local', '0x7f.1', '127.1', '[::]'),
    );
    fc.assert(
      fc.property(fc.constantFrom('http', 'https', 'ftp', 'gopher'), host, (scheme, name) => {
        const text = `${scheme}://${name}/x`;
        fc.pre(URL.canParse(text));
        const to = new URL(text);

        const expected = to.protocol === 'https:' && classOfHost(to.hostname) === 'public';
        expect(policy.allowsRedirect(hub, from, to)).toBe(expected);
      }),
    );
  });
});

describe('ownAddress', () => {
  const registry = registryAt('https://registry.example.com');
  const base = new URL('https://registry.example.com/v2/team/app/blobs/uploads/');

  it.each([
    [
      '/v2/team/app/blobs/uploads/1?_state=a%20b~c',
      'https://registry.example.com/v2/team/app/blobs/uploads/1?_state=a%20b~c',
    ],
    ['1', 'https://registry.example.com/v2/team/app/blobs/uploads/1'],
    ['https://registry.example.com:443/v2/x', 'https://registry.example.com/v2/x'],
    ['?last=b&n=2', 'https://registry.example.com/v2/team/app/blobs/uploads/?last=b&n=2'],
    ['/v2/x#y', 'https://registry.example.com/v2/x'],
  ])('S3: resolves %s', (location, expected) => {
    expect(policy.ownAddress(registry, base, location).href).toBe(expected);
  });

  it.each([
    'https://evil.example/v2/x',
    'http://registry.example.com/v2/x',
    'https://registry.example.com:8443/v2/x',
    'https://registry.example.com.evil.example/v2/x',
    'https://registry.example.com@evil.example/v2/x',
    'https://user:pass@registry.example.com/v2/x',
    '//evil.example/v2/x',
    '\\\\evil.example\\v2',
    'file:///etc/passwd',
    'javascript:alert(1)',
    'https://',
  ])('S3: refuses %s', (location) => {
    expect(() => policy.ownAddress(registry, base, location)).toThrow(
      expect.objectContaining({ code: 'BAD_UPSTREAM' }),
    );
  });

  it('S3: gives the own origin or nothing, whatever the text', () => {
    const piece = fc.constantFrom(
      'https:',
      'http:',
      '/',
      '//',
      '\\',
      '@',
      ':443',
      'evil.example',
      'registry.example.com',
      '?',
      '#',
      '..',
      '\t',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        try {
          const url = policy.ownAddress(registry, base, pieces.join(''));
          expect([url.origin, url.username, url.password]).toEqual([
            'https://registry.example.com',
            '',
            '',
          ]);
        } catch (error) {
          expect(error).toBeInstanceOf(OciError);
        }
      }),
    );
  });
});

describe('lookup', () => {
  function look(trust: Trust, all: boolean): Promise<string | LookupAddress[]> {
    return new Promise((resolve, reject) => {
      policy.lookup(trust)('localhost', { all }, (error, found) =>
        error ? reject(error) : resolve(found),
      );
    });
  }

  it('refuses a name whose addresses may not be connected to', async () => {
    await expect(look('public', true)).rejects.toThrow(ForbiddenAddressError);
    await expect(look('private', false)).rejects.toThrow(ForbiddenAddressError);
  });

  it('gives the addresses in both shapes that net.connect asks for', async () => {
    expect(await look('own', false)).toMatch(/^(?:127\.0\.0\.1|::1)$/);
    expect(await look('loopback', true)).toContainEqual(
      expect.objectContaining({ address: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/) }),
    );
  });
});
