import fc from 'fast-check';
import type { LookupAddress } from 'node:dns';
import { plainRegistry } from '../config/built-in-registries';
import type { Registry } from '../config/registry-table';
import { OciError } from '../oci/oci-error';
import { classOfHost, within } from './address-reach';
import { EgressPolicy, ForbiddenAddressError, type Trust } from './egress-policy';

function registryAt(url: string, more: Partial<Registry> = {}): Registry {
  const at = new URL(url);
  return { ...plainRegistry(at.host, at), ...more };
}

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
    ['https://registry-1.docker.io', 'https://user@auth.docker.io/token'],
    ['https://registry-1.docker.io', 'https://:pass@auth.docker.io/token'],
    ['http://registry.example.com', 'ftp://registry.example.com/token'],
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

  it.each([
    ['https', 'auth.example:443', true],
    ['https', 'auth.example:80', false],
    ['http', 'auth.example:80', true],
    ['http', 'auth.example:443', false],
  ])("knows %s's own port: %s is %s", (scheme, listed, allowed) => {
    const registry = registryAt(`${scheme}://registry.example.com`, { authHosts: [listed] });

    expect(policy.allowsRealm(registry, new URL(`${scheme}://auth.example/token`))).toBe(allowed);
  });

  it('takes IPv6 addresses of auth_hosts, with a port and without', () => {
    const registry = registryAt('http://registry:5000', {
      authHosts: ['[fd00::1]:5001', '[FD00::2]'],
    });

    expect(policy.allowsRealm(registry, new URL('http://[fd00::1]:5001/token'))).toBe(true);
    expect(policy.allowsRealm(registry, new URL('http://[fd00::1]:5002/token'))).toBe(false);
    expect(policy.allowsRealm(registry, new URL('http://[fd00::2]:5002/token'))).toBe(true);
    expect(policy.allowsRealm(registry, new URL('http://[fd00::3]:5001/token'))).toBe(false);
  });

  it('S2: lets no host but its own be named that reaches further than its own', () => {
    const ends = ['a.example', 'home.arpa', 'corp.internal', 'corp.local', 'x.localhost', 'co.uk'];
    const named = fc
      .tuple(fc.constantFrom('', 'a.', 'b.', 'c.b.'), fc.constantFrom(...ends))
      .map((parts) => parts.join(''));
    const others = ['localhost', 'vault', '10.0.0.1', '127.0.0.1', '169.254.169.254', '[fd00::1]'];
    const host = fc.oneof(named, fc.constantFrom(...others));
    fc.assert(
      fc.property(host, host, (one, other) => {
        fc.pre(one !== other);
        const registry = registryAt(`https://${one}`);

        if (policy.allowsRealm(registry, new URL(`https://${other}/token`)))
          expect(within(policy.reachOf(registry), classOfHost(other))).toBe(true);
      }),
    );
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

  it('does not go to http for an https registry, whoever sent it on', () => {
    const to = new URL('http://cdn.example/x');

    expect(policy.allowsRedirect(hub, new URL('http://cdn.example/y'), to)).toBe(false);
    expect(policy.allowsRedirect(registryAt('http://registry.example.com'), to, to)).toBe(true);
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
      expect.objectContaining({
        code: 'BAD_UPSTREAM',
        message: 'registry.example.com named an address that is not its own',
      }),
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

describe('trustOf and reachOf', () => {
  it('trust what the operator named wherever it is, and else as far as the registry reaches', () => {
    const registry = registryAt('https://registry.example.com');
    const cdn = new URL('https://cdn.internal/x');

    expect(policy.trustOf(registry, new URL('http://registry.example.com:5000/x'))).toBe('own');
    expect(policy.trustOf(registry, cdn)).toBe('public');
    expect(policy.trustOf(registry, cdn, ['cdn.internal'])).toBe('own');
    expect(policy.trustOf(registryAt('http://registry:5000'), cdn)).toBe('private');
  });

  it.each([
    ['https://registry.example.com', 'public'],
    ['http://registry:5000', 'private'],
    ['http://localhost:5000', 'loopback'],
    ['http://169.254.10.1:5000', 'public'],
  ])('give %s the reach %s', (url, reach) => {
    expect(policy.reachOf(registryAt(url))).toBe(reach);
  });

  it.each([
    ['10.0.0.5', 'private'],
    ['127.0.0.1', 'loopback'],
    ['8.8.8.8', 'public'],
    // Neither widens anything: one is nobody's to name, the other is no address.
    ['169.254.169.254', 'public'],
    ['registry', 'public'],
  ])('learn from a connection to %s that the registry is %s', (address, reach) => {
    const seeing = new EgressPolicy();
    seeing.observe('Registry.Corp.Example.', address);

    expect(seeing.reachOf(registryAt('https://registry.corp.example'))).toBe(reach);
  });
});

describe('admits', () => {
  const addresses = ['8.8.8.8', '10.0.0.1', '127.0.0.1', '169.254.169.254', 'no address'];

  it.each<[Trust, boolean[]]>([
    ['public', [true, false, false, false, false]],
    ['private', [true, true, false, false, false]],
    ['loopback', [true, true, true, false, false]],
    ['own', [true, true, true, true, true]],
  ])('%s: of a public, a private, the own, a metadata address and none %j', (trust, admitted) => {
    expect(addresses.map((address) => policy.admits(trust, address))).toEqual(admitted);
  });
});

describe('lookup', () => {
  function look(trust: Trust, all: boolean, host = 'localhost'): Promise<string | LookupAddress[]> {
    return new Promise((resolve, reject) => {
      policy.lookup(trust)(host, { all }, (error, found) =>
        error ? reject(error) : resolve(found),
      );
    });
  }

  it('refuses a name whose addresses may not be connected to, and says which name it was', async () => {
    const refused = {
      name: 'ForbiddenAddressError',
      message: 'the address is not one that the registry may send the gate to',
      host: 'localhost',
    };

    await expect(look('public', true)).rejects.toMatchObject(refused);
    await expect(look('private', false)).rejects.toBeInstanceOf(ForbiddenAddressError);
  });

  it('gives the addresses in both shapes that net.connect asks for', async () => {
    expect(await look('private', false, '10.0.0.1')).toBe('10.0.0.1');
    expect(await look('private', true, '10.0.0.1')).toEqual([{ address: '10.0.0.1', family: 4 }]);
    expect(await look('own', false)).toMatch(/^(?:127\.0\.0\.1|::1)$/);
    expect(await look('loopback', true)).toContainEqual(
      expect.objectContaining({ address: expect.stringMatching(/^(?:127\.0\.0\.1|::1)$/) }),
    );
  });

  it('passes on that a name cannot be found', async () => {
    // No name has parts of more than 63 characters: nobody is asked about this one.
    const nowhere = `${'x'.repeat(64)}.invalid`;

    await expect(look('own', true, nowhere)).rejects.toMatchObject({ syscall: 'getaddrinfo' });
  });
});
