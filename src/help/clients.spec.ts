import fc from 'fast-check';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { RegistryTable, type Registry } from '../config/registry-table';
import type { ClientSetup, SetupFile } from './client-setup';
import { CLIENT_NAMES, clientSetups } from './clients';
import { parseGateAddress } from './gate-address';
import { viewOf } from './gate-view';
import { documentOf } from './markdown';

function registry(name: string, more: Partial<Registry> = {}): Registry {
  return {
    name,
    url: new URL('http://10.0.0.7:5000'),
    hosts: [],
    credentials: [{ username: 'robot', password: 'canary-password' }],
    mirrors: [],
    library: name === 'docker.io',
    redirects: 'follow',
    redirectHosts: [],
    authHosts: [],
    builtIn: false,
    ...more,
  };
}

const HUB = registry('docker.io', {
  url: new URL('https://registry-1.docker.io'),
  builtIn: true,
});
const GHCR = registry('ghcr.io', { url: new URL('https://ghcr.io'), builtIn: true });
const OWN = registry('registry.example.com:5000', { hosts: ['own.example.com'] });

/** The set-ups by name. */
function setupsAt(origin: string, registries: [Registry, ...Registry[]], chosen?: Registry) {
  const address = parseGateAddress(origin);
  if (!address) throw new Error(`${origin} is no address`);
  const view = viewOf(address, new RegistryTable(registries), chosen);
  const setups = clientSetups(view);
  const of = (name: string): ClientSetup => setups.find((each) => each.name === name)!;
  return { view, setups, of, text: documentOf(view, setups) };
}

const fileOf = ({ files }: ClientSetup, ending: string): string =>
  files.find(({ path }) => path.endsWith(ending))!.content;

describe('docker', () => {
  it('gets the gate as its mirror where the gate’s root means docker.io', () => {
    const { of } = setupsAt('https://gate.example.com', [HUB, GHCR]);

    expect(of('docker').files).toEqual([
      {
        path: '/etc/docker/daemon.json',
        content: '{\n  "registry-mirrors": [\n    "https://gate.example.com"\n  ]\n}\n',
      },
    ]);
    expect(of('docker').commands).toEqual([
      'sudo systemctl reload docker',
      'docker login gate.example.com',
      'docker pull gate.example.com/library/nginx:latest',
      'docker pull gate.example.com/docker.io/library/nginx:latest',
      'docker pull gate.example.com/ghcr.io/org/app:latest',
    ]);
    expect(of('docker').notes.join()).toMatch(/no login.*ANONYMOUS_ACCESS=pull.*TRUSTED_NETWORKS/);
  });

  it('gets the host of docker.io as its mirror where the root means another registry', () => {
    const hub = { ...HUB, hosts: ['hub.example.com', 'docker.example.com'] };
    const { of } = setupsAt('https://gate.example.com:8443', [GHCR, hub]);

    expect(JSON.parse(fileOf(of('docker'), 'daemon.json'))).toEqual({
      'registry-mirrors': ['https://hub.example.com:8443'],
    });
    expect(of('docker').commands).toContain(
      'docker pull hub.example.com:8443/library/nginx:latest',
    );
  });

  it('gets no mirror where no address means docker.io alone, and reads why', () => {
    const { of } = setupsAt('https://gate.example.com', [GHCR, HUB]);

    expect(of('docker').files).toEqual([]);
    expect(of('docker').commands[0]).toBe('docker login gate.example.com');
    expect(of('docker').notes.join()).toContain('There is no `registry-mirrors` here');
  });

  it.each([
    ['http://gate.example.com:8080', ['gate.example.com:8080', 'own.example.com:8080']],
    ['http://127.0.0.1:8080', ['own.example.com:8080']],
    ['http://localhost:8080', ['own.example.com:8080']],
    ['https://gate.example.com:8443', undefined],
  ])('is told that %s speaks no TLS, unless that is its own machine', (origin, insecure) => {
    const { of } = setupsAt(origin, [HUB, OWN]);

    const config = JSON.parse(fileOf(of('docker'), 'daemon.json')) as Record<string, unknown>;
    expect(config['insecure-registries']).toEqual(insecure);
  });
});

describe('containerd', () => {
  it('gets a file for each registry, whose URL stands in it only when everybody knows it', () => {
    const { of } = setupsAt('https://gate.example.com', [HUB, OWN]);
    const host = { 'https://gate.example.com': { capabilities: ['pull', 'resolve'] } };

    const [config, ...hosts] = of('containerd').files;
    expect(parseToml(config!.content)).toEqual({
      version: 2,
      plugins: {
        'io.containerd.grpc.v1.cri': { registry: { config_path: '/etc/containerd/certs.d' } },
      },
    });
    expect(hosts.map(({ path, content }) => [path, parseToml(content)])).toEqual([
      [
        '/etc/containerd/certs.d/docker.io/hosts.toml',
        { server: 'https://registry-1.docker.io', host },
      ],
      ['/etc/containerd/certs.d/registry.example.com:5000/hosts.toml', { host }],
    ]);
  });
});

describe('podman', () => {
  it('gets a mirror by path for each registry that a path can name, else by host', () => {
    const { of } = setupsAt('https://gate.example.com', [HUB, GHCR, OWN, registry('[::1]:5000')]);

    expect(parseToml(fileOf(of('podman'), 'tidegate.conf'))).toEqual({
      registry: [
        {
          prefix: 'docker.io',
          location: 'docker.io',
          mirror: [{ location: 'gate.example.com/docker.io' }],
        },
        {
          prefix: 'ghcr.io',
          location: 'ghcr.io',
          mirror: [{ location: 'gate.example.com/ghcr.io' }],
        },
        {
          prefix: 'registry.example.com:5000',
          location: 'registry.example.com:5000',
          mirror: [{ location: 'own.example.com' }],
        },
      ],
    });
  });

  it('is told which addresses speak no TLS, its own machine’s too', () => {
    const { of } = setupsAt('http://127.0.0.1:8080', [OWN]);

    expect(parseToml(fileOf(of('podman'), 'tidegate.conf'))).toEqual({
      registry: [
        { location: '127.0.0.1:8080', insecure: true },
        { location: 'own.example.com:8080', insecure: true },
        {
          prefix: 'registry.example.com:5000',
          location: 'registry.example.com:5000',
          mirror: [{ location: '127.0.0.1:8080', insecure: true }],
        },
      ],
    });
  });
});

describe('BuildKit', () => {
  it('gets the gate as the mirror of each registry, and is told whether it speaks TLS', () => {
    const [open, closed] = [
      setupsAt('http://gate.example.com', [HUB, GHCR]),
      setupsAt('https://gate.example.com', [HUB, GHCR]),
    ].map(({ of }) => parseToml(fileOf(of('buildkit'), 'buildkitd.toml')));

    const mirrors = {
      'docker.io': { mirrors: ['gate.example.com'] },
      'ghcr.io': { mirrors: ['gate.example.com'] },
    };
    expect(closed).toEqual({ registry: mirrors });
    expect(open).toEqual({ registry: { ...mirrors, 'gate.example.com': { http: true } } });
  });
});

describe('k3s', () => {
  it('gets the gate as the endpoint of each registry, and room for a login', () => {
    const { of } = setupsAt('http://gate.example.com:8080', [HUB, OWN]);

    expect(parseYaml(fileOf(of('k3s'), 'registries.yaml'))).toEqual({
      mirrors: {
        'docker.io': { endpoint: ['http://gate.example.com:8080'] },
        'registry.example.com:5000': { endpoint: ['http://gate.example.com:8080'] },
      },
      configs: {
        'gate.example.com:8080': { auth: { username: 'YOUR-NAME', password: 'YOUR-PASSWORD' } },
      },
    });
  });
});

describe('the set-up of clients', () => {
  it('at an address that means one registry speaks of that one, without its name in the path', () => {
    const { of, text } = setupsAt('https://ghcr.example.com', [HUB, GHCR], GHCR);

    expect(of('docker').files).toEqual([]);
    expect(of('docker').commands).toContain('docker pull ghcr.example.com/org/app:latest');
    expect(of('podman').files[0]?.content).toContain('location = "ghcr.example.com"\n');
    expect(text).not.toContain('registry-1.docker.io');
  });

  it('names the addresses of no registry that the operator configured, and no credentials', () => {
    const { text } = setupsAt('https://gate.example.com', [OWN, registry('corp.example.net')]);

    expect(text).toContain('corp.example.net');
    expect(text).not.toMatch(/10\.0\.0\.7|robot|canary/);
  });

  it('leaves out a registry that clients would take for the gate itself', () => {
    const { setups } = setupsAt('https://ghcr.io', [HUB, GHCR, registry('quay.io')], GHCR);
    const through = setupsAt('https://gate.example.com', [{ ...GHCR, hosts: ['ghcr.io'] }, HUB]);

    expect(setups.map(({ files }) => files).flat()).not.toContainEqual(
      expect.objectContaining({ path: expect.stringContaining('ghcr.io') as string }),
    );
    expect(parseToml(fileOf(through.of('podman'), 'tidegate.conf'))).toMatchObject({
      registry: [{ prefix: 'docker.io' }],
    });
  });

  it('leaves out what no client takes for a registry in an image’s name, but for its path', () => {
    const { of, text } = setupsAt('https://gate.example.com', [HUB, registry('corp')]);

    expect(of('docker').commands).toContain('docker pull gate.example.com/corp/org/app:latest');
    expect(text).not.toMatch(/certs\.d\/corp|"corp"/);
  });
});

/** What JSON, TOML, YAML, Markdown, paths and shells all take for nothing but itself. */
const PLAIN = /^[A-Za-z0-9 .,:/_[\]-]*$/;
const SNIPPET = /^[A-Za-z0-9 .,:/_[\]{}"=\n-]*$/;

const KNOWN_KEYS = new Set(
  'registry-mirrors insecure-registries version plugins host registry mirrors configs'.split(' '),
);

/** The outermost keys, as the format's own parser reads them. */
function keysOf({ path, content }: SetupFile): string[] {
  const parsed: unknown = path.endsWith('.json')
    ? JSON.parse(content)
    : path.endsWith('.yaml')
      ? parseYaml(content)
      : parseToml(content);
  return Object.keys(parsed as object);
}

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom(...`a.:/"'\\$\`;&|<>(){}[]#%@!*~=\n\r\t \0é-_0`.split('')) }),
  fc.constantFrom(
    'a"]\n[x]',
    'a.b"\nserver = "http://evil.example',
    '../../../etc/passwd',
    '..',
    'a/../../b.c',
    'a.b$(reboot)',
    "a.b';reboot;'",
    '`reboot`.a',
    'a.b\u2028c',
    '__proto__',
    'constructor',
  ),
);
const names = fc.oneof(hostile, fc.domain(), fc.ipV4(), fc.webAuthority({ withPort: true }));

describe('hostile names and addresses', () => {
  it('never get into a file, a path or a command', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.record({ name: names, hosts: fc.array(names, { maxLength: 2 }) }), {
          minLength: 1,
          maxLength: 4,
          selector: ({ name }) => name,
        }),
        fc.constantFrom('https://gate.example.com', 'http://[::1]:8080', 'http://10.1.2.3'),
        fc.boolean(),
        (described, origin, alone) => {
          const [first, ...rest] = described.map(({ name, hosts }) => registry(name, { hosts }));
          const { setups } = setupsAt(origin, [first!, ...rest], alone ? first : undefined);

          for (const { path, content } of setups.flatMap(({ files }) => files)) {
            expect(path).toMatch(PLAIN);
            expect(path.split('/')).not.toContain('..');
            expect(content).toMatch(SNIPPET);
          }
          for (const command of setups.flatMap(({ commands }) => commands))
            expect(command).toMatch(PLAIN);
          const keys = setups.flatMap(({ files }) => files.flatMap(keysOf));
          expect(keys.filter((key) => !KNOWN_KEYS.has(key))).toEqual([]);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('are no address of the gate', () => {
    const near = fc.tuple(fc.constantFrom('http://', 'https://', ''), names, hostile);
    fc.assert(
      fc.property(near, ([scheme, host, more]) => {
        for (const text of [`${scheme}${host}`, `${scheme}${host}${more}`, more]) {
          const address = parseGateAddress(text);
          if (!address) continue;
          expect(address.origin).toMatch(/^https?:\/\/[a-z0-9.:_[\]-]+$/);
          expect(address.origin.endsWith(`//${address.host}`)).toBe(true);
          expect(parseGateAddress(address.origin)).toEqual(address);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it.each([
    'ftp://gate.example.com',
    'https://gate.example.com/path',
    'https://gate.example.com?',
    'https://gate.example.com#a',
    'https://user@gate.example.com',
    'https://@gate.example.com',
    'https://a"b.example.com',
    'https://a$(b).example.com',
    'https://',
    'gate.example.com',
    '',
  ])('such as %j are refused', (text) => {
    expect(parseGateAddress(text)).toBeUndefined();
  });
});

it('each client is described once, with a heading, and with something to type', () => {
  const { setups, text } = setupsAt('https://gate.example.com', [HUB]);

  expect(setups.map(({ name }) => name)).toEqual(CLIENT_NAMES);
  expect(text.match(/^## /gm)).toHaveLength(CLIENT_NAMES.length);
  expect(setups.filter(({ commands }) => commands.length === 0)).toEqual([]);
});
