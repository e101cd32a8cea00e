import { execFile } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openSecrets } from './open-secrets';
import { Secrets } from './secrets';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'tidegate-secrets-'));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const file = (): string => join(dataDir, 'token-secret');

function warningsOf(): { warn(message: string): void; messages: string[] } {
  const messages: string[] = [];
  return { messages, warn: (message) => messages.push(message) };
}

describe('openSecrets', () => {
  it('makes a secret once, for the gate alone, and leaves no draft (S30)', () => {
    const made = openSecrets({ dataDir });

    const again = openSecrets({ dataDir });

    expect(again.current.id).toBe(made.current.id);
    expect(readFileSync(file(), 'utf8')).toMatch(/^[A-Za-z0-9_-]{43}\n$/);
    expect(statSync(file()).mode & 0o777).toBe(0o600);
    expect(readdirSync(dataDir)).toEqual(['token-secret']);
  });

  it('makes another secret in another folder', () => {
    const other = join(dataDir, 'other');
    mkdirSync(other);

    expect(openSecrets({ dataDir: other }).current.id).not.toBe(
      openSecrets({ dataDir }).current.id,
    );
  });

  it('makes 0600 whatever the umask is', () => {
    const before = process.umask(0);
    try {
      openSecrets({ dataDir });
    } finally {
      process.umask(before);
    }

    expect(statSync(file()).mode & 0o777).toBe(0o600);
  });

  it('takes the text of the file as TOKEN_SECRET would be taken', () => {
    const kept = openSecrets({ dataDir });

    const given = openSecrets({ dataDir, tokenSecret: readFileSync(file(), 'utf8').trim() });

    expect(given.current.id).toBe(kept.current.id);
  });

  it('makes no file where TOKEN_SECRET is given', () => {
    const tokenSecret = 'x'.repeat(32);

    const secrets = openSecrets({ dataDir, tokenSecret, tokenSecretPrevious: 'y'.repeat(32) });

    expect(secrets.current.id).toBe(new Secrets(tokenSecret).current.id);
    expect(secrets.keys[1]?.id).toBe(new Secrets('y'.repeat(32)).current.id);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  it.each(['', '\n', 'x'.repeat(31)])(
    'refuses a file that holds %j, and leaves it as it is',
    (text) => {
      writeFileSync(file(), text, { mode: 0o600 });

      expect(() => openSecrets({ dataDir })).toThrow(`${file()} holds fewer than 32 bytes`);
      expect(readFileSync(file(), 'utf8')).toBe(text);
    },
  );

  it('warns of a file that others can read, with what to type', () => {
    openSecrets({ dataDir });
    chmodSync(file(), 0o644);
    const log = warningsOf();

    openSecrets({ dataDir }, log);

    expect(log.messages).toEqual([expect.stringContaining(`chmod 600 ${file()}`)]);
  });

  it('says nothing of a file that is as it should be', () => {
    const log = warningsOf();

    openSecrets({ dataDir }, log);
    openSecrets({ dataDir }, log);

    expect(log.messages).toEqual([]);
  });

  it('names file and remedy when the file cannot be read or made', () => {
    expect(() => openSecrets({ dataDir: join(dataDir, 'missing') })).toThrow(
      /token-secret cannot be made \(ENOENT\); make .* writable for the gate, or set TOKEN_SECRET/,
    );
    mkdirSync(file());
    expect(() => openSecrets({ dataDir })).toThrow(/token-secret cannot be read \(EISDIR\)/);
  });

  it('makes one secret when several start at once', async () => {
    const folders = Array.from({ length: 20 }, (_, index) => join(dataDir, `${index}`));
    folders.forEach((folder) => mkdirSync(folder));

    const ids = await Promise.all(Array.from({ length: 4 }, () => openedAtOnce(folders)));

    expect(ids[0]).toHaveLength(folders.length);
    expect(new Set(ids.map((list) => list.join())).size).toBe(1);
    for (const folder of folders) expect(readdirSync(folder)).toEqual(['token-secret']);
  });
});

/** The key ids that a process of its own gets in these folders, where others do the same at the same moments. */
async function openedAtOnce(folders: readonly string[]): Promise<string[]> {
  const script = `
    const { transformFileSync } = require('@swc/core');
    const options = { jsc: { parser: { syntax: 'typescript' }, target: 'es2024' }, module: { type: 'commonjs' } };
    require.extensions['.ts'] = (module, file) => module._compile(transformFileSync(file, options).code, file);
    const { openSecrets } = require('./open-secrets.ts');
    const start = ${Date.now() + 1500};
    const ids = process.argv.slice(1).map((dataDir, index) => {
      while (Date.now() < start + index * 10);
      return openSecrets({ dataDir }).current.id;
    });
    console.log(JSON.stringify(ids));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script, ...folders], {
    cwd: __dirname,
  });
  return JSON.parse(stdout) as string[];
}
