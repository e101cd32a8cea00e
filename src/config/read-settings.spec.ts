import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { describeSettings } from './describe-settings';
import { loadEnvironment, readSettings } from './read-settings';
import { defaultsOf, PRESET_NAMES } from './presets';
import { SETTINGS } from './setting-table';
import { SettingsError } from './settings-error';
import { availableMemory } from './available-memory';
import { usualMemory } from './settings-of-cache';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-settings-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A file with this text in the spec's folder. */
function fileWith(text: string): string {
  const file = join(mkdtempSync(join(folder, 'file-')), 'content');
  writeFileSync(file, text);
  return file;
}

function faultsOf(env: NodeJS.ProcessEnv, argv: string[] = []): readonly string[] {
  try {
    readSettings(env, argv);
  } catch (error) {
    if (error instanceof SettingsError) return error.faults;
    throw error;
  }
  return [];
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const LONG_SECRET = 'x'.repeat(32);

describe('readSettings without any setting', () => {
  it('has the defaults', () => {
    const settings = readSettings({});

    expect(settings).toMatchObject({
      host: '0.0.0.0',
      port: 8080,
      publicUrl: undefined,
      trustProxy: 0,
      tls: undefined,
      dataDir: resolve('data'),
      htpasswdFile: resolve('data/htpasswd'),
      authMode: 'accounts',
      anonymousAccess: 'none',
      anonymousRepositories: [],
      adminUsername: 'admin',
      accounts: [],
      tokenService: 'tidegate',
      tokenTtl: 300,
      outgoingProxy: { except: '' },
      cache: {
        dir: resolve('data/cache'),
        maxSize: { share: 0.8 },
        minFree: { share: 0.05 },
        maxAge: undefined,
        tagTtl: 60_000,
      },
      rateLimit: 50,
      rateBurst: 500,
      maxConnections: 256,
      maxUploads: 1000,
      uploadTtl: 86_400_000,
      logLevel: 'info',
      drainTimeout: 30_000,
      drainDelay: 0,
    });
    expect(settings.upstream).toMatchObject({
      name: 'docker.io',
      credentials: undefined,
      redirects: 'follow',
      connectTimeout: 4000,
      headerTimeout: 30_000,
      idleTimeout: 30_000,
    });
    expect(settings.upstream.url.href).toBe('https://registry-1.docker.io/');
  });

  it('takes empty values and variables of others for nothing', () => {
    const empty = Object.fromEntries(
      [...Object.keys(SETTINGS), 'SKIP_AUTH_PROXY', 'TOKEN_SECRET_FILE'].map((name) => [name, '']),
    );

    expect(readSettings({ ...empty, PATH: '/bin', PORT_FILE: '/nowhere' })).toEqual(
      readSettings({}),
    );
  });

  it('gives settings that cannot be changed', () => {
    const settings = readSettings({ ACCOUNTS: base64('ci:secret') });

    expect(Object.isFrozen(settings)).toBe(true);
    expect(Object.isFrozen(settings.upstream)).toBe(true);
    expect(Object.isFrozen(settings.accounts)).toBe(true);
    expect(Object.isFrozen(settings.accounts[0])).toBe(true);
  });
});

/** For each setting a value that is wrong. */
const WRONG: Record<keyof typeof SETTINGS, string> = {
  PRESET: 'registry',
  HOST: '300.1.1.1',
  PORT: '65536',
  PUBLIC_URL: 'https://gate.example.com/registry',
  TRUST_PROXY: 'true',
  TLS_CERT_FILE: '/nowhere/tls.crt',
  TLS_KEY_FILE: '/nowhere/tls.key',
  DATA_DIR: __filename,
  HTPASSWD_FILE: __dirname,
  AUTH_MODE: 'nobody',
  ANONYMOUS_ACCESS: 'push',
  ANONYMOUS_REPOSITORIES: 'Team/**',
  TRUSTED_NETWORKS: '::/0',
  ADMIN_USERNAME: 'a:b',
  ADMIN_PASSWORD: 'x'.repeat(73),
  ACCOUNTS: 'ci:secret',
  TOKEN_SECRET: 'x'.repeat(31),
  TOKEN_SECRET_PREVIOUS: 'short',
  TOKEN_SERVICE: 'tide"gate',
  TOKEN_TTL: '59s',
  UPSTREAM_REGISTRY: 'ftp://registry.example.com',
  UPSTREAM_USERNAME: 'a:b',
  UPSTREAM_PASSWORD: 'two\nlines',
  UPSTREAM_LIBRARY: 'perhaps',
  UPSTREAM_REDIRECTS: 'ignore',
  CONFIG_FILE: __dirname,
  CUSTOM_DOMAIN: 'example.com:8080',
  TARGET_UPSTREAM: 'ftp://registry.example.com',
  UPSTREAM_CONNECT_TIMEOUT: '4 seconds',
  UPSTREAM_HEADER_TIMEOUT: '0',
  UPSTREAM_IDLE_TIMEOUT: '-1',
  HTTP_PROXY: 'socks5://proxy.example.com',
  HTTPS_PROXY: 'proxy.example.com:3128',
  NO_PROXY: 'http://internal.example.com',
  CACHE: 'maybe',
  CACHE_DIR: __filename,
  CACHE_MAX_SIZE: '0%',
  CACHE_MIN_FREE: '100%',
  CACHE_MAX_AGE: '1 month',
  CACHE_TAG_TTL: '31d',
  CACHE_MEMORY: 'much',
  RATE_LIMIT: '50/m',
  RATE_BURST: 'many',
  MAX_CONNECTIONS: '0',
  MAX_UPLOADS: '1.5',
  UPLOAD_TTL: '24d',
  LOG_LEVEL: 'loud',
  DRAIN_TIMEOUT: '1e3',
  DRAIN_DELAY: '1d',
};

describe('readSettings with a wrong value', () => {
  it.each(Object.entries(WRONG))('names %s=%j', (name, value) => {
    expect(faultsOf({ [name]: value }).join('\n')).toMatch(new RegExp(`^${name}\\b.*;`, 'm'));
  });

  it('tells every fault at once, one a line', () => {
    const faults = faultsOf(WRONG);

    for (const name of Object.keys(WRONG)) {
      expect(faults.filter((fault) => fault.startsWith(name)).length).toBeGreaterThan(0);
    }
    expect(faults.every((fault) => !fault.includes('\n'))).toBe(true);
    expect(() => readSettings(WRONG)).toThrow(
      `The settings are not right:\n  ${faults.join('\n  ')}`,
    );
  });

  it('never shows a secret', () => {
    const env = {
      ADMIN_PASSWORD: 'hunter2'.repeat(11),
      ACCOUNTS: `${base64('ci:hunter2')},hunter2!`,
      TOKEN_SECRET: 'hunter2',
      TOKEN_SECRET_PREVIOUS: 'hunter2',
      UPSTREAM_PASSWORD: 'hunter2\n',
      UPSTREAM_REGISTRY: 'https://robot:hunter2@registry.example.com',
      PUBLIC_URL: 'https://gate.example.com?token=hunter2',
      HTTP_PROXY: 'socks5://robot:hunter2@proxy.example.com',
      HTTPS_PROXY: 'http://robot:hunter2',
      TARGET_UPSTREAM: 'https://robot:hunter2@registry.example.com',
    };

    const text = faultsOf(env, ['--token-secret=hunter2', 'hunter2']).join('\n');

    for (const name of Object.keys(env)) expect(text).toContain(name);
    expect(text).not.toContain('hunter2');
    expect(text).not.toContain(base64('hunter2').slice(0, 6));
  });
});

describe('where the gate listens', () => {
  it.each([
    [{ PROXY_LISTEN_ADDR: ':5002' }, '0.0.0.0', 5002],
    [{ PROXY_LISTEN_ADDR: '127.0.0.1:5002' }, '127.0.0.1', 5002],
    [{ PROXY_LISTEN_ADDR: '[::1]:5002' }, '::1', 5002],
    [{ PROXY_LISTEN_ADDR: 'localhost:5002', PORT: '5002' }, 'localhost', 5002],
    [{ HOST: '[::]', PORT: '0' }, '::', 0],
  ])('%j', (env, host, port) => {
    expect(readSettings(env)).toMatchObject({ host, port });
  });

  it('takes the port of the command line before all others', () => {
    const env = { PORT: '1', PROXY_LISTEN_ADDR: '127.0.0.1:2' };

    expect(readSettings(env, ['--server.port=8004'])).toMatchObject({
      host: '127.0.0.1',
      port: 8004,
    });
  });

  it.each(['5002', ':', ':99999', '::1:5002', '[127.0.0.1]:80', '[::1]', 'a b:80', ':5002/'])(
    'refuses PROXY_LISTEN_ADDR=%s, once',
    (address) => {
      expect(faultsOf({ PROXY_LISTEN_ADDR: address })).toEqual([
        expect.stringContaining('PROXY_LISTEN_ADDR'),
      ]);
    },
  );

  it('refuses two ports', () => {
    expect(faultsOf({ PORT: '1', PROXY_LISTEN_ADDR: ':2' })).toEqual([
      'PORT and PROXY_LISTEN_ADDR are both set, to different values; remove one of them',
    ]);
  });

  it.each([
    ['--server.port='],
    ['--server.port'],
    ['--server.port=abc'],
    ['--help'],
    ['8004'],
    ['--=1'],
  ])('refuses the argument %s', (argument) => {
    expect(faultsOf({}, [argument])).toHaveLength(1);
  });
});

describe('other names', () => {
  it.each([
    [{ SELF_REGISTRY: 'gate.example.com' }, { publicUrl: 'https://gate.example.com' }],
    [{ SELF_REGISTRY: 'http://localhost:8080/' }, { publicUrl: 'http://localhost:8080' }],
    [
      { SELF_REGISTRY: 'gate.example.com', PUBLIC_URL: 'https://GATE.example.com:443/' },
      { publicUrl: 'https://gate.example.com' },
    ],
    [{ SELF_AUTH_SERVICE: 'docker-image-proxy' }, { tokenService: 'docker-image-proxy' }],
    [{ SERVER_SECRET: LONG_SECRET }, { tokenSecret: LONG_SECRET }],
    [{ UPSTREAM_REGISTRY_HOST: 'quay.io', UPSTREAM_REGISTRY: 'https://quay.io/' }, {}],
    [{ REGISTRY_DOMAIN: 'gate.example.com' }, { publicUrl: 'https://gate.example.com' }],
    [{ SKIP_AUTH_PROXY: 'true' }, { authMode: 'passthrough' }],
    [{ SKIP_AUTH_PROXY: '1', AUTH_MODE: 'passthrough' }, { authMode: 'passthrough' }],
    [{ SKIP_AUTH_PROXY: 'false', AUTH_MODE: 'relay' }, { authMode: 'relay' }],
    [{ DEBUG: 'true' }, { logLevel: 'debug' }],
    [{ DEBUG: 'false', LOG_LEVEL: 'warn' }, { logLevel: 'warn' }],
  ])('%j', (env, expected) => {
    expect(readSettings(env)).toMatchObject(expected);
  });

  it.each([
    [{ PUBLIC_URL: 'http://a.example', SELF_REGISTRY: 'a.example' }],
    [{ UPSTREAM_REGISTRY: 'quay.io', UPSTREAM_REGISTRY_HOST: 'ghcr.io' }],
    [{ TOKEN_SECRET: LONG_SECRET, SERVER_SECRET: `${LONG_SECRET}y` }],
    [{ LOG_LEVEL: 'warn', DEBUG: 'true' }],
    [{ AUTH_MODE: 'relay', SKIP_AUTH_PROXY: 'true' }],
    [{ PUBLIC_URL: 'https://a.example', REGISTRY_DOMAIN: 'b.example' }],
  ])('refuses two that differ: %j', (env) => {
    const [one, other] = Object.keys(env);

    expect(faultsOf(env)).toEqual([
      `${one} and ${other} are both set, to different values; remove one of them`,
    ]);
  });
});

describe('secrets in files', () => {
  it.each(['ADMIN_PASSWORD', 'ACCOUNTS', 'TOKEN_SECRET', 'TOKEN_SECRET_PREVIOUS', 'SERVER_SECRET'])(
    '%s_FILE is read, without the line break at its end',
    (name) => {
      const text = name === 'ACCOUNTS' ? base64('ci:secret') : LONG_SECRET;

      expect(readSettings({ [`${name}_FILE`]: fileWith(`${text}\n`) })).toEqual(
        readSettings({ [name]: text }),
      );
    },
  );

  it('reads the password for the upstream too', () => {
    const settings = readSettings({
      UPSTREAM_USERNAME: 'u',
      UPSTREAM_PASSWORD_FILE: fileWith('p\r\n'),
    });

    expect(settings.upstream.credentials).toEqual({ username: 'u', password: 'p' });
  });

  it('refuses a value and a file together', () => {
    const env = { TOKEN_SECRET: LONG_SECRET, TOKEN_SECRET_FILE: fileWith(LONG_SECRET) };

    expect(faultsOf(env)).toEqual([
      'TOKEN_SECRET and TOKEN_SECRET_FILE are both set; remove one of them',
    ]);
  });

  it('names a file that cannot be read, is empty or holds a wrong value', () => {
    const wrong = fileWith('hunter2');

    const faults = faultsOf({
      TOKEN_SECRET_FILE: '/nowhere/secret',
      ADMIN_PASSWORD_FILE: fileWith('\n'),
      TOKEN_SECRET_PREVIOUS_FILE: wrong,
      ACCOUNTS_FILE: folder,
    });

    expect(faults).toEqual([
      expect.stringContaining('ADMIN_PASSWORD_FILE='),
      expect.stringMatching(/^ACCOUNTS_FILE=.*cannot be read \(EISDIR\)/),
      expect.stringMatching(/^TOKEN_SECRET_FILE="\/nowhere\/secret" cannot be read \(ENOENT\)/),
      expect.stringContaining(`TOKEN_SECRET_PREVIOUS_FILE="${wrong}": its content is too short`),
    ]);
  });
});

describe('the upstream', () => {
  it.each([
    ['docker.io', 'docker.io', 'https://registry-1.docker.io/'],
    ['https://index.docker.io/', 'docker.io', 'https://registry-1.docker.io/'],
    ['http://registry.hub.docker.com', 'docker.io', 'https://registry-1.docker.io/'],
    ['registry-1.docker.io', 'docker.io', 'https://registry-1.docker.io/'],
    [
      'registry.example.com:5000',
      'registry.example.com:5000',
      'https://registry.example.com:5000/',
    ],
    ['http://127.0.0.1:5000', '127.0.0.1:5000', 'http://127.0.0.1:5000/'],
    ['https://[::1]:5000', '[::1]:5000', 'https://[::1]:5000/'],
    ['https://Quay.IO:443', 'quay.io', 'https://quay.io/'],
  ])('%s', (text, name, url) => {
    const { upstream } = readSettings({ UPSTREAM_REGISTRY: text });

    expect({ name: upstream.name, url: upstream.url.href }).toEqual({ name, url });
  });

  it.each([
    'https://',
    'https:///x',
    'quay.io/org',
    'https://quay.io/?x',
    'https://quay.io#x',
    'https://@quay.io',
    'user:pass@quay.io',
    'https:\\\\quay.io',
    'https://quay\n.io',
    'file:///etc/passwd',
    'quay.io:port',
    'https://quay.io//',
  ])('refuses %j', (text) => {
    expect(faultsOf({ UPSTREAM_REGISTRY: text })).toEqual([
      expect.stringContaining('UPSTREAM_REGISTRY='),
    ]);
  });

  it.each([
    ['UPSTREAM_USERNAME', 'UPSTREAM_PASSWORD'],
    ['UPSTREAM_PASSWORD', 'UPSTREAM_USERNAME'],
  ])('refuses %s without %s', (one, other) => {
    expect(faultsOf({ [one]: 'x' })).toEqual([
      `${one} is set without ${other}; set both, or remove it`,
    ]);
  });
});

describe('outgoing proxies', () => {
  it('are taken from the lower-case names first', () => {
    const { outgoingProxy } = readSettings({
      HTTP_PROXY: 'http://upper:1',
      http_proxy: 'http://lower:1',
      HTTPS_PROXY: 'https://us%40er:pa%3Ass@proxy:2',
      https_proxy: '',
      no_proxy: 'localhost, .internal 10.0.0.0/8,[::1]:80',
    });

    expect(outgoingProxy.http?.href).toBe('http://lower:1/');
    expect(outgoingProxy.https?.host).toBe('proxy:2');
    expect(outgoingProxy.except).toBe('localhost, .internal 10.0.0.0/8,[::1]:80');
  });

  it('are refused by scheme, with the reason', () => {
    const [fault] = faultsOf({ https_proxy: 'socks5h://user:hunter2@proxy:1080' });

    expect(fault).toMatch(
      /^https_proxy names a socks5h proxy, and uploads can go through http and https/,
    );
    expect(fault).not.toContain('hunter2');
  });

  it.each(['http://user:100%@proxy:1', 'http://proxy:1/path', 'http://pro xy', '//proxy'])(
    'are refused: %s',
    (text) => {
      expect(faultsOf({ HTTP_PROXY: text })).toHaveLength(1);
    },
  );
});

describe('trusted proxies', () => {
  it.each([
    ['none', 0],
    ['2', 2],
    ['loopback', ['loopback']],
    [
      '10.0.0.0/8, 192.0.2.1,fc00::/7,UniqueLocal',
      ['10.0.0.0/8', '192.0.2.1', 'fc00::/7', 'uniquelocal'],
    ],
  ])('%s', (text, expected) => {
    expect(readSettings({ TRUST_PROXY: text }).trustProxy).toEqual(expected);
  });

  it.each(['true', '*', 'all', '0.0.0.0/0', '::/0', '10.0.0.0/8,0.0.0.0/0'])(
    'refuses everybody: %s',
    (text) => {
      expect(faultsOf({ TRUST_PROXY: text })).toEqual([
        expect.stringContaining('would trust everybody'),
      ]);
    },
  );

  it.each([
    '17',
    '-1',
    '10.0.0.0/33',
    '10.0.0/8',
    'example.com',
    '10.0.0.1,',
    '::ffff:0:0/96',
    '10.0.0.0/8/8',
    'fe80::1%eth0',
  ])('refuses %s', (text) => {
    expect(faultsOf({ TRUST_PROXY: text })).toHaveLength(1);
  });
});

describe('ACCOUNTS', () => {
  it('reads every entry, colons and non-ASCII in passwords included', () => {
    const text = [base64('ci:se:cret'), base64('bob:pässwörd').replaceAll('=', '')].join(', ');

    expect(readSettings({ ACCOUNTS: text }).accounts).toEqual([
      { username: 'ci', password: 'se:cret' },
      { username: 'bob', password: 'pässwörd' },
    ]);
  });

  it.each([
    ['not base64', 'ci:secret'],
    ['no colon', base64('ci')],
    ['no user', base64(':secret')],
    ['no password', base64('ci:')],
    ['a markup user', base64('<b>:secret')],
    ['73 bytes', base64(`ci:${'x'.repeat(73)}`)],
    ['73 bytes of two each', base64(`ci:${'ä'.repeat(37)}`)],
    ['a NUL', base64('ci:a\0b')],
    ['not UTF-8', Buffer.from([0x63, 0x3a, 0xff]).toString('base64')],
    ['twice the same', `${base64('ci:a')},${base64('ci:b')}`],
    ['an empty entry', `${base64('ci:a')},`],
  ])('refuses %s', (_, text) => {
    expect(faultsOf({ ACCOUNTS: text })).toEqual([expect.stringMatching(/^ACCOUNTS .*; give/)]);
  });
});

describe('ACCOUNTS in relay', () => {
  const relay = (text: string) => ({ AUTH_MODE: 'relay', ACCOUNTS: text });

  it('are logins at the registry: any user, and tokens for passwords', () => {
    const token = 'x'.repeat(2000);
    const text = [base64(`<token>:${token}`), base64('org$robot:a:b')].join(',');

    expect(readSettings(relay(text)).accounts).toEqual([
      { username: '<token>', password: token },
      { username: 'org$robot', password: 'a:b' },
    ]);
    expect(faultsOf({ ACCOUNTS: text })).toHaveLength(1);
  });

  it.each([
    ['not base64', 'ci:secret'],
    ['no user', base64(':secret')],
    ['no password', base64('ci:')],
    ['a line break', base64('ci:a\nb')],
    ['twice the same', `${base64('ci:a')},${base64('ci:b')}`],
  ])('refuse %s', (_, text) => {
    expect(faultsOf(relay(text))).toEqual([expect.stringMatching(/^ACCOUNTS .*; give/)]);
  });
});

describe('AUTH_MODE', () => {
  it.each(['accounts', 'relay', 'passthrough', 'open'])('%s is known', (mode) => {
    expect(readSettings({ AUTH_MODE: mode }).authMode).toBe(mode);
  });

  it.each([
    ['ACCOUNTS', base64('ci:secret')],
    ['ANONYMOUS_ACCESS', 'pull'],
    ['ANONYMOUS_ACCESS', 'none'],
    ['ANONYMOUS_REPOSITORIES', 'team/**'],
    ['TRUSTED_NETWORKS', '10.0.0.0/8'],
  ])('passthrough and open leave %s=%s without effect', (name, text) => {
    for (const mode of ['passthrough', 'open'])
      expect(faultsOf({ AUTH_MODE: mode, [name]: text })).toEqual([
        expect.stringMatching(`^${name} has no effect with AUTH_MODE=${mode}, .*; remove it`),
      ]);
    for (const mode of ['accounts', 'relay'])
      expect(
        faultsOf({ AUTH_MODE: mode, [name]: text }).filter((fault) => fault.includes('AUTH_MODE')),
      ).toEqual([]);
  });
});

describe('trusted networks', () => {
  it('are read as those of TRUST_PROXY are', () => {
    const text = '10.0.0.0/8, 192.0.2.1,FC00::/7,loopback';

    expect(readSettings({ TRUSTED_NETWORKS: text }).trustedNetworks).toEqual([
      '10.0.0.0/8',
      '192.0.2.1',
      'fc00::/7',
      'loopback',
    ]);
  });

  it.each(['0.0.0.0/0', '::/0', '10.0.0.0/8,0.0.0.0/0'])('may not be everybody: %s', (text) => {
    expect(faultsOf({ TRUSTED_NETWORKS: text })).toEqual([
      expect.stringMatching(
        /^TRUSTED_NETWORKS=.* to let everybody pull, set ANONYMOUS_ACCESS=pull$/,
      ),
    ]);
  });

  it.each(['1', 'true', '10.0.0.0/33', 'example.com', '10.0.0.1,'])('refuses %s', (text) => {
    expect(faultsOf({ TRUSTED_NETWORKS: text })).toEqual([
      expect.stringMatching(/ is not right; give addresses, networks/),
    ]);
  });
});

describe('PRESET', () => {
  it.each([
    ['dockerpush', { port: 5002, authMode: 'relay' }],
    ['docker-image-proxy', { port: 8080, authMode: 'relay', tokenService: 'docker-image-proxy' }],
    [
      'go-docker-proxy',
      {
        port: 8080,
        authMode: 'relay',
        customDomain: 'example.com',
        cache: { dir: resolve('cache') },
      },
    ],
    ['docker-io-proxy', { port: 8004, authMode: 'relay' }],
  ])('%s brings the defaults of that system', (preset, expected) => {
    expect(readSettings({ PRESET: preset })).toMatchObject({ preset, ...expected });
  });

  it('nginx-registry brings its accounts, its port and its limits', () => {
    const cwd = process.cwd();
    process.chdir(mkdtempSync(join(folder, 'nginx-')));
    try {
      expect(faultsOf({ PRESET: 'nginx-registry' })).toEqual([
        expect.stringMatching(
          /^HTPASSWD_FILE=".*\/auth\/htpasswd" lies in a folder that is not there/,
        ),
      ]);
      mkdirSync('auth');
      expect(readSettings({ PRESET: 'nginx-registry' })).toMatchObject({
        port: 80,
        authMode: 'accounts',
        htpasswdFile: resolve('auth/htpasswd'),
        rateLimit: 10,
        rateBurst: 20,
        maxConnections: 10,
      });
    } finally {
      process.chdir(cwd);
    }
  });

  it('changes nothing that is set, by whatever name', () => {
    const settings = readSettings({
      PRESET: 'dockerpush',
      PROXY_LISTEN_ADDR: '127.0.0.1:6000',
      SKIP_AUTH_PROXY: 'true',
    });

    expect(settings).toMatchObject({ port: 6000, host: '127.0.0.1', authMode: 'passthrough' });
    expect(readSettings({ PRESET: 'dockerpush' }, ['--server.port=1']).port).toBe(1);
  });

  it('only knows settings that there are', () => {
    for (const name of PRESET_NAMES)
      for (const setting of Object.keys(defaultsOf(name))) expect(SETTINGS).toHaveProperty(setting);
  });
});

describe('durations and rates', () => {
  it.each([
    ['300', 300_000],
    ['300s', 300_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
    ['500ms', 500],
    ['0', 0],
  ])('%s', (text, expected) => {
    expect(readSettings({ DRAIN_TIMEOUT: text }).drainTimeout).toBe(expected);
  });

  it('TOKEN_TTL is in whole seconds', () => {
    expect(readSettings({ TOKEN_TTL: '5m' }).tokenTtl).toBe(300);
    expect(faultsOf({ TOKEN_TTL: '60500ms' })).toEqual([
      'TOKEN_TTL="60500ms" is not right; give whole seconds',
    ]);
  });

  it('RATE_LIMIT may say per second', () => {
    expect(readSettings({ RATE_LIMIT: '10/s' }).rateLimit).toBe(10);
    expect(readSettings({ RATE_LIMIT: '10' }).rateLimit).toBe(10);
  });
});

describe('the cache', () => {
  it.each([
    ['80%', { share: 0.8 }],
    ['100%', { share: 1 }],
    ['200GB', { bytes: 200_000_000_000 }],
    ['50gib', { bytes: 50 * 1024 ** 3 }],
    ['1TiB', { bytes: 1024 ** 4 }],
    ['10kb', { bytes: 10_000 }],
    ['123456', { bytes: 123_456 }],
  ])('CACHE_MAX_SIZE=%s', (text, expected) => {
    expect(readSettings({ CACHE_MAX_SIZE: text }).cache?.maxSize).toEqual(expected);
  });

  it.each([
    ['0', { bytes: 0 }],
    ['0%', { share: 0 }],
    ['99%', { share: 0.99 }],
    ['20GB', { bytes: 20_000_000_000 }],
  ])('CACHE_MIN_FREE=%s', (text, expected) => {
    expect(readSettings({ CACHE_MIN_FREE: text }).cache?.minFree).toEqual(expected);
  });

  it.each(['10', '101%', '-1', '1e9', '0.5', '10 GB', '10G', '9999999999999999GB', '%', '5 %'])(
    'refuses CACHE_MAX_SIZE=%s',
    (text) => {
      expect(faultsOf({ CACHE_MAX_SIZE: text })).toEqual([
        expect.stringMatching(/is not right; give bytes such as .*or a share from 1% to 100%$/),
      ]);
    },
  );

  it('reads ages, and a time to live of none', () => {
    const { cache } = readSettings({ CACHE_MAX_AGE: '30d', CACHE_TAG_TTL: '0' });

    expect(cache).toMatchObject({ maxAge: 30 * 86_400_000, tagTtl: 0 });
    expect(readSettings({ CACHE_MAX_AGE: '12h' }).cache?.maxAge).toBe(12 * 3_600_000);
  });

  it('lies in DATA_DIR, or where it is said to', () => {
    expect(readSettings({ DATA_DIR: folder }).cache?.dir).toBe(join(folder, 'cache'));
    expect(readSettings({ CACHE_DIR: 'elsewhere' }).cache?.dir).toBe(resolve('elsewhere'));
    const beside = { DATA_DIR: join(folder, 'one'), CACHE_DIR: join(folder, 'on') };
    expect(readSettings(beside).cache?.dir).toBe(beside.CACHE_DIR);
  });

  it.each([
    ['DATA_DIR itself', './data'],
    ['a folder that DATA_DIR lies in', '.'],
  ])('may not lie in %s, since it may be wiped', (_what, dir) => {
    expect(faultsOf({ CACHE_DIR: dir })).toEqual([
      expect.stringMatching(/^CACHE_DIR=".*" holds DATA_DIR, .*; give the cache a folder of its/),
    ]);
  });

  it('may not be a file', () => {
    expect(faultsOf({ CACHE_DIR: __filename })).toEqual([
      expect.stringMatching(/^CACHE_DIR=".*" is not a folder; give a folder/),
    ]);
  });

  it('has the memory that is set, or little of what the gate may use', () => {
    const MIB = 1024 ** 2;
    expect(readSettings({ CACHE_MEMORY: '0' }).cache?.memory).toBe(0);
    expect(readSettings({ CACHE_MEMORY: '10MiB' }).cache?.memory).toBe(10 * MIB);
    expect(readSettings({}).cache?.memory).toBe(usualMemory());

    expect(usualMemory(availableMemory(0, 16 * 1024 * MIB))).toBe(64 * MIB);
    expect(usualMemory(availableMemory(256 * MIB, 16 * 1024 * MIB))).toBe(32 * MIB);
    expect(usualMemory(availableMemory(2 ** 63, 128 * MIB))).toBe(16 * MIB);
  });

  it('is off when it is said to be', () => {
    expect(readSettings({ CACHE: 'off' }).cache).toBeUndefined();
  });

  it.each([
    ['CACHE_DIR', '/var/cache/tidegate'],
    ['CACHE_MAX_SIZE', '80%'],
    ['CACHE_MIN_FREE', '1GB'],
    ['CACHE_MAX_AGE', '1d'],
    ['CACHE_TAG_TTL', '60s'],
    ['CACHE_MEMORY', '1MiB'],
  ])('that is off leaves %s without effect, even at its default', (name, text) => {
    expect(faultsOf({ CACHE: 'OFF', [name]: text })).toEqual([
      `${name} has no effect with CACHE=off; set CACHE=on, or remove it`,
    ]);
  });
});

describe('settings that belong together', () => {
  it('ANONYMOUS_REPOSITORIES needs ANONYMOUS_ACCESS', () => {
    const env = { ANONYMOUS_REPOSITORIES: 'docker.io/library/*, team/**' };

    expect(faultsOf(env)).toEqual([
      expect.stringContaining('has no effect without ANONYMOUS_ACCESS=pull or TRUSTED_NETWORKS'),
    ]);
    expect(
      readSettings({ ...env, TRUSTED_NETWORKS: 'loopback' }).anonymousRepositories,
    ).toHaveLength(2);
    expect(readSettings({ ...env, ANONYMOUS_ACCESS: 'pull' }).anonymousRepositories).toEqual([
      'docker.io/library/*',
      'team/**',
    ]);
  });

  it('HTPASSWD_FILE lies in DATA_DIR, or where it is said to', () => {
    expect(readSettings({ DATA_DIR: folder }).htpasswdFile).toBe(join(folder, 'htpasswd'));
    const elsewhere = join(folder, 'accounts');
    expect(readSettings({ HTPASSWD_FILE: elsewhere }).htpasswdFile).toBe(elsewhere);
  });

  it('HTPASSWD_FILE needs a folder that is there, unless that is DATA_DIR, which the gate makes', () => {
    const missing = join(folder, 'missing');
    const file = join(missing, 'htpasswd');

    expect(faultsOf({ HTPASSWD_FILE: file })).toEqual([
      expect.stringMatching(`^HTPASSWD_FILE="${file}" lies in a folder that is not there; make`),
    ]);
    expect(readSettings({ HTPASSWD_FILE: file, DATA_DIR: missing }).htpasswdFile).toBe(file);
  });

  it('ANONYMOUS_REPOSITORIES takes registries by IPv6 address, and no empty segment', () => {
    const read = (text: string) =>
      readSettings({ ANONYMOUS_ACCESS: 'pull', ANONYMOUS_REPOSITORIES: text });

    expect(read('[::1]:5000/team/**').anonymousRepositories).toEqual(['[::1]:5000/team/**']);
    for (const text of ['/team', 'team/', 'a//b', 'x'.repeat(513)]) {
      expect(() => read(text)).toThrow(/ANONYMOUS_REPOSITORIES=.*; give, separated by commas/);
    }
  });
});

describe('readSettings with anything', () => {
  const names = [
    ...Object.keys(SETTINGS),
    'PROXY_LISTEN_ADDR',
    'SELF_REGISTRY',
    'DEBUG',
    'http_proxy',
  ];
  const FILES = new Set([
    'TLS_CERT_FILE',
    'TLS_KEY_FILE',
    'DATA_DIR',
    'HTPASSWD_FILE',
    'CONFIG_FILE',
    'CACHE_DIR',
  ]);

  it('gives settings or faults of one line each, and never fails otherwise', () => {
    const texts = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.webUrl(),
      fc.ipV6(),
      fc.constantFrom('0', '1', '%', '::', 'http://', '[', 'a,b', '\0', '@'),
    );
    const environments = fc.dictionary(
      fc.constantFrom(...names.filter((name) => !FILES.has(name))),
      texts,
      { maxKeys: 6 },
    );
    fc.assert(
      fc.property(environments, (env) => {
        // Nothing that a terminal would obey, and nothing that is there and not seen.
        for (const fault of faultsOf(env)) expect(fault).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
      { numRuns: 300, examples: [[{ PRESET: '\x7f' }], [{ PRESET: '\u202egnp.exe\u{e0041}' }]] },
    );
  });
});

describe('loadEnvironment', () => {
  it('puts the environment over what .env says', () => {
    const cwd = mkdtempSync(join(folder, 'cwd-'));
    writeFileSync(join(cwd, '.env'), 'TIDEGATE_SPEC_A="from file"\nPATH=/from/file\n');

    const env = loadEnvironment(cwd);

    expect(env['TIDEGATE_SPEC_A']).toBe('from file');
    expect(env['PATH']).toBe(process.env['PATH']);
    expect(process.env['TIDEGATE_SPEC_A']).toBeUndefined();
  });

  it('needs no .env', () => {
    expect(loadEnvironment(mkdtempSync(join(folder, 'cwd-')))).toEqual({ ...process.env });
  });

  it('names a .env that cannot be read', () => {
    const cwd = mkdtempSync(join(folder, 'cwd-'));
    mkdirSync(join(cwd, '.env'));

    expect(() => loadEnvironment(cwd)).toThrow(`${join(cwd, '.env')} cannot be read (EISDIR)`);
  });
});

describe('describeSettings', () => {
  it('says the value of every setting, and of secrets only that they are set', () => {
    const described = describeSettings(
      readSettings({
        PORT: '5000',
        TOKEN_SECRET: `hunter2${LONG_SECRET}`,
        ACCOUNTS: base64('ci:hunter2'),
        ADMIN_PASSWORD: 'hunter2',
        UPSTREAM_USERNAME: 'robot',
        UPSTREAM_PASSWORD: 'hunter2',
        HTTPS_PROXY: 'http://robot:hunter2@proxy:3128',
        TOKEN_TTL: '600',
        CACHE_MAX_SIZE: '50gib',
        CACHE_MEMORY: '1000',
        CACHE_MAX_AGE: '720h',
      }),
    );

    expect(Object.keys(described).sort()).toEqual(Object.keys(SETTINGS).sort());
    expect(described).toMatchObject({
      PORT: '5000',
      TOKEN_SECRET: 'set (not shown)',
      TOKEN_SECRET_PREVIOUS: 'not set',
      ACCOUNTS: 'ci',
      UPSTREAM_REGISTRY: 'https://registry-1.docker.io',
      HTTPS_PROXY: 'http://***@proxy:3128',
      TOKEN_TTL: '10m',
      UPSTREAM_HEADER_TIMEOUT: '30s',
      DRAIN_DELAY: '0s',
      UPLOAD_TTL: '24h',
      UPSTREAM_REDIRECTS: 'follow',
      CACHE: 'on',
      CACHE_MAX_SIZE: '50GiB',
      CACHE_MIN_FREE: '5%',
      CACHE_MAX_AGE: '30d',
      CACHE_TAG_TTL: '1m',
      CACHE_MEMORY: '1KB',
    });
    expect(describeSettings(readSettings({ CACHE: 'off' }))).toMatchObject({
      CACHE: 'off',
      CACHE_DIR: 'not set',
      CACHE_MAX_SIZE: 'not set',
    });
    expect(JSON.stringify(described)).not.toContain('hunter2');
  });
});
