import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AccountsFolder } from './support/accounts';
import { eventually, freshFolder } from './support/lifecycle';
import { describeUnless, noTerminal } from './support/means';
import { plainEnvironment, run } from './support/processes';
import { isRoot } from './support/tools';

const CLI = join(__dirname, '../dist/cli.js');
const PASSWORD = 'correct horse';

/** The command line in an empty folder, on these accounts. */
function cliOf(folder: AccountsFolder, env: Record<string, string> = {}) {
  const cwd = freshFolder('cli');
  return (args: readonly string[], input?: string) =>
    run(process.execPath, [CLI, ...args], {
      cwd,
      input,
      env: { DATA_DIR: folder.dataDir, ...env },
    });
}

describe('the command line', () => {
  it('makes, lists, changes and removes accounts, saying so in a line', async () => {
    const folder = new AccountsFolder();
    const cli = cliOf(folder);
    const rule = ['--access', 'team/**=pull,push', '--access', 'ghcr.io/**=pull'];

    const added = await cli(['user', 'add', 'ann', '--role', 'admin'], `${PASSWORD}\nmore\n`);
    expect(added).toMatchObject({ code: 0, stdout: 'ann is there (admin)\n', stderr: '' });
    await cli(
      ['user', 'add', 'ci', ...rule, '--expires', '2099-01-31', '--password-stdin'],
      'x\r\n',
    );
    const { stdout } = await cli(['user', 'list', '--json']);
    expect(JSON.parse(stdout)).toEqual({
      users: [
        { username: 'ann', role: 'admin', disabled: false, source: 'htpasswd' },
        {
          username: 'ci',
          role: 'user',
          disabled: false,
          source: 'htpasswd',
          expires: '2099-01-31T00:00:00.000Z',
          access: [
            { repository: 'team/**', actions: ['pull', 'push'] },
            { repository: 'ghcr.io/**', actions: ['pull'] },
          ],
        },
      ],
    });
    expect((await cli(['user', 'passwd', 'ci'], 'y\n')).code).toBe(0);
    expect((await cli(['user', 'role', 'ci', 'admin'])).code).toBe(0);
    expect((await cli(['user', 'remove', 'ann'])).code).toBe(0);

    const accounts = await folder.open();
    expect(accounts.list().map(({ username }) => username)).toEqual(['ci']);
    expect(await accounts.verify('ci', 'y', 'a')).toMatchObject({ role: 'admin' });
  });

  it('works beside a running gate, which knows within two seconds', async () => {
    const folder = new AccountsFolder();
    const cli = cliOf(folder);
    const gate = await folder.open();
    await gate.add({ username: 'ann', password: PASSWORD, role: 'admin' }, {});

    await cli(['user', 'add', 'ci'], `${PASSWORD}\n`);
    await eventually('ci may log in', () => gate.verify('ci', PASSWORD, 'a'), 2_000);
    await cli(['user', 'remove', 'ci']);
    await eventually('ci is out', () => !gate.find('ci'), 2_000);

    expect(folder.log.map(({ audit, actor }) => [audit, actor]).slice(1)).toEqual([
      ['account.created', 'cli'],
      ['account.removed', 'cli'],
    ]);
  });

  it.each([
    [['user', 'add', 'a:b'], 'x\n', /^error: username: .*\n$/],
    [['user', 'add', 'ci'], '', /^error: password: it is empty; give .*\n$/],
    [['user', 'add', 'ci'], `${'x'.repeat(73)}\n`, /^error: password: .*72 bytes.*\n$/],
    [
      ['user', 'add', 'ci', '--expires', '31.1.2099'],
      'x\n',
      /^error: expires: .*2027-01-31T12:00:00Z\n$/,
    ],
    [['user', 'add', 'ann'], 'x\n', /^error: there is an account ann already\n$/],
    [['user', 'passwd', 'nobody'], 'x\n', /^error: there is no account "nobody"\n$/],
    [['user', 'remove', 'nobody'], '', /^error: there is no account "nobody"\n$/],
    [['user', 'role', 'ann', 'user'], '', /^error: ann is the last admin.*\n$/],
    [['user', 'role', 'ann', 'boss'], '', /^error: .*admin or user/],
    [['user', 'add', 'ci', '--access', 'team'], 'x\n', /^error: .*GLOB=/],
    [['user', 'frobnicate'], '', /^error: unknown command/],
  ])('%j ends with 1 and a line that says why, without a stack', async (args, input, message) => {
    const folder = new AccountsFolder();
    const cli = cliOf(folder);
    await cli(['user', 'add', 'ann', '--role', 'admin'], `${PASSWORD}\n`);
    const before = readFileSync(folder.metadata, 'utf8');

    const { code, stdout, stderr } = await cli(args, input);

    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
    expect(readFileSync(folder.metadata, 'utf8')).toBe(before);
  });

  it('writes nothing when it only looks', async () => {
    const folder = new AccountsFolder();
    const cli = cliOf(folder);
    rmSync(folder.dataDir, { recursive: true });

    expect(await cli(['user', 'list'])).toMatchObject({ code: 0, stderr: '' });
    expect(await cli(['check-config'])).toMatchObject({ code: 0, stderr: '' });
    expect(() => readdirSync(folder.dataDir)).toThrow('ENOENT');

    mkdirSync(folder.dataDir);
    writeFileSync(folder.htpasswd, `ci:$2y$05$${'a'.repeat(53)}\n`);
    expect((await cli(['user', 'list'])).stdout).toContain('pull everything');
    expect((await cli(['check-config'])).stdout).toContain('accounts: 1, 0 of them admins');
    expect(readdirSync(folder.dataDir)).toEqual(['htpasswd']);
  });

  it('check-config shows what is in force and no secret, and what the gate would refuse', async () => {
    const folder = new AccountsFolder();
    const secrets = { ADMIN_PASSWORD: 'secret-one', UPSTREAM_PASSWORD: 'secret-two' };
    const cli = cliOf(folder, { ...secrets, UPSTREAM_USERNAME: 'robot', PORT: '5002' });

    const good = await cli(['check-config']);
    expect(good).toMatchObject({ code: 0, stderr: '' });
    expect(good.stdout).toMatch(/^PORT: 5002$/m);
    expect(good.stdout).not.toContain('secret-');

    writeFileSync(folder.htpasswd, 'ci:plain\n');
    const broken = await cli(['check-config']);
    expect(broken.code).toBe(1);
    expect(broken.stderr).toMatch(/^error: .*htpasswd: line 1: .*htpasswd -B\n$/);
    const wrong = await cliOf(folder, { PORT: 'eighty' })(['check-config']);
    expect(wrong).toMatchObject({ code: 1, stdout: '' });
    expect(wrong.stderr).toContain('PORT');
  });

  it('check-config prints the registries without secrets, and finds the faults of the config file', async () => {
    const folder = new AccountsFolder();
    mkdirSync(folder.dataDir, { recursive: true });
    const file = join(folder.dataDir, 'tidegate.yaml');
    const login = '{ username: robot, password: secret-one }';
    const changed = `name: ghcr.io, credentials: [${login}], proxy: "http://u:secret-two@proxy:3128"`;
    writeFileSync(file, `registries: [{ ${changed}, hosts: [a.example], tag_ttl: 90 }]\n`);
    const cli = cliOf(folder, {});

    const good = await cli(['check-config']);
    expect(good).toMatchObject({ code: 0, stderr: '' });
    expect(good.stdout).toMatch(
      /^registry docker\.io: https:\/\/registry-1\.docker\.io; the default; /m,
    );
    expect(good.stdout).toMatch(
      /^registry ghcr\.io: https:\/\/ghcr\.io; as robot; hosts a\.example; tags for 90s; by proxy http:\/\/\*\*\*@proxy:3128$/m,
    );
    expect(good.stdout).not.toContain('secret-');

    writeFileSync(file, 'registries:\n  - name: one.example\n  - nam: ghcr.io\n');
    const broken = await cli(['check-config']);
    expect(broken.code).toBe(1);
    expect(broken.stderr).toContain('tidegate.yaml:2: registries[0].url is missing');
    expect(broken.stderr).toContain('tidegate.yaml:3: registries[1].nam is not known');
  });

  it('check-config refuses a data folder that the gate could not write, and writes nothing', async () => {
    const parent = freshFolder('unwritable');
    const dataDir = join(parent, 'data');
    mkdirSync(dataDir);
    // To root everything is writable.
    const asNobody = join(freshFolder('nobody'), 'as-nobody.cjs');
    writeFileSync(asNobody, isRoot() ? 'process.setuid(65534);' : '');
    chmodSync(dirname(asNobody), 0o755);
    const check = (env: Record<string, string>) =>
      run(process.execPath, ['--require', asNobody, CLI, 'check-config'], { env, cwd: '/' });

    for (const [folder, mode] of [
      [dataDir, 0o555],
      [parent, 0o555],
    ] as const) {
      chmodSync(folder, mode);
      const wanted = folder === parent ? join(parent, 'not/yet') : dataDir;
      const { code, stdout, stderr } = await check({ DATA_DIR: wanted });
      expect([code, stdout.includes('all of it is good')]).toEqual([1, false]);
      expect(stderr).toMatch(`error: DATA_DIR=${wanted} is not writable (EACCES) for the gate`);
    }
    chmodSync(parent, 0o777);
    expect(await check({ DATA_DIR: join(parent, 'not/yet') })).toMatchObject({ code: 0 });
    expect(readdirSync(parent)).toEqual(['data']);
  });

  it('shows no name and no path as a terminal would obey it', async () => {
    const odd = '\u202eg\u2028np';
    const folder = new AccountsFolder();
    mkdirSync(folder.dataDir, { recursive: true });
    writeFileSync(folder.htpasswd, `${odd}:$2y$05$${'a'.repeat(53)}\n`);
    const cli = cliOf(folder);

    for (const args of [
      ['list'],
      ['role', odd, 'admin'],
      ['remove', odd],
      ['remove', '\u001b[2J\u009b\u202e'],
    ]) {
      const { stdout, stderr } = await cli(['user', ...args]);

      expect(stdout + stderr).toContain(String.raw`\u202e`);
      expect((stdout + stderr).replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    }
  });

  it('reads the .env file of the folder that it runs in', async () => {
    const folder = new AccountsFolder();
    const cwd = freshFolder('cli');
    writeFileSync(join(cwd, '.env'), `DATA_DIR=${folder.dataDir}\n`);

    const args = [CLI, 'user', 'add', 'ci'];
    expect(await run(process.execPath, args, { cwd, input: 'x\n' })).toMatchObject({ code: 0 });
    expect(readdirSync(folder.dataDir)).toContain('htpasswd');
  });
});

describeUnless(noTerminal(), 'on a terminal (made by script, of util-linux)', () => {
  /** Types one answer after each question; what the terminal showed. */
  async function type(folder: AccountsFolder, answers: string[], verb = 'add'): Promise<string> {
    const command = `'${process.execPath}' '${CLI}' user ${verb} ci`;
    const child = spawn('script', ['-qec', command, '/dev/null'], {
      cwd: freshFolder('terminal'),
      env: plainEnvironment({ DATA_DIR: folder.dataDir }),
    });
    let shown = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
    const ended = new Promise((resolve) => child.on('close', resolve));
    for (const [index, answer] of answers.entries()) {
      const question = index === 0 ? 'Password: ' : 'Once more: ';
      await eventually(`it asks: ${question}`, () => shown.includes(question));
      child.stdin.write(`${answer}\r`);
    }
    await ended;
    return shown;
  }

  it('asks twice, and shows nothing of what is typed', async () => {
    const folder = new AccountsFolder();
    const shown = await type(folder, ['secret-word', 'secret-word']);

    expect(shown).toContain('ci is there (user)');
    expect(shown).not.toContain('secret');
    const accounts = await folder.open();
    expect(await accounts.verify('ci', 'secret-word', 'a')).toBeDefined();
  });

  it('asks for no password where there is nothing to set it for', async () => {
    const folder = new AccountsFolder();
    expect(await type(folder, [], 'passwd')).toMatch(/^error: there is no account "ci"\s*$/);
    await (await folder.open()).add({ username: 'ci', password: PASSWORD }, {});

    expect(await type(folder, [])).toMatch(/^error: there is an account ci already\s*$/);
  });

  it('refuses two passwords that differ', async () => {
    const folder = new AccountsFolder();

    expect(await type(folder, ['one', 'two'])).toContain('error: the two passwords differ');
    expect(readdirSync(folder.dataDir)).toEqual([]);
  });
});
