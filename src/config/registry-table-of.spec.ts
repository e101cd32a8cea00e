import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { freshFolder } from '../../test/support/lifecycle';
import { describeWith } from '../../test/support/tools';
import { loadRegistryTable } from './config-file';
import { readSettings } from './read-settings';
import { SettingsError } from './settings-error';

const folder = freshFolder('registries');
let count = 0;

/** The table of a gate with this config file and these settings. */
function tableOf(text?: string, env: NodeJS.ProcessEnv = {}) {
  const DATA_DIR = join(folder, String((count += 1)));
  mkdirSync(DATA_DIR);
  if (text !== undefined) writeFileSync(join(DATA_DIR, 'tidegate.yaml'), text);
  return loadRegistryTable(readSettings({ DATA_DIR, ...env }));
}

function faultsOf(text: string, env?: NodeJS.ProcessEnv): readonly string[] {
  try {
    tableOf(text, env);
  } catch (error) {
    if (error instanceof SettingsError) return error.faults;
    throw error;
  }
  return [];
}

/** A file in the test's folder, and its path as a config file beside it would give it. */
function fileWith(content: string): string {
  const path = join(folder, `file-${(count += 1)}`);
  writeFileSync(path, content);
  return `../${path.slice(folder.length + 1)}`;
}

const DOCKER_HUB = {
  name: 'docker.io',
  url: new URL('https://registry-1.docker.io'),
  hosts: [],
  credentials: [],
  mirrors: [],
  library: true,
  redirects: 'follow',
  redirectHosts: [],
  authHosts: [],
  search: new URL('https://index.docker.io'),
  builtIn: true,
};

describe('the table of registries', () => {
  it('holds those that are built in, Docker Hub first', () => {
    const { registries } = tableOf();

    expect(registries[0]).toEqual(DOCKER_HUB);
    expect(registries.map(({ name, url }) => `${name} ${url.origin}`)).toEqual([
      'docker.io https://registry-1.docker.io',
      'ghcr.io https://ghcr.io',
      'quay.io https://quay.io',
      'gcr.io https://gcr.io',
      'registry.k8s.io https://registry.k8s.io',
      'k8s.gcr.io https://k8s.gcr.io',
      'public.ecr.aws https://public.ecr.aws',
      'docker.cloudsmith.io https://docker.cloudsmith.io',
      'mcr.microsoft.com https://mcr.microsoft.com',
    ]);
    expect(registries.filter(({ library }) => library)).toHaveLength(1);
    expect(
      registries.every(({ builtIn, credentials }) => builtIn && credentials.length === 0),
    ).toBe(true);
  });

  it('has the default registry in front, once, with what the settings say of it', () => {
    const own = tableOf(undefined, { UPSTREAM_REGISTRY: 'http://registry:5000' });
    expect(own.registries).toHaveLength(10);
    expect(own.default).toMatchObject({ name: 'registry:5000', library: false, builtIn: false });

    const known = tableOf(undefined, {
      UPSTREAM_REGISTRY: 'quay.io',
      UPSTREAM_USERNAME: 'robot',
      UPSTREAM_PASSWORD: 'secret',
      UPSTREAM_REDIRECTS: 'pass',
      UPSTREAM_LIBRARY: 'true',
    });
    expect(known.registries).toHaveLength(9);
    expect(known.default).toMatchObject({
      name: 'quay.io',
      credentials: [{ username: 'robot', password: 'secret' }],
      redirects: 'pass',
      library: true,
      builtIn: true,
    });
    expect(known.byName('docker.io')).toEqual(DOCKER_HUB);
  });

  it('takes a registry of a known name at another address for the own business of the operator', () => {
    const { default: first } = tableOf(undefined, { UPSTREAM_REGISTRY: 'http://quay.io' });
    const other = tableOf('registries: [{name: ghcr.io, url: "http://127.0.0.1:1"}]');

    expect(first).toMatchObject({ name: 'quay.io', builtIn: false });
    expect(other.byName('ghcr.io')).toMatchObject({ builtIn: false });
  });

  it('reads every key of the config file', () => {
    const password = fileWith('from a file\n');
    const table = tableOf(`registries:
  - name: registry.example.com:5000
    url: http://10.0.0.5:5000
    hosts: [images.example.com, images.localhost]
    credentials:
      - { username: robot, password: "0123" }
      - username: other
        password_file: ${password}
    mirrors:
      - url: mirror.example.com
      - { url: "https://second.example.com", tags: true }
    redirects: pass
    redirect_hosts: [10.0.0.6, "storage.internal:9000"]
    auth_hosts: [auth.example.org]
    library: true
    tag_ttl: 5m
    search: https://search.example.com
    proxy: http://user:word@proxy.example.com:3128
`);

    expect(table.byName('registry.example.com:5000')).toEqual({
      name: 'registry.example.com:5000',
      url: new URL('http://10.0.0.5:5000'),
      hosts: ['images.example.com', 'images.localhost'],
      credentials: [
        { username: 'robot', password: '0123' },
        { username: 'other', password: 'from a file' },
      ],
      mirrors: [
        { url: new URL('https://mirror.example.com'), tags: false },
        { url: new URL('https://second.example.com'), tags: true },
      ],
      redirects: 'pass',
      redirectHosts: ['10.0.0.6', 'storage.internal:9000'],
      authHosts: ['auth.example.org'],
      library: true,
      tagTtl: 300_000,
      search: new URL('https://search.example.com'),
      proxy: new URL('http://user:word@proxy.example.com:3128'),
      ca: undefined,
      builtIn: false,
    });
    expect(table.byHost('images.localhost')?.name).toBe('registry.example.com:5000');
    expect(table.registries).toHaveLength(10);
  });

  it('changes what an entry names, and leaves the rest of that registry as it was', () => {
    const table = tableOf(
      'registries:\n  - name: docker.io\n    tag_ttl: 10m\n  - name: ghcr.io\n    redirects: pass\n',
    );

    expect(table.default).toEqual({ ...DOCKER_HUB, tagTtl: 600_000 });
    expect(table.byName('ghcr.io')).toMatchObject({
      redirects: 'pass',
      url: new URL('https://ghcr.io'),
    });
  });

  it('asks a registry at another address there for a search, too', () => {
    const table = tableOf('registries: [{name: docker.io, url: "http://127.0.0.1:5000"}]');

    expect(table.default).toMatchObject({ library: true, builtIn: false, search: undefined });
  });

  it('takes out a registry that is built in', () => {
    const table = tableOf('registries: [{name: gcr.io, enabled: false}]');

    expect(table.byName('gcr.io')).toBeUndefined();
    expect(table.registries).toHaveLength(8);
  });

  it.each(['', '# nothing\n', 'registries:\n', 'registries: []\n', '---\n', '\ufeff# mark\n'])(
    'is as ever where the file says nothing: %j',
    (text) => {
      expect(tableOf(text)).toEqual(tableOf());
    },
  );

  it('takes aliases for what they stand for', () => {
    const table = tableOf(`registries:
  - { name: one.example, url: "https://one.example", credentials: &robot [{ username: r, password: p }] }
  - { name: two.example, url: "https://two.example", credentials: *robot }
`);

    expect(table.byName('two.example')?.credentials).toEqual([{ username: 'r', password: 'p' }]);
  });
});

describe('a config file that is wrong', () => {
  it('has every fault told at once, with line and key', () => {
    const text = `registries:
  - name: Ghcr.io
    hosts: ["ghcr.example.com:443", 10.0.0.1, localhost, "a_b..c"]
  - name: two.example
    url: ftp://two.example
    colour: blue
    mirrors:
      - tags: perhaps
    tag_ttl: soon
    redirects: [pass]
    library:
      - yes
    credentials:
      - username: robot
      - { username: robot, password: hunter2, password_file: /x }
      - { username: "a:hunter2", password: x }
      - { username: robot, hunter2 }
    proxy: socks5://robot:hunter2@proxy
    ca_file: ""
  - just text
  - url: https://three.example
`;

    expect(faultsOf(text)).toEqual([
      expect.stringMatching(
        /^tidegate\.yaml:2: registries\[0\]\.name="Ghcr\.io" is no name .*; give/,
      ),
      expect.stringMatching(
        /^tidegate\.yaml:3: registries\[0\]\.hosts\[0\]="ghcr\.example\.com:443" holds a port/,
      ),
      expect.stringMatching(
        /^tidegate\.yaml:3: registries\[0\]\.hosts\[1\]="10\.0\.0\.1" always means/,
      ),
      expect.stringMatching(
        /^tidegate\.yaml:3: registries\[0\]\.hosts\[2\]="localhost" always means/,
      ),
      expect.stringMatching(
        /^tidegate\.yaml:3: registries\[0\]\.hosts\[3\]="a_b\.\.c" is no host name/,
      ),
      expect.stringMatching(
        /^tidegate\.yaml:5: registries\[1\]\.url="ftp:\/\/two\.example" is not a URL/,
      ),
      'tidegate.yaml:14: registries[1].credentials[0] needs either password or password_file; give one of them',
      'tidegate.yaml:15: registries[1].credentials[1] needs either password or password_file; give one of them',
      expect.stringMatching(
        /^tidegate\.yaml:16: registries\[1\]\.credentials\[2\]\.username holds a colon/,
      ),
      'tidegate.yaml:17: a key is not known; the keys here are username, password, password_file',
      'tidegate.yaml:17: registries[1].credentials[3] needs either password or password_file; give one of them',
      'tidegate.yaml:8: registries[1].mirrors[0].url is missing; give it',
      expect.stringMatching(
        /^tidegate\.yaml:8: registries\[1\]\.mirrors\[0\]\.tags="perhaps" is not right/,
      ),
      'tidegate.yaml:10: registries[1].redirects is not a text; give one value',
      'tidegate.yaml:11: registries[1].library is not a text; give one value',
      expect.stringMatching(
        /^tidegate\.yaml:9: registries\[1\]\.tag_ttl="soon" is not right; give a dur/,
      ),
      expect.stringMatching(/^tidegate\.yaml:18: registries\[1\]\.proxy names a socks5 proxy/),
      'tidegate.yaml:19: registries[1].ca_file="" is empty; give the path of a file',
      expect.stringMatching(
        /^tidegate\.yaml:6: registries\[1\]\.colour is not known; the keys here are name, enabled, url/,
      ),
      'tidegate.yaml:20: registries[2] is not a map; give keys with their values',
      'tidegate.yaml:21: registries[3].name is missing; give it',
    ]);
    expect(faultsOf(text).join()).not.toContain('hunter2');
  });

  it.each([
    ['no map', 'just text', /^tidegate\.yaml: the document is not a map/],
    ['a list', '- name: ghcr.io', /^tidegate\.yaml: the document is not a map/],
    ['no list', 'registries: {name: ghcr.io}', /^tidegate\.yaml:1: registries is not a list/],
    [
      'another key',
      'registrys: []',
      /^tidegate\.yaml:1: registrys is not known; the keys here are regis/,
    ],
    [
      'a key twice',
      'registries: []\nregistries: []',
      /^tidegate\.yaml:2: has a key for the second time/,
    ],
    [
      'two documents',
      'registries: []\n---\nregistries: []',
      /^tidegate\.yaml:2: begins a second document/,
    ],
    ['a tab', 'registries:\n\t- name: x', /^tidegate\.yaml:2: .*tab/],
    ['a tag', 'registries: !!js/function "x"', /^tidegate\.yaml:1: has a tag/],
    ['no such anchor', 'registries: *all', /^tidegate\.yaml:1: has an alias/],
    [
      'half a quote',
      'registries:\n  - name: "hunter2',
      /^tidegate\.yaml:2: is not YAML \(MISSING_CHAR\)/,
    ],
    ['a merge key', 'registries: []\n<<: {a: b}', /^tidegate\.yaml:2: a key is not known/],
    ['__proto__', '__proto__: {registries: []}', /^tidegate\.yaml:1: __proto__ is not known/],
    ['constructor', 'constructor: {prototype: 1}', /^tidegate\.yaml:1: constructor is not known/],
    [
      '__proto__ in an entry',
      'registries: [{__proto__: {name: ghcr.io}}]',
      /__proto__ is not known/,
    ],
    ['toString as a key', 'registries: [{name: ghcr.io, toString: x}]', /toString is not known/],
    ['a folder of brackets', '['.repeat(100_000), /^tidegate\.yaml:1: is nested too deeply/],
    [
      'a long text',
      `# ${'x'.repeat(1024 * 1024)}`,
      /^tidegate\.yaml is longer than a million characters/,
    ],
  ])('%s', (_what, text, fault) => {
    const faults = faultsOf(text);

    expect(faults.join('\n')).toMatch(fault);
    expect(faults.join()).not.toContain('hunter2');
  });

  it.each([
    ['a flat map', Array.from({ length: 60_000 }, (_, index) => `k${index}: x`).join('\n')],
    ['one key again and again', 'registries: []\n'.repeat(60_000)],
    ['a list of nothing', `registries:\n${'  - {}\n'.repeat(60_000)}`],
  ])('tells the first of the faults of another file altogether, soon: %s', (_what, text) => {
    const faults = faultsOf(text);

    expect(faults.length).toBeGreaterThan(40);
    expect(faults.length).toBeLessThan(60);
  });

  it('is not taken in by aliases of aliases', () => {
    const levels = Array.from(
      { length: 12 },
      (_, i) =>
        `${'abcdefghijkl'[i]}: &${'abcdefghijkl'[i]} [${
          i === 0
            ? 'x'
            : Array(9)
                .fill(`*${'abcdefghijkl'[i - 1]}`)
                .join(', ')
        }]`,
    );

    expect(faultsOf(levels.join('\n'))).toEqual([
      expect.stringMatching(/^tidegate\.yaml cannot be read: .* too many aliases$/),
    ]);
  });

  it.each([
    ['that stand for a text', 'x'],
    ['that stand for nothing much', '[]'],
  ])('does not begin to look for the anchors of very many aliases, %s', (_what, anchored) => {
    const text = `registries: &a ${anchored}\nmore: [${'*a, '.repeat(60_000)}*a]`;

    expect(faultsOf(text)).toEqual([
      expect.stringMatching(/^tidegate\.yaml:2: has more aliases .* than 1000; write out/),
    ]);
  });

  it.each([
    ['constructor', /neither a dot nor a port/],
    ['__proto__', /neither a dot nor a port/],
    ['library', /neither a dot nor a port/],
    ['registry-1.docker.io', /is Docker Hub, whose name here is docker\.io/],
    ['0x7f.0x1', /is no name/],
    ['127.1', /is no name/],
    ['2130706433:80', /is no name/],
    ['[::0:1]:5000', /is no name/],
    ['registry:0', /is no name/],
    ['registry:65536', /is no name/],
    ['a/b.c', /is no name/],
    ['ghcr.io.', /is no name/],
    ['user@ghcr.io', /is no name/],
    ['ünder.example', /is no name/],
    ['https://ghcr.io', /is no name/],
    ['a b.c', /is no name/],
  ])('may not name a registry %s', (name, fault) => {
    expect(faultsOf(`registries: [{name: "${name}", url: "https://x.example"}]`)).toEqual([
      expect.stringMatching(fault),
    ]);
  });

  it.each([
    'localhost',
    'localhost:5000',
    'registry:5000',
    '10.0.0.5:5000',
    '[::1]:5000',
    'xn--nder-0qa.example',
  ])('may name one %s', (name) => {
    const table = tableOf(`registries: [{name: "${name}", url: "https://x.example"}]`);
    expect(table.byName(name)?.name).toBe(name);
  });

  it.each([
    [
      'one name twice',
      'registries:\n  - name: ghcr.io\n  - name: ghcr.io\n',
      [
        'tidegate.yaml:3: registries[1].name says ghcr.io for the second time; make one entry of both',
      ],
    ],
    [
      'no url for one that is not known',
      'registries:\n  - name: one.example\n',
      [
        'tidegate.yaml:2: registries[0].url is missing; give it, since Tidegate does not know one.example by itself',
      ],
    ],
    [
      'one host for two, or twice',
      'registries:\n  - {name: ghcr.io, hosts: [a.example, a.example]}\n  - {name: quay.io, hosts: [a.example]}\n',
      [
        'tidegate.yaml:2: registries[0].hosts[1] a.example leads to ghcr.io already; give each host to one registry, once',
        'tidegate.yaml:3: registries[1].hosts[0] a.example leads to ghcr.io already; give each host to one registry, once',
      ],
    ],
    [
      'the host of the gate itself',
      'registries: [{name: ghcr.io, hosts: [gate.example]}]',
      [
        'tidegate.yaml:1: registries[0].hosts[0] gate.example is the host of PUBLIC_URL, which means the gate itself; give another',
      ],
    ],
    [
      'credentials for the default registry, which has some',
      'registries: [{name: docker.io, credentials: [{username: a, password: hunter2}]}]',
      [
        'tidegate.yaml:1: registries[0].credentials and UPSTREAM_USERNAME are both set for docker.io; remove one of them',
      ],
    ],
    [
      'no default registry',
      'registries: [{name: docker.io, enabled: false}]',
      [
        expect.stringMatching(
          /^tidegate\.yaml:1: registries\[0\]\.enabled would take out the default registry; set/,
        ),
      ],
    ],
    [
      'a removal of what is not there',
      'registries: [{name: one.example, enabled: false}]',
      [
        expect.stringMatching(
          /^tidegate\.yaml:1: registries\[0\]\.enabled takes out one\.example, which is not there/,
        ),
      ],
    ],
    [
      'files that are not there, or do not hold what they should',
      `registries:\n  - name: ghcr.io\n    credentials:\n      - {username: a, password_file: none}\n      - {username: a, password_file: ${fileWith('\n')}}\n      - {username: a, password_file: ${fileWith('hunter2\nhunter2\n')}}\n      - {username: a, password_file: "."}\n    ca_file: ${fileWith('hunter2')}\n`,
      [
        expect.stringMatching(
          /^tidegate\.yaml:4: registries\[0\]\.credentials\[0\]\.password_file=".*\/none" is not there; give/,
        ),
        expect.stringMatching(
          /^tidegate\.yaml:5: registries\[0\]\.credentials\[1\]\.password_file=".*" is empty; write/,
        ),
        expect.stringMatching(
          /^tidegate\.yaml:6: registries\[0\]\.credentials\[2\]\.password_file=".*": its content holds a control character/,
        ),
        expect.stringMatching(
          /^tidegate\.yaml:7: registries\[0\]\.credentials\[3\]\.password_file=".*" is not a file/,
        ),
        expect.stringMatching(
          /^tidegate\.yaml:8: registries\[0\]\.ca_file=".*" holds no certificates that can be read/,
        ),
      ],
    ],
  ])('%s', (_what, text, faults) => {
    const env = {
      PUBLIC_URL: 'https://gate.example:8443',
      UPSTREAM_USERNAME: 'a',
      UPSTREAM_PASSWORD: 'b',
    };
    expect(faultsOf(text, env)).toEqual(faults);
  });

  it('never fails otherwise, whatever it holds', () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.constantFrom(
        'registries:',
        '\n  - ',
        'name: ',
        'ghcr.io',
        '\n    url: ',
        'hosts: [',
        '{',
        '}',
        '&a',
        '*a',
        '"',
        '__proto__: ',
        '? ',
        '!!map ',
        '- ',
      ),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), (parts) => {
        for (const fault of faultsOf(parts.join(''))) expect(fault).toMatch(/^tidegate\.yaml[: ]/);
      }),
      { numRuns: 200 },
    );
  });
});

describe('the hosts of CUSTOM_DOMAIN', () => {
  const env = { CUSTOM_DOMAIN: 'Example.com' };

  it('stand beside those of the file, which may repeat them', () => {
    const text = 'registries: [{name: ghcr.io, hosts: [images.example.org, ghcr.example.com]}]';
    const table = tableOf(text, env);

    expect(table.byName('ghcr.io')?.hosts).toEqual([
      'ghcr.example.com',
      'ghcr.registry.docker.example.com',
      'images.example.org',
    ]);
    expect(table.byHost('images.example.org')?.name).toBe('ghcr.io');
    expect(table.byHost('quay.example.com')?.name).toBe('quay.io');
  });

  it('cannot be given to another registry', () => {
    const text = 'registries: [{name: ghcr.io, hosts: [quay.example.com]}]';

    expect(faultsOf(text, env)).toEqual([
      'tidegate.yaml:1: registries[0].hosts[0] quay.example.com leads to quay.io already; give each host to one registry, once',
    ]);
  });

  it('go with a registry that is taken out, and may then be given to another', () => {
    const removed = '{name: quay.io, enabled: false}';
    expect(tableOf(`registries: [${removed}]`, env).byHost('quay.example.com')).toBeUndefined();
    const given = `registries: [${removed}, {name: ghcr.io, hosts: [quay.example.com]}]`;
    expect(tableOf(given, env).byHost('quay.example.com')?.name).toBe('ghcr.io');
  });

  it('leave to the gate the one of PUBLIC_URL, where that would mean the default registry anyway', () => {
    const table = tableOf('', { ...env, PUBLIC_URL: 'https://hub.example.com:8443' });

    expect(table.byHost('hub.example.com')).toBeUndefined();
    expect(table.byHost('docker.example.com')?.name).toBe('docker.io');
  });

  it('may not make PUBLIC_URL mean another registry', () => {
    for (const more of [
      { PUBLIC_URL: 'https://ghcr.example.com' },
      { PUBLIC_URL: 'https://ghcr.example.com', UPSTREAM_REGISTRY: 'quay.io' },
    ])
      expect(faultsOf('', { ...env, ...more })).toEqual([
        'PUBLIC_URL=https://ghcr.example.com means the gate itself, and by CUSTOM_DOMAIN its host leads to ghcr.io; give the gate another host',
      ]);
    const own = { PUBLIC_URL: 'https://ghcr.example.com', UPSTREAM_REGISTRY: 'ghcr.io' };
    expect(faultsOf('', { ...env, ...own })).toEqual([]);
  });
});

describe('TARGET_UPSTREAM', () => {
  const env = { CUSTOM_DOMAIN: 'localhost', DEBUG: 'true' };

  it('is one more registry while debugging, or one that is there', () => {
    const more = tableOf('', { ...env, TARGET_UPSTREAM: 'http://127.0.0.1:5000' });
    expect(more.registries).toHaveLength(10);
    expect(more.unknownHost).toMatchObject({ name: '127.0.0.1:5000', builtIn: false });
    expect(more.unknownHost).toBe(more.byName('127.0.0.1:5000'));

    const known = tableOf('', { ...env, TARGET_UPSTREAM: 'docker.io' });
    expect(known.registries).toHaveLength(9);
    expect(known.unknownHost).toBe(known.default);
  });

  it('may not take the name of another registry', () => {
    const text = 'registries: [{name: "one.example:5000", url: "https://two.example"}]';

    expect(faultsOf(text, { ...env, TARGET_UPSTREAM: 'one.example:5000' })).toEqual([
      expect.stringMatching(
        /^TARGET_UPSTREAM=https:\/\/one\.example:5000 would be .* there is one\.example:5000 at another/,
      ),
    ]);
  });

  it('is nobody otherwise', () => {
    expect(tableOf('', { TARGET_UPSTREAM: 'http://127.0.0.1:5000' }).unknownHost).toBeUndefined();
  });
});

describeWith(['openssl'], 'ca_file', () => {
  it('holds certificates, several as well, and nothing else of it is kept', () => {
    const path = join(folder, 'ca.pem');
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
    const out = ['-keyout', join(folder, 'ca.key'), '-out', path, '-days', '2', '-subj', '/CN=ca'];
    execFileSync('openssl', ['req', '-x509', ...kind, ...out], { stdio: 'ignore' });
    const pem = execFileSync('cat', [path], { encoding: 'utf8' });
    const both = fileWith(`the first\n${pem}\nthe second\n${pem}`);

    const table = tableOf(`registries: [{name: ghcr.io, ca_file: ${both}}]`);

    expect(table.byName('ghcr.io')?.ca).toBe(`${pem.trim()}\n${pem.trim()}`);
    const broken = fileWith(pem.replace(/M/g, 'N'));
    expect(faultsOf(`registries: [{name: ghcr.io, ca_file: ${broken}}]`)).toHaveLength(1);
  });
});
