import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { hashSync } from 'bcrypt';
import { ACTOR, AccountsFolder } from '../../../test/support/accounts';
import { atTheEnd, eventually, freshFolder } from '../../../test/support/lifecycle';
import { itUnless } from '../../../test/support/means';
import { describeWith, isRoot } from '../../../test/support/tools';

const PASSWORD = 'correct horse';
/** In force within this, by whatever way a file is edited; milliseconds. */
const SOON = 2_000;
const line = (username: string, password = PASSWORD) => `${username}:${hashSync(password, 4)}\n`;

describeWith(['htpasswd'], 'edits by htpasswd', () => {
  it('are in force within two seconds, and audited', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await folder.edit('-Bbc', 'ci', PASSWORD);
    await eventually('ci is there', () => accounts.verify('ci', PASSWORD, 'a'), SOON);
    await folder.edit('-Bb', 'ci', 'another');
    await eventually('the new password', () => accounts.verify('ci', 'another', 'a'), SOON);
    await folder.edit('-D', 'ci');
    await eventually('ci is gone, and with it the last account', () => !accounts.find('ci'), SOON);

    expect(accounts.fault).toBeUndefined();
    expect(folder.log.map(({ audit, target, actor }) => [audit, target, actor])).toEqual([
      ['account.created', 'ci', 'htpasswd'],
      ['account.changed', 'ci', 'htpasswd'],
      ['account.removed', 'ci', 'htpasswd'],
    ]);
  });

  it('keep role and rights when they change a password while the gate runs', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'ann', password: PASSWORD, role: 'admin' }, ACTOR);
    await folder.edit('-Bb', 'ann', 'another');
    await eventually('the new password', () => accounts.verify('ann', 'another', 'a'), SOON);

    expect(accounts.find('ann')?.role).toBe('admin');
    await accounts.close();
    expect((await folder.open()).find('ann')?.role).toBe('admin');
  });

  it('suspend an account that they remove, and give it nothing when it comes back with another password', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'ann', password: PASSWORD, role: 'admin' }, ACTOR);
    const before = readFileSync(folder.htpasswd, 'utf8');
    await folder.edit('-D', 'ann');
    await eventually('ann is suspended', () => !accounts.find('ann'), SOON);

    writeFileSync(folder.htpasswd, before);
    await eventually('ann is revived', () => accounts.find('ann')?.role === 'admin', SOON);
    await folder.edit('-D', 'ann');
    await eventually('ann is suspended', () => !accounts.find('ann'), SOON);
    await folder.edit('-Bb', 'ann', 'another');
    const back = await eventually('another ann', () => accounts.find('ann'), SOON);

    expect(back).toMatchObject({ role: 'user', epoch: 1 });
    expect(folder.audited('account.suspended')).toHaveLength(2);
    expect(folder.audited('account.revived')).toHaveLength(1);
  });

  it('give the lesser of both when they happen while the gate does not run, with a warning', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'ann', password: PASSWORD, role: 'admin' }, ACTOR);
    await accounts.close();
    await folder.edit('-Bb', 'ann', 'another');

    const cli = await folder.open({ watch: false });
    expect(cli.find('ann')?.role).toBe('user');
    // The command line leaves it to the gate to judge: it may be watching.
    await cli.add({ username: 'ci', password: PASSWORD }, ACTOR);
    expect(readFileSync(folder.metadata, 'utf8')).toContain('admin');
    const restarted = await folder.open();
    expect(restarted.find('ann')?.role).toBe('user');
    expect(folder.log.at(-1)?.msg).toContain('user role ann admin');
    await eventually(
      'it is written down',
      () => !readFileSync(folder.metadata, 'utf8').includes('admin'),
    );
  });

  it('sixty of them beside running logins, and no login fails', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'ann', password: PASSWORD }, ACTOR);
    let editing = true;
    const logins = (async () => {
      let count = 0;
      for (; editing; count++) {
        if (!(await accounts.verify('ann', PASSWORD, 'a')))
          throw new Error(`login ${count} failed`);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      return count;
    })();
    for (let index = 0; index < 60; index++)
      await folder.edit('-Bb', `user${index % 20}`, `p${index}`);
    await eventually('the last one', () => accounts.verify('user19', 'p59', 'b'), SOON);
    editing = false;

    expect(await logins).toBeGreaterThan(100);
    expect(accounts.list()).toHaveLength(21);
    expect(folder.log.filter(({ level }) => level > 30)).toEqual([]);
  });

  it('between two changes over REST lose nothing', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'one', password: PASSWORD }, ACTOR);
    await folder.edit('-Bb', 'two', PASSWORD);
    await accounts.add({ username: 'three', password: PASSWORD }, ACTOR);

    expect(accounts.list().map(({ username }) => username)).toEqual(['one', 'three', 'two']);
  });
});

describe('a htpasswd file that others write', () => {
  it('counts without a last newline, and when it is replaced by a rename', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    writeFileSync(folder.htpasswd, line('ci').trimEnd());
    await eventually('ci is there', () => accounts.find('ci'), SOON);

    writeFileSync(`${folder.htpasswd}.new`, line('other'));
    renameSync(`${folder.htpasswd}.new`, folder.htpasswd);
    await eventually('other is there', () => accounts.find('other') && !accounts.find('ci'), SOON);
    expect(accounts.fault).toBeUndefined();
  });

  it('stays as it was when it breaks or vanishes: a fault says so until it is mended', async () => {
    const folder = new AccountsFolder();
    writeFileSync(folder.htpasswd, line('ci'));
    const accounts = await folder.open();

    writeFileSync(folder.htpasswd, `${line('ci')}other:hunter2\n`);
    await eventually('a fault', () => accounts.fault?.includes('line 2'), SOON);
    expect(accounts.fault).toContain(folder.htpasswd);
    expect(accounts.find('ci')).toBeDefined();
    const refused = accounts.add({ username: 'new', password: PASSWORD }, ACTOR);
    await expect(refused).rejects.toMatchObject({ code: 'CONFLICT' });
    await accounts.change('ci', { disabled: true }, ACTOR);
    expect(accounts.find('ci')).toBeUndefined();
    await accounts.change('ci', { disabled: false }, ACTOR);

    rmSync(folder.htpasswd);
    await eventually('another fault', () => accounts.fault?.includes('is gone'), SOON);
    expect(accounts.find('ci')).toBeDefined();
    writeFileSync(folder.htpasswd, line('ci') + line('other'));
    await eventually('it is mended', () => accounts.find('other'), SOON);
    expect(accounts.fault).toBeUndefined();
    expect(JSON.stringify(folder.log)).not.toContain('hunter2');
    expect(folder.log.filter(({ level }) => level === 50)).toHaveLength(2);
  });

  it('accounts.json too stays as it was when it breaks', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'ann', password: PASSWORD, role: 'admin' }, ACTOR);
    const good = readFileSync(folder.metadata, 'utf8');

    writeFileSync(folder.metadata, '{"version": 2}\n');
    await eventually('a fault', () => accounts.fault?.includes(folder.metadata), SOON);
    expect(accounts.find('ann')?.role).toBe('admin');
    const refused = accounts.change('ann', { password: 'another' }, ACTOR);
    await expect(refused).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(readFileSync(folder.metadata, 'utf8')).toBe('{"version": 2}\n');

    writeFileSync(folder.metadata, good);
    await eventually('it is mended', () => !accounts.fault, SOON);
  });

  it('keeps comments, order, mode and owner when the gate writes it', async () => {
    const folder = new AccountsFolder();
    writeFileSync(folder.htpasswd, `# people\n${line('zoe')}\n# machines\n${line('ci')}`);
    chmodSync(folder.htpasswd, 0o640);
    const accounts = await folder.open();

    await accounts.add({ username: 'ann', password: PASSWORD }, ACTOR);
    await accounts.remove('ci', ACTOR);

    const text = readFileSync(folder.htpasswd, 'utf8');
    expect(text.replaceAll(/:.*/g, '')).toBe('# people\nzoe\n\n# machines\nann\n');
    expect(statSync(folder.htpasswd).mode & 0o777).toBe(0o640);
    expect(readdirSync(folder.dataDir).sort()).toEqual([
      'accounts.json',
      'accounts.lock',
      'htpasswd',
    ]);
  });
});

describe('a htpasswd file that cannot be replaced', () => {
  /** What must hold of every such file: settings of an account change, names and passwords do not. */
  async function expectReadOnly(folder: AccountsFolder): Promise<void> {
    const accounts = await folder.open();
    const text = readFileSync(folder.htpasswd, 'utf8');
    const refusal = {
      code: 'CONFLICT',
      message: expect.stringMatching(`read-only: ${folder.htpasswd} .*HTPASSWD_FILE`) as string,
    };

    expect(await accounts.ensureAdmin()).toBeUndefined();
    expect(folder.log.at(-1)?.msg).toContain(folder.htpasswd);
    expect(folder.log.at(-1)?.msg).toContain('node dist/cli.js user role ci admin');
    const add = accounts.add({ username: 'new', password: PASSWORD }, ACTOR);
    await expect(add).rejects.toMatchObject(refusal);
    const change = accounts.change('ci', { password: 'another' }, ACTOR);
    await expect(change).rejects.toMatchObject(refusal);
    await expect(accounts.remove('ci', ACTOR)).rejects.toMatchObject(refusal);
    await accounts.change('ci', { role: 'admin' }, ACTOR);
    await accounts.endSessions('ci', ACTOR);

    expect(accounts.find('ci')).toMatchObject({ role: 'admin', epoch: 1 });
    expect(await accounts.ensureAdmin()).toEqual({ username: 'ci' });
    expect(await accounts.verify('ci', PASSWORD, 'a')).toBeDefined();
    expect(accounts.get('new')).toBeUndefined();
    expect(accounts.fault).toBeUndefined();
    expect(readFileSync(folder.htpasswd, 'utf8')).toBe(text);
    const names = readdirSync(folder.dataDir).filter((name) => name !== 'htpasswd');
    expect(names.sort()).toEqual(['accounts.json', 'accounts.lock']);
    expect(readFileSync(folder.metadata, 'utf8')).not.toContain('new');
  }

  it('and that holds nobody: the log says what has to come first', async () => {
    const folder = new AccountsFolder();
    writeFileSync(folder.htpasswd, '', { mode: 0o444 });

    expect(await (await folder.open()).ensureAdmin()).toBeUndefined();
    expect(folder.log.at(-1)?.msg).toMatch(/Add an account to the file .* user role NAME admin$/);
  });

  it('for nobody may write it', async () => {
    const folder = new AccountsFolder();
    writeFileSync(folder.htpasswd, line('ci'), { mode: 0o444 });

    await expectReadOnly(folder);
  });

  /** Why a file cannot be mounted over another here, or undefined. */
  const mountFault = ((): string | undefined => {
    if (!isRoot()) return 'needs root';
    const folder = freshFolder('mount');
    const path = join(folder, 'file');
    writeFileSync(path, '');
    try {
      execFileSync('mount', ['--bind', path, path], { stdio: 'pipe' });
      execFileSync('umount', [path], { stdio: 'pipe' });
      return undefined;
    } catch {
      return 'mount --bind is not permitted here';
    }
  })();

  describe.each(['writable', 'read-only'])('for it is mounted by itself (as root), %s', (kind) => {
    itUnless(mountFault, 'and so it stays', async () => {
      const source = join(freshFolder('source'), 'htpasswd');
      writeFileSync(source, line('ci'));
      const folder = new AccountsFolder();
      writeFileSync(folder.htpasswd, '');
      execFileSync('mount', ['--bind', source, folder.htpasswd]);
      atTheEnd(() => execFileSync('umount', [folder.htpasswd]));
      if (kind === 'read-only') {
        execFileSync('mount', ['-o', 'remount,bind,ro', folder.htpasswd]);
      }

      await expectReadOnly(folder);
    });
  });

  itUnless(
    mountFault,
    'on a full disk (as root, on a tmpfs): 503, the old file stands, and it recovers by itself',
    async () => {
      const folder = new AccountsFolder();
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder.dataDir]);
      atTheEnd(() => execFileSync('umount', [folder.dataDir]));
      const accounts = await folder.open();
      await accounts.add({ username: 'ci', password: PASSWORD }, ACTOR);
      const files = () =>
        [folder.htpasswd, folder.metadata].map((path) => readFileSync(path, 'utf8'));
      const before = files();
      const filler = join(folder.dataDir, 'filler');
      for (let size = 64 * 1024; size > 0; size -= 1024) {
        try {
          writeFileSync(filler, Buffer.alloc(size));
          break;
        } catch {
          // Smaller, until it fits.
        }
      }

      const add = accounts.add({ username: 'new', password: PASSWORD }, ACTOR);
      await expect(add).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      expect(files()).toEqual(before);
      expect(accounts.fault).toContain('ENOSPC');
      expect(accounts.get('new')).toBeUndefined();
      expect(await accounts.verify('ci', PASSWORD, 'a')).toBeDefined();

      rmSync(filler);
      await eventually('it recovers by itself', () => !accounts.fault);
      await accounts.add({ username: 'new', password: PASSWORD }, ACTOR);
    },
  );
});
