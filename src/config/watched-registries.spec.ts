import { mkdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { atTheEnd, eventually, freshFolder } from '../../test/support/lifecycle';
import { readSettings } from './read-settings';
import { SettingsError } from './settings-error';
import { WatchedRegistries } from './watched-registries';

const ONE = 'registries:\n  - name: one.example\n    url: https://one.example\n';
const TWO = `${ONE}  - name: two.example\n    url: https://two.example\n`;

/** Registries that follow a config file in a folder of its own. */
function watched(text?: string, env: NodeJS.ProcessEnv = {}) {
  const dataDir = freshFolder('watched-registries');
  const file = join(dataDir, 'tidegate.yaml');
  const lines: string[] = [];
  const log = {
    info: (message: string) => lines.push(message),
    error: (fields: object, message: string) => lines.push(`${message} ${JSON.stringify(fields)}`),
  };
  if (text !== undefined) writeFileSync(file, text);
  const watching = new WatchedRegistries(readSettings({ DATA_DIR: dataDir, ...env }), log);
  watching.watch();
  atTheEnd(() => watching.close());
  const knows = (name: string) => watching.registries.current.byName(name) !== undefined;
  return { watching, file, dataDir, lines, knows };
}

describe('WatchedRegistries', () => {
  it('takes over a changed file whole, and keeps the very objects of what did not change', async () => {
    const { watching, file, lines, knows } = watched(ONE);
    const before = watching.registries.current;

    writeFileSync(file, `${TWO}  - name: quay.io\n    redirects: pass\n`);
    await eventually('the second registry is there', () => knows('two.example'));

    const after = watching.registries.current;
    expect(after).not.toBe(before);
    expect(after.byName('one.example')).toBe(before.byName('one.example'));
    expect(after.default).toBe(before.default);
    expect(after.byName('quay.io')).not.toBe(before.byName('quay.io'));
    expect(after.byName('quay.io')).toMatchObject({ redirects: 'pass' });
    expect(before.byName('two.example')).toBeUndefined();
    expect(lines).toEqual([`${file} was read again: 11 registries`]);
  });

  it('forgets what is taken out', async () => {
    const { file, knows } = watched(TWO);

    writeFileSync(file, ONE);

    await eventually('the second registry is gone', () => !knows('two.example'));
    expect(knows('one.example')).toBe(true);
  });

  it('takes over a file that was not there, and misses it when it goes', async () => {
    const { watching, file, knows } = watched();

    writeFileSync(file, ONE);
    await eventually('the registry is there', () => knows('one.example'));
    rmSync(file);
    await eventually('the file is missed', () => watching.fault);

    expect(watching.fault).toBe(
      `CONFIG_FILE="${file}" is not there; give a YAML file that the gate may read, which may be empty`,
    );
    expect(knows('one.example')).toBe(true);
    writeFileSync(file, '# nothing\n');
    await eventually('an empty one is right', () => watching.fault === undefined);
    expect(knows('one.example')).toBe(false);
  });

  it('leaves the last good table in force while the file is broken, and says why, once', async () => {
    const { watching, file, lines, knows } = watched(ONE);
    const before = watching.registries.current;

    writeFileSync(file, `${TWO}    password: hunter2\n    tag_ttl: soon\n`);
    await eventually('the fault is known', () => watching.fault);

    expect(watching.registries.current).toBe(before);
    expect(watching.fault).toMatch(
      /^tidegate\.yaml:7: registries\[1\]\.tag_ttl="soon" is not right; .*; tidegate\.yaml:6: registries\[1\]\.password is not known; /,
    );
    expect(watching.fault).not.toContain('hunter2');

    writeFileSync(file, TWO);
    await eventually('it is right again', () => watching.fault === undefined);
    expect(knows('two.example')).toBe(true);
    expect(lines).toEqual([
      expect.stringMatching(/^the config file is broken: the last good table .*tidegate\.yaml:7:/),
      `${file} was read again: 11 registries`,
    ]);
  });

  it('tells what cannot be read apart from what is broken, and from a file that was never there', async () => {
    const { watching, file, lines } = watched();

    mkdirSync(file);
    await eventually('it cannot be read', () => watching.fault);
    rmdirSync(file);
    await eventually('it is not there again', () => watching.fault === undefined);

    expect(lines).toEqual([
      expect.stringMatching(
        /^the config file or a file that it names cannot be read: .*not a file/,
      ),
      `${file} is not there, as before: 9 registries`,
    ]);
  });

  it('takes nothing over while the file is still being written', async () => {
    const { file, knows } = watched(ONE);
    let writes = 0;

    // Each of these is a whole YAML file, with less in it than is meant.
    await eventually('it was written often enough for several looks', () => {
      writeFileSync(file, `registries:\n# ${(writes += 1)}\n`);
      expect(knows('one.example')).toBe(true);
      return writes > 40;
    });
    writeFileSync(file, TWO);

    await eventually('what was meant is there', () => knows('two.example'));
  });

  it('reads a password again when its file changes', async () => {
    const dataDir = freshFolder('watched-password');
    const secret = join(dataDir, 'secret');
    writeFileSync(secret, 'first\n');
    const config = `registries: [{name: ghcr.io, credentials: [{username: u, password_file: ${secret}}]}]\n`;
    const { watching } = watched(config);
    const password = () => watching.registries.current.byName('ghcr.io')?.credentials[0]?.password;
    const untouched = watching.registries.current.byName('quay.io');
    expect(password()).toBe('first');

    writeFileSync(secret, 'second\n');
    await eventually('the new password is there', () => password() === 'second');

    expect(watching.registries.current.byName('quay.io')).toBe(untouched);
    rmSync(secret);
    await eventually('it is missed', () => watching.fault?.includes('password_file'));
    expect(password()).toBe('second');
  });

  it('is not opened with a file that is broken', () => {
    expect(() => watched('registries: [{name: one.example}]')).toThrow(SettingsError);
  });

  it('names a config file that cannot be read', () => {
    const dataDir = freshFolder('watched-folder');
    mkdirSync(join(dataDir, 'tidegate.yaml'));
    const settings = readSettings({ DATA_DIR: dataDir });
    const log = { info: () => undefined, error: () => undefined };

    expect(() => new WatchedRegistries(settings, log)).toThrow(
      /CONFIG_FILE=".*\/tidegate\.yaml" is not a file/,
    );
  });
});
