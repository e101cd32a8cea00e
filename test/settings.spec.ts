import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { readSettings } from '../src/config/read-settings';
import { SETTINGS } from '../src/config/setting-table';
import { SettingsError } from '../src/config/settings-error';
import { configurationDocument, environmentExample } from './settings-documents';
import { freshFolder } from './support/lifecycle';
import { onDisk } from './support/on-disk';
import { describeWith } from './support/tools';

describe('the documents of the settings', () => {
  it('docs/configuration.md says what the table says', () => {
    const made = configurationDocument();

    expect(onDisk('docs/configuration.md', made)).toBe(made);
  });

  it('.env.example lists every setting', () => {
    const made = environmentExample();

    expect(onDisk('.env.example', made)).toBe(made);
    for (const name of Object.keys(SETTINGS)) expect(made).toContain(`\n#${name}=`);
  });

  it('.env.example sets nothing as it stands', () => {
    expect(parseEnv(environmentExample())).toEqual({});
  });

  it('.env.example shows the defaults that are in force', () => {
    const uncommented = parseEnv(environmentExample().replaceAll(/^#(?=[A-Z_]+=)/gm, ''));
    const defaults = Object.entries(uncommented).filter(
      ([name]) => !('without' in (SETTINGS as Record<string, object>)[name]!),
    );

    const settings = readSettings(Object.fromEntries(defaults));

    expect(defaults.length).toBeGreaterThan(15);
    expect(settings).toEqual(readSettings({}));
  });

  it('.env.example shows examples that would be taken', () => {
    const uncommented = parseEnv(environmentExample().replaceAll(/^#(?=[A-Z_]+=)/gm, ''));
    const examples = { ...uncommented, ANONYMOUS_ACCESS: 'pull', UPSTREAM_PASSWORD: 'secret' };

    const settings = readSettings({
      ...examples,
      // Files that are not here.
      HTPASSWD_FILE: '',
      CONFIG_FILE: '',
      TLS_CERT_FILE: '',
      TLS_KEY_FILE: '',
    });

    expect(settings.publicUrl).toBe('https://gate.example.com');
  });
});

/** A self-signed certificate and its key, in files. */
function makeCertificate(): { cert: string; key: string } {
  const folder = freshFolder('certificate');
  const [cert, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const out = ['-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=gate'];
  execFileSync('openssl', ['req', '-x509', ...kind, ...out], { stdio: 'ignore' });
  return { cert, key };
}

function faultsOf(env: NodeJS.ProcessEnv): readonly string[] {
  try {
    readSettings(env);
  } catch (error) {
    if (error instanceof SettingsError) return error.faults;
    throw error;
  }
  return [];
}

describeWith(['openssl'], 'certificate and key', () => {
  it('are taken when they belong together', () => {
    const { cert, key } = makeCertificate();

    const { tls } = readSettings({ TLS_CERT_FILE: cert, TLS_KEY_FILE: key });

    expect(tls).toEqual({ certFile: cert, keyFile: key });
  });

  it('are refused when the key is of another certificate', () => {
    const [one, other] = [makeCertificate(), makeCertificate()];

    expect(faultsOf({ TLS_CERT_FILE: one.cert, TLS_KEY_FILE: other.key })).toEqual([
      expect.stringMatching(/^TLS_KEY_FILE=.* does not belong to the certificate/),
    ]);
  });

  it('are refused when one holds what the other should', () => {
    const { cert, key } = makeCertificate();

    expect(faultsOf({ TLS_CERT_FILE: key, TLS_KEY_FILE: cert })).toEqual([
      expect.stringMatching(/^TLS_CERT_FILE=.* holds no certificate/),
      expect.stringMatching(/^TLS_KEY_FILE=.* holds no private key/),
    ]);
  });

  it('are refused when the key has a passphrase', () => {
    const { cert, key } = makeCertificate();
    const locked = `${key}.locked`;
    const cipher = ['-aes256', '-passout', 'pass:hunter2'];
    execFileSync('openssl', ['ec', '-in', key, '-out', locked, ...cipher], { stdio: 'ignore' });

    expect(faultsOf({ TLS_CERT_FILE: cert, TLS_KEY_FILE: locked })).toEqual([
      expect.stringContaining('without a passphrase'),
    ]);
  });

  it('are refused one without the other, or empty', () => {
    const { cert, key } = makeCertificate();
    const empty = `${key}.empty`;
    writeFileSync(empty, '');

    expect(faultsOf({ TLS_CERT_FILE: cert })).toEqual([
      'TLS_CERT_FILE is set without TLS_KEY_FILE; set both, or remove it',
    ]);
    expect(faultsOf({ TLS_CERT_FILE: empty, TLS_KEY_FILE: key })).toEqual([
      expect.stringMatching(/^TLS_CERT_FILE=.* holds no certificate/),
    ]);
  });
});
