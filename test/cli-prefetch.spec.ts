import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { imageOf, indexOf, layersWith } from './support/images';
import { eventually, freshFolder } from './support/lifecycle';
import { itUnless, noTerminal } from './support/means';
import { plainEnvironment, run } from './support/processes';
import { seed, startStand, type Stand } from './support/stand';

const CLI = join(__dirname, '../dist/cli.js');

describe('the command prefetch', () => {
  let stand: Stand;
  const images = { amd64: imageOf(layersWith(50_000)), arm64: imageOf(layersWith(10), 'arm64') };
  const index = indexOf(images);

  beforeAll(async () => {
    stand = await startStand();
    for (const [tag, image] of Object.entries(images))
      await seed(stand.registry, 'team/app', tag, image);
    await seed(stand.registry, 'team/app', 'latest', index);
  });

  /** The command line beside the gate, as its operator types it. */
  const prefetch = (args: string[], env: Record<string, string> = {}, input?: string) =>
    run(process.execPath, [CLI, 'prefetch', ...args], {
      cwd: freshFolder('cli'),
      input,
      env: { DATA_DIR: stand.gate.dataDir, PORT: String(stand.gate.port), ...env },
    });

  it('has the running gate of the settings fetch an image, and says what was held', async () => {
    const { code, stdout, stderr } = await prefetch(['team/app', '--platform', 'linux/amd64']);

    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /^\S+team\/app:latest is held: 5 layers, \S+ kB; 0 B were there before$/m,
    );
    expect(stdout).not.toContain('\u001b');
    const again = await prefetch(['team/app:amd64']);
    expect(again.stdout).toMatch(/is held: 5 layers, (\S+ kB); \1 were there before$/m);
  });

  itUnless(noTerminal(), 'draws a bar on a terminal, in one line', async () => {
    const command = `'${process.execPath}' '${CLI}' prefetch team/app:arm64`;
    const env = { DATA_DIR: stand.gate.dataDir, PORT: String(stand.gate.port) };

    const { stdout } = await run('script', ['-qec', command, '/dev/null'], { env });

    const lines = stdout.split('\n');
    const [before, ...drawn] = (lines[0] ?? '').trimEnd().split('\r\u001b[2K');
    expect(before).toBe('');
    expect(drawn.filter(({ length }) => length > 79)).toEqual([]);
    expect(drawn.at(-1)).toMatch(/^\[#{24}\] 100 %/);
    expect(lines[1]).toContain('is held: 5 layers');
  });

  it('takes another place, account and password', async () => {
    const { username, password } = await stand.gate.addAccount([], { role: 'admin' });
    const nowhere = { DATA_DIR: freshFolder('nowhere'), PORT: '1' };
    const args = ['team/app:arm64', '--url', stand.gate.url, '--username', username];

    const login = await prefetch([...args, '--password-stdin'], nowhere, `${password}\n`);
    expect(login).toMatchObject({ code: 0, stderr: '' });

    const none = await prefetch(args, nowhere);
    expect(none.stderr).toBe(
      `error: give the password of ${username} on stdin, with --password-stdin\n`,
    );
    const wrong = await prefetch([...args, '--password-stdin'], nowhere, 'wrong\n');
    expect(wrong.stderr).toMatch(/^error: the gate refuses the login of .*--password-stdin\n$/);
  });

  it.each([
    [['team/app:none'], /^error: \S+team\/app:none: manifest unknown/],
    [['other.example/org/app'], /^error: .*does not know; give one of 127\.0\.0\.1:\d+/],
    [['team/app', '--platform', 'linux/s390x'], /it has linux\/amd64, linux\/arm64\n$/],
    [['team/app', '--platform', 'amd64'], /^error: .*os\/architecture/],
    [['team/app', '--url', 'http://127.0.0.1:1'], /^error: no gate answers .*ECONNREFUSED.*--url/],
    [['team/app', '--url', 'localhost:8080'], /^error: .*give scheme, host and port/],
    [['team/app', '--url', 'http://a:b@localhost'], /^error: .*--username/],
    [['team/app', '--url', 'http://gate.example'], /^error: give the password of admin/],
    [[], /^error: missing required argument 'image'/],
  ])('%j ends with 1 and a line that says why, without a stack', async (args, message) => {
    const { code, stderr } = await prefetch(args);

    expect(code).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  it('says so where a registry answers in place of a gate', async () => {
    const { code, stderr } = await prefetch(['team/app', '--url', stand.registry.url]);

    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: what answers at .* with 404 is no gate; .*--url/);
  });

  it('cancels the job when it is interrupted', async () => {
    const image = imageOf(layersWith(20_000_000));
    await seed(stand.registry, 'team/large', '1', image);
    stand.registry.service.signal('SIGSTOP');
    const child = spawn(process.execPath, [CLI, 'prefetch', 'team/large:1'], {
      cwd: freshFolder('cli'),
      env: plainEnvironment({ DATA_DIR: stand.gate.dataDir, PORT: String(stand.gate.port) }),
    });
    let shown = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => (shown += text));
    const ended = new Promise((resolve) => child.on('close', resolve));
    await eventually('it shows where it is', () => shown.includes('reading manifests'));

    child.kill('SIGINT');

    expect(await ended).toBe(1);
    stand.registry.service.signal('SIGCONT');
    expect(shown).toMatch(/^error: \S+team\/large:1: cancelled$/m);
    const { jobs } = (await stand.gate.rest('GET', '/cache/jobs')).json<{ jobs: object[] }>();
    expect(jobs[0]).toMatchObject({ state: 'cancelled' });
  });
});
