import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ACTOR, AccountsFolder } from '../../../test/support/accounts';
import { eventually } from '../../../test/support/lifecycle';
import type { AccountChange } from './account-input';
import { HtpasswdFile } from './htpasswd-file';

const PASSWORD = 'correct horse';
const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('Accounts', () => {
  it('makes, finds, changes and removes an account, and leaves files for their owner alone', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'ann', password: PASSWORD, role: 'admin' }, ACTOR);
    await accounts.add({ username: 'ci', password: PASSWORD }, ACTOR);

    expect(await accounts.verify('ci', PASSWORD, 'a')).toMatchObject({
      username: 'ci',
      role: 'user',
    });
    expect(await accounts.verify('ci', 'wrong', 'a')).toBeUndefined();
    expect(await accounts.verify('nobody', PASSWORD, 'a')).toBeUndefined();
    expect(accounts.list().map(({ username }) => username)).toEqual(['ann', 'ci']);

    const access = [{ repository: 'team/**', actions: ['pull' as const] }];
    await accounts.change('ci', { access, expires: '2099-01-31T02:00:00+02:00' }, ACTOR);
    expect(accounts.find('ci')).toMatchObject({ access, expires: '2099-01-31T00:00:00.000Z' });
    await accounts.change('ci', { access: null, expires: null }, ACTOR);
    expect(accounts.find('ci')?.access).toBeUndefined();
    expect(accounts.find('ci')?.expires).toBeUndefined();

    await accounts.remove('ci', ACTOR);
    expect(accounts.get('ci')).toBeUndefined();
    expect(await accounts.verify('ci', PASSWORD, 'a')).toBeUndefined();
    for (const path of [folder.htpasswd, folder.metadata, join(folder.dataDir, 'accounts.lock')]) {
      expect(statSync(path).mode & 0o777).toBe(0o600);
    }
    expect(folder.log.map(({ audit, target, actor }) => [audit, target, actor])).toEqual([
      ['account.created', 'ann', 'root'],
      ['account.created', 'ci', 'root'],
      ['account.changed', 'ci', 'root'],
      ['account.changed', 'ci', 'root'],
      ['account.removed', 'ci', 'root'],
    ]);
  });

  it('lets go of an account that is disabled or has expired, at once', async () => {
    const accounts = await new AccountsFolder().open();
    await accounts.add({ username: 'ci', password: PASSWORD }, ACTOR);
    await accounts.verify('ci', PASSWORD, 'a');

    await accounts.change('ci', { disabled: true }, ACTOR);
    expect(accounts.find('ci')).toBeUndefined();
    expect(accounts.get('ci')).toMatchObject({ disabled: true });
    expect(await accounts.verify('ci', PASSWORD, 'a')).toBeUndefined();

    const soon = new Date(Date.now() + 150).toISOString();
    await accounts.change('ci', { disabled: false, expires: soon }, ACTOR);
    expect(accounts.find('ci')).toBeDefined();
    await eventually('the account has expired', () => !accounts.find('ci'));
    expect(await accounts.verify('ci', PASSWORD, 'a')).toBeUndefined();
  });

  it('begins a new epoch with whatever goes out of force or comes back, so that no token revives', async () => {
    const accounts = await new AccountsFolder().open();
    await accounts.add({ username: 'ci', password: PASSWORD }, ACTOR);
    const epochAfter = async (change: AccountChange) =>
      (await accounts.change('ci', change, ACTOR)).epoch;

    expect(await epochAfter({ role: 'admin' })).toBe(0);
    await accounts.add({ username: 'ann', password: PASSWORD, role: 'admin' }, ACTOR);
    expect(await epochAfter({ disabled: false, expires: '2099-01-01T00:00:00Z' })).toBe(0);
    const disabled = await epochAfter({ disabled: true });
    expect(disabled).toBeGreaterThan(0);
    const enabled = await epochAfter({ disabled: false });
    expect(enabled).toBeGreaterThanOrEqual(disabled);
    const expired = await epochAfter({ expires: '2020-01-01T00:00:00Z' });
    expect(expired).toBeGreaterThan(enabled);

    const soon = new Date(Date.now() + 100).toISOString();
    const back = await epochAfter({ expires: soon });
    await eventually('it expires by itself', () => !accounts.find('ci'));
    expect(await epochAfter({ expires: null })).toBeGreaterThan(back);
  });

  it('changes a password without taking anything else, and the old one is out', async () => {
    const accounts = await new AccountsFolder().open();
    const before = await accounts.add(
      { username: 'ann', password: PASSWORD, role: 'admin' },
      ACTOR,
    );
    await accounts.verify('ann', PASSWORD, 'a');

    const after = await accounts.change('ann', { password: 'another' }, ACTOR);

    expect(after).toMatchObject({ role: 'admin', epoch: before.epoch });
    expect(after.fingerprint).not.toBe(before.fingerprint);
    expect(await accounts.verify('ann', PASSWORD, 'a')).toBeUndefined();
    expect(await accounts.verify('ann', 'another', 'a')).toMatchObject({ role: 'admin' });
  });

  it('raises the epoch when sessions are ended, and for a name that is used again', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'ci', password: PASSWORD }, ACTOR);
    await accounts.endSessions('ci', ACTOR);

    expect(accounts.find('ci')?.epoch).toBe(1);
    expect(folder.audited('account.sessions-ended')).toMatchObject([
      { target: 'ci', actor: 'root' },
    ]);

    await accounts.remove('ci', ACTOR);
    expect((await accounts.add({ username: 'ci', password: PASSWORD }, ACTOR)).epoch).toBe(2);
  });

  it('keeps the last admin', async () => {
    const accounts = await new AccountsFolder().open();
    await accounts.add({ username: 'ann', password: PASSWORD, role: 'admin' }, ACTOR);
    await accounts.add(
      { username: 'off', password: PASSWORD, role: 'admin', disabled: true },
      ACTOR,
    );
    const conflict = { code: 'CONFLICT', message: expect.stringContaining('last admin') as string };

    await expect(accounts.remove('ann', ACTOR)).rejects.toMatchObject(conflict);
    await expect(accounts.change('ann', { disabled: true }, ACTOR)).rejects.toMatchObject(conflict);
    await expect(accounts.change('ann', { role: 'user' }, ACTOR)).rejects.toMatchObject(conflict);
    await expect(
      accounts.change('ann', { expires: '2020-01-01T00:00:00Z' }, ACTOR),
    ).rejects.toMatchObject(conflict);
    await accounts.change('ann', { password: 'another' }, ACTOR);
    await accounts.change('off', { disabled: false }, ACTOR);
    await accounts.remove('ann', ACTOR);
    expect(accounts.list()).toMatchObject([{ username: 'off', role: 'admin' }]);
  });

  it('refuses what is no account, naming every fault and no password', async () => {
    const accounts = await new AccountsFolder().open();
    const rule = { repository: 'Team/<script>', actions: [] };
    const bad = { username: 'a:b', password: 'x'.repeat(80), access: [rule], expires: 'soon' };
    const refused = accounts.add(bad, ACTOR);

    await expect(refused).rejects.toMatchObject({ code: 'BODY_INVALID' });
    await expect(refused).rejects.toThrow(
      /username.*password.*72 bytes.*access\.0\.repository.*access\.0\.actions.*expires/,
    );
    await expect(refused).rejects.not.toThrow(/xxx/);
    const date = accounts.add(
      { username: 'ok', password: 'x', expires: '9999-12-31T23:00:00-02:00' },
      ACTOR,
    );
    await expect(date).rejects.toThrow(/^expires: is not right; give a date and time/);
    await expect(accounts.change('nobody', {}, ACTOR)).rejects.toMatchObject({
      code: 'USER_UNKNOWN',
    });
    await expect(accounts.remove('nobody', ACTOR)).rejects.toMatchObject({ code: 'USER_UNKNOWN' });
    await expect(accounts.endSessions('nobody', ACTOR)).rejects.toMatchObject({
      code: 'USER_UNKNOWN',
    });
  });

  it('S32: makes 50 accounts at once, and each name once', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    const names = Array.from({ length: 50 }, (_, index) => `user${index}`);
    const add = (username: string) => accounts.add({ username, password: PASSWORD }, ACTOR);

    const twice = await Promise.allSettled([add('twin'), add('twin'), ...names.map(add)]);
    await accounts.remove('user7', ACTOR);

    const refused = twice.filter(({ status }) => status === 'rejected');
    expect(refused).toMatchObject([{ reason: { code: 'CONFLICT' } }]);
    const expected = ['twin', ...names].filter((name) => name !== 'user7').sort();
    expect(accounts.list().map(({ username }) => username)).toEqual(expected);
    const { hashes } = HtpasswdFile.parse(readFileSync(folder.htpasswd, 'utf8'));
    expect([...hashes.keys()].sort()).toEqual(expected);
    expect(await accounts.verify('user7', PASSWORD, 'a')).toBeUndefined();
    const again = await folder.open({ watch: false });
    expect(again.list()).toEqual(accounts.list());
  });

  it('has the accounts of ACCOUNTS beside the file; nobody can change them, and they outlive a restart', async () => {
    const folder = new AccountsFolder({ ACCOUNTS: base64('robot:beep') });
    const accounts = await folder.open();
    const conflict = { code: 'CONFLICT', message: expect.stringContaining('ACCOUNTS') as string };

    expect(await accounts.verify('robot', 'beep', 'a')).toMatchObject({
      source: 'settings',
      role: 'user',
    });
    await expect(accounts.change('robot', { role: 'admin' }, ACTOR)).rejects.toMatchObject(
      conflict,
    );
    await expect(accounts.remove('robot', ACTOR)).rejects.toMatchObject(conflict);
    await expect(accounts.endSessions('robot', ACTOR)).rejects.toMatchObject(conflict);
    await expect(
      accounts.add({ username: 'robot', password: PASSWORD }, ACTOR),
    ).rejects.toMatchObject(conflict);
    const restarted = await folder.open();
    expect(restarted.get('robot')).toEqual(accounts.get('robot'));
  });

  it('refuses to start on a broken file, naming file, line and remedy', async () => {
    const broken = new AccountsFolder();
    writeFileSync(broken.htpasswd, '# accounts\nci:$apr1$abc$def\n');
    const corrupt = new AccountsFolder();
    await (await corrupt.open()).add({ username: 'ci', password: PASSWORD }, ACTOR);
    writeFileSync(corrupt.metadata, readFileSync(corrupt.metadata, 'utf8').slice(0, -5));
    const both = new AccountsFolder({ ACCOUNTS: base64('ci:x') });
    writeFileSync(both.htpasswd, `ci:$2y$05$${'a'.repeat(53)}\n`);
    const lost = new AccountsFolder();
    writeFileSync(
      lost.metadata,
      readFileSync(corrupt.metadata.replace('accounts.json', 'htpasswd')),
    );
    writeFileSync(lost.metadata, '{"version":1,"floor":0,"accounts":[],"removed":[]}\n');

    await expect(broken.open()).rejects.toThrow(`${broken.htpasswd}: line 2: an MD5 hash`);
    await expect(broken.open()).rejects.toThrow('write it anew with htpasswd -B');
    await expect(corrupt.open()).rejects.toThrow(`${corrupt.metadata}: not JSON; repair it`);
    await expect(both.open()).rejects.toThrow(/holds the account ci, which ACCOUNTS has too/);
    await expect(lost.open()).rejects.toThrow(`${lost.htpasswd}: is gone`);
  });

  it('two processes on the same folder lose nothing of each other’s', async () => {
    const folder = new AccountsFolder();
    const gate = await folder.open();
    const cli = await folder.open({ watch: false });
    const names = Array.from({ length: 12 }, (_, index) => `user${index}`);

    await Promise.all(
      names.map((username, index) =>
        (index % 2 ? gate : cli).add({ username, password: PASSWORD }, ACTOR),
      ),
    );
    await cli.change('user0', { role: 'admin' }, ACTOR);
    await gate.change('user1', { disabled: true }, ACTOR);
    await cli.remove('user2', ACTOR);
    await gate.remove('user4', ACTOR);

    const left = names.filter((name) => name !== 'user2' && name !== 'user4').sort();
    await eventually('the gate sees what the command line did', () => gate.list().length === 10);
    for (const accounts of [gate, await folder.open({ watch: false })]) {
      expect(accounts.list().map(({ username }) => username)).toEqual(left);
      expect(accounts.get('user0')?.role).toBe('admin');
      expect(accounts.get('user1')?.disabled).toBe(true);
    }
    expect(folder.log.filter(({ level }) => level > 30)).toEqual([]);
  });

  it('a change beside the gate is in force within two seconds and audited there', async () => {
    const folder = new AccountsFolder();
    const gate = await folder.open();
    await gate.add({ username: 'ann', password: PASSWORD }, ACTOR);
    const cli = await folder.open({ watch: false });

    await cli.change('ann', { role: 'admin' }, ACTOR);
    await eventually('ann is an admin', () => gate.find('ann')?.role === 'admin', 2_000);
    await cli.change('ann', { password: 'another' }, ACTOR);
    await eventually('the new password', () => gate.verify('ann', 'another', 'a'), 2_000);

    expect(gate.find('ann')?.role).toBe('admin');
    expect(folder.audited('account.changed').at(-1)).toMatchObject({ actor: 'cli', target: 'ann' });
  });
});

describe('the first admin', () => {
  it('S30: is made once, with a password that lies in a file for the owner alone', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    const made = await accounts.ensureAdmin();
    const path = join(folder.dataDir, 'initial-admin-password');
    const password = readFileSync(path, 'utf8').trim();

    expect(made).toEqual({ username: 'admin', passwordFile: path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(password.length).toBeGreaterThanOrEqual(24);
    expect(await accounts.verify('admin', password, 'a')).toMatchObject({ role: 'admin' });
    expect(JSON.stringify(folder.log)).not.toContain(password);

    const again = await folder.open();
    expect(await again.ensureAdmin()).toEqual(made);
    await again.change('admin', { password: PASSWORD }, ACTOR);
    expect(await again.ensureAdmin()).toEqual({ username: 'admin' });
    expect(() => statSync(path)).toThrow('ENOENT');
    expect(folder.log.at(-1)).toMatchObject({ level: 30, msg: expect.stringContaining(path) });
    await again.ensureAdmin();
    expect(folder.log.filter(({ msg }) => msg.includes(path))).toHaveLength(1);
  });

  it('keeps its file while that opens an admin, whichever, and while the first one may come back', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    const made = await accounts.ensureAdmin();
    await accounts.add({ username: 'ann', password: PASSWORD, role: 'admin' }, ACTOR);
    expect(await accounts.ensureAdmin()).toEqual(made);

    await accounts.change('admin', { disabled: true }, ACTOR);
    expect(await accounts.ensureAdmin()).toEqual({ username: 'ann' });
    await accounts.change('admin', { disabled: false, role: 'user' }, ACTOR);
    expect(await accounts.ensureAdmin()).toEqual({ username: 'ann' });
    await accounts.change('admin', { role: 'admin' }, ACTOR);
    expect(await accounts.ensureAdmin()).toEqual(made);
    await accounts.remove('admin', ACTOR);
    expect(await accounts.ensureAdmin()).toEqual({ username: 'ann' });
    expect(() => statSync(made?.passwordFile ?? '')).toThrow('ENOENT');
  });

  it('gets ADMIN_PASSWORD where it is set, and no file', async () => {
    const folder = new AccountsFolder({ ADMIN_USERNAME: 'root', ADMIN_PASSWORD: PASSWORD });
    const accounts = await folder.open();

    expect(await accounts.ensureAdmin()).toEqual({ username: 'root' });
    expect(await accounts.verify('root', PASSWORD, 'a')).toMatchObject({ role: 'admin' });
    expect(() => statSync(join(folder.dataDir, 'initial-admin-password'))).toThrow('ENOENT');
  });

  it('is not made of an account that exists: the log says what to type', async () => {
    const folder = new AccountsFolder();
    const accounts = await folder.open();
    await accounts.add({ username: 'admin', password: PASSWORD }, ACTOR);

    expect(await accounts.ensureAdmin()).toBeUndefined();
    expect(accounts.get('admin')?.role).toBe('user');
    expect(folder.log.at(-1)?.msg).toContain('node dist/cli.js user role admin admin');
  });
});
