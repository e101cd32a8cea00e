import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { htpasswd } from '../support/clients';
import { runGate, startGate } from '../support/gate';
import { unique } from '../support/http';
import { freshFolder } from '../support/lifecycle';
import { logsIn } from '../support/stand';
import { describeWith, isRoot } from '../support/tools';

const UPSTREAM = { UPSTREAM_REGISTRY: 'http://127.0.0.1:9' };

/** Root passes over modes; without its capabilities it does not. */
const WITHOUT_POWERS = isRoot() ? ['setpriv', '--bounding-set=-all', '--inh-caps=-all'] : [];

describe('a data folder', () => {
  it('that may not be written is named, with who runs and what to type', async () => {
    const folder = freshFolder('read-only');
    chmodSync(folder, 0o500);

    const { code, stderr } = await runGate({ ...UPSTREAM, DATA_DIR: folder }, WITHOUT_POWERS);

    expect(code).toBe(1);
    expect(stderr).toContain(`DATA_DIR=${folder} is not writable`);
    expect(stderr).toMatch(/uid \d+/);
    expect(stderr).toContain('chown');
  });

  it('that is a file is named as one', async () => {
    const file = join(freshFolder('file'), 'data');
    writeFileSync(file, '');

    const { code, stderr } = await runGate({ ...UPSTREAM, DATA_DIR: file });

    expect(code).toBe(1);
    expect(stderr).toMatch(/DATA_DIR=.* is not a folder/);
    expect(stderr).toContain(file);
  });

  it.each(['DATA_DIR', 'CACHE_DIR'])(
    'that no folder can be made in is named at once, as %s',
    async (name) => {
      const env = { ...UPSTREAM, DATA_DIR: freshFolder('data'), [name]: '/proc/none/of/these' };

      const { code, stderr } = await runGate(env);

      expect(code).toBe(1);
      expect(stderr).toContain(`${name}=/proc/none/of/these is not writable (ENOENT)`);
      expect(stderr).toContain('no folder can be made there');
    },
  );
});

describeWith(['htpasswd', 'unshare'], 'an htpasswd file that cannot be replaced', () => {
  it.each([
    ['mounted as a single file', 'mount --bind "$0" "$0"'],
    ['mounted read-only', 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0"'],
  ])('%s: logins go on, changes are refused with file and remedy', async (_, mount) => {
    const account = { username: unique('file-'), password: unique('pass-') };
    const first = await startGate(UPSTREAM);
    await first.stop();
    const file = join(freshFolder('mounted'), 'htpasswd');
    copyFileSync(join(first.dataDir, 'htpasswd'), file);
    await htpasswd(file, account.username, account.password);
    const env = { ...UPSTREAM, DATA_DIR: first.dataDir, HTPASSWD_FILE: file };
    const script = `${mount} && exec "$@"`;

    const gate = await startGate(env, ['unshare', '--mount', 'sh', '-c', script, file]);
    const added = await gate.rest('POST', '/users', { username: 'new', password: 'password' });
    const removed = await gate.rest('DELETE', `/users/${account.username}`);

    expect(await logsIn(gate, account)).toBe(true);
    expect([added.status, removed.status]).toEqual([409, 409]);
    expect(added.text).toContain(file);
    expect(await logsIn(gate, { username: 'new', password: 'password' })).toBe(false);
    expect(await logsIn(gate, account)).toBe(true);
  });
});
