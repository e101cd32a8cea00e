import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { SETTINGS } from '../../src/config/setting-table';
import { runGate } from '../support/gate';
import { freshFolder } from '../support/lifecycle';

/** What is wrong with each, and the settings that come with it. */
const WRONG: [name: string, value: string, also?: Record<string, string>][] = [
  ['HOST', 'not a host'],
  ['PORT', '70000'],
  ['PROXY_LISTEN_ADDR', '127.0.0.1', { HOST: '', PORT: '' }],
  ['PUBLIC_URL', 'gate.example.com/path'],
  ['TRUST_PROXY', 'everybody'],
  ['TLS_CERT_FILE', '/nonexistent/cert.pem', { TLS_KEY_FILE: '/nonexistent/key.pem' }],
  ['TLS_KEY_FILE', '/nonexistent/key.pem'],
  ['HTPASSWD_FILE', '/nonexistent/htpasswd'],
  ['AUTH_MODE', 'relay', { SKIP_AUTH_PROXY: 'true' }],
  ['AUTH_MODE', 'nonsense'],
  ['ANONYMOUS_ACCESS', 'push'],
  ['ANONYMOUS_REPOSITORIES', 'UPPER/Case', { ANONYMOUS_ACCESS: 'pull' }],
  ['ANONYMOUS_REPOSITORIES', 'team/**'],
  ['ADMIN_USERNAME', 'a:b'],
  ['ADMIN_PASSWORD', 'p'.repeat(73)],
  ['ACCOUNTS', 'bm8tY29sb24='],
  ['TOKEN_SECRET', 'not-32-bytes'],
  ['TOKEN_SECRET_PREVIOUS', 'not-32-bytes'],
  ['TOKEN_SECRET_FILE', '/nonexistent/secret'],
  ['TOKEN_SERVICE', 'with "quotes"'],
  ['TOKEN_TTL', '59s'],
  ['UPSTREAM_REGISTRY', 'ftp://registry.example'],
  ['UPSTREAM_REGISTRY', 'https://registry.example/path'],
  ['UPSTREAM_USERNAME', 'robot'],
  ['UPSTREAM_PASSWORD', 'without a name'],
  ['UPSTREAM_REDIRECTS', 'sometimes'],
  ['UPSTREAM_CONNECT_TIMEOUT', 'soon'],
  ['UPSTREAM_HEADER_TIMEOUT', '-1'],
  ['UPSTREAM_IDLE_TIMEOUT', '0'],
  ['HTTP_PROXY', 'socks5://127.0.0.1:1080'],
  ['HTTPS_PROXY', 'nonsense'],
  ['RATE_LIMIT', '0'],
  ['RATE_BURST', 'many'],
  ['MAX_CONNECTIONS', '1.5'],
  ['MAX_UPLOADS', '-3'],
  ['UPLOAD_TTL', '8d'],
  ['LOG_LEVEL', 'loud'],
  ['DEBUG', 'perhaps'],
  ['DRAIN_TIMEOUT', 'never'],
  ['DRAIN_DELAY', '2h'],
  ['CACHE', 'perhaps'],
  ['CACHE_DIR', '/dev/null'],
  ['CACHE_DIR', '/var/cache/tidegate', { CACHE: 'off' }],
  ['CACHE_DIR', '/'],
  ['CACHE_MAX_SIZE', '0%'],
  ['CACHE_MAX_SIZE', '10'],
  ['CACHE_MIN_FREE', '100%'],
  ['CACHE_MAX_AGE', 'never'],
  ['CACHE_TAG_TTL', '-1'],
  ['CACHE_TAG_TTL', '60s', { CACHE: 'off' }],
  ['CACHE_MEMORY', 'all of it'],
  ['CONFIG_FILE', '/nonexistent/tidegate.yaml'],
  ['CUSTOM_DOMAIN', '127.0.0.1'],
  ['TARGET_UPSTREAM', 'https://registry.example/path'],
  ['UPSTREAM_LIBRARY', 'perhaps'],
  ['TRUSTED_NETWORKS', '0.0.0.0/0'],
  ['TRUSTED_NETWORKS', '10.0.0.0/8', { AUTH_MODE: 'open' }],
  ['ANONYMOUS_ACCESS', 'none', { AUTH_MODE: 'open' }],
  ['ACCOUNTS', 'Y2k6c2VjcmV0', { AUTH_MODE: 'passthrough' }],
  ['PRESET', 'registry'],
  ['SKIP_AUTH_PROXY', 'perhaps'],
  ['REGISTRY_DOMAIN', 'gate.example.com/path'],
];

const SECRET = [
  'ADMIN_PASSWORD',
  'ACCOUNTS',
  'TOKEN_SECRET',
  'TOKEN_SECRET_PREVIOUS',
  'UPSTREAM_PASSWORD',
];

describe('a setting that is wrong', () => {
  it.each(WRONG)(
    '%s=%s ends the start with 1, is named, and leaves nothing behind',
    async (name, value, also: Record<string, string> = {}) => {
      const dataDir = join(freshFolder('settings'), 'data');

      const { code, stdout, stderr } = await runGate({ DATA_DIR: dataDir, ...also, [name]: value });

      expect(code).toBe(1);
      expect(stderr).toContain(name.replace(/_FILE$/, ''));
      expect(stderr).not.toMatch(/\n\s+at /);
      expect(stdout).toBe('');
      if (SECRET.includes(name)) expect(stderr).not.toContain(value);
      expect(stderr).not.toContain('listens on');
      expect(existsSync(dataDir) ? readdirSync(dataDir) : []).toEqual([]);
    },
  );

  it('is tried here of every setting that there is', () => {
    const tried = new Set(WRONG.map(([name]) => name));
    // A data folder that is wrong has a spec of its own, and no list of exceptions is wrong.
    const elsewhere = ['DATA_DIR', 'NO_PROXY'];

    expect(
      Object.keys(SETTINGS)
        .filter((name) => !tried.has(name))
        .sort(),
    ).toEqual(elsewhere);
  });

  it.each([
    'ADMIN_PASSWORD',
    'TOKEN_SECRET',
    'TOKEN_SECRET_PREVIOUS',
    'ACCOUNTS',
    'UPSTREAM_PASSWORD',
  ])('%s in a file that is not there ends the start too, and says which file', async (name) => {
    const file = '/nonexistent/secret';

    const { code, stderr } = await runGate({ [`${name}_FILE`]: file });

    expect(code).toBe(1);
    expect(stderr).toContain(`${name}_FILE`);
    expect(stderr).toContain(file);
  });

  it('is shown without what a terminal would obey or hide, and so is a path', async () => {
    const file = '/dev/null/\u001b[2J\u202e\u2028\u009b';

    for (const name of ['DATA_DIR', 'TOKEN_SECRET_FILE', 'CONFIG_FILE']) {
      const { code, stderr } = await runGate({ [name]: file });

      expect([name, code]).toEqual([name, 1]);
      expect(stderr).toContain(String.raw`\u202e`);
      expect(stderr.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }
  });

  it('is told together with all the others', async () => {
    const wrong = { PORT: 'x', TOKEN_TTL: '1', LOG_LEVEL: 'loud', UPSTREAM_REGISTRY: 'ftp://x' };

    const { code, stderr } = await runGate(wrong);

    expect(code).toBe(1);
    for (const name of Object.keys(wrong)) expect(stderr).toContain(name);
  });
});
