/** What docs/operations.md tells operators to type and to expect, done to real gates. */
import { readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { runGate, startGate, type Gate } from '../support/gate';
import { bearer, claimsOf, send, tokenFor, unique, type Account } from '../support/http';
import { eventually, freshFolder } from '../support/lifecycle';
import { succeed } from '../support/processes';
import { logsIn } from '../support/stand';

const ROOT = resolve(__dirname, '../..');
const PAGE = readFileSync(join(ROOT, 'docs/operations.md'), 'utf8');

/** The first block of commands of that section. */
function commandsOf(section: string): string {
  const text = PAGE.slice(PAGE.indexOf(`\n## ${section}\n`));
  return /```sh\n([\s\S]*?)```/.exec(text)![1]!;
}

/** No registry is asked in any of these. */
const NOBODY = { UPSTREAM_REGISTRY: 'http://127.0.0.1:9' };

/** A gate in a folder of its own, with its data in `data`, as the page says it. */
async function gateIn(home: string, env: Record<string, string> = {}): Promise<Gate> {
  return startGate({ ...NOBODY, DATA_DIR: join(home, 'data'), ...env });
}

const type = (home: string, commands: string) => succeed('bash', ['-ec', commands], { cwd: home });

const ping = async (gate: Gate, token: string) =>
  (await send(`${gate.url}/v2/`, { headers: bearer(token) })).status;

interface Listed {
  readonly username: string;
  readonly role: string;
  readonly access?: unknown[];
}

const listed = async (gate: Gate) =>
  (await gate.rest('GET', '/users')).json<{ users: Listed[] }>().users;

describe('a backup', () => {
  it('that is made while accounts change restores all from before it, and gives nobody more', async () => {
    const home = freshFolder('backup');
    const gate = await gateIn(home);
    const before = [await gate.addAccount([]), await gate.addAccount([])];
    let going = true;
    const changes = (async () => {
      const made: Account[] = [];
      while (going) {
        made.push(await gate.addAccount([]));
        if (made.length % 3 === 0) await gate.removeAccount(made.pop()!);
      }
    })();

    await type(home, commandsOf('Backup'));
    going = false;
    await changes;
    await gate.stop();
    await type(home, commandsOf('Restore'));
    const restored = await gateIn(home);

    const accounts = await listed(restored);
    for (const account of before) expect(await logsIn(restored, account)).toBe(true);
    expect(accounts.filter(({ role }) => role === 'admin')).toHaveLength(1);
    expect(accounts.filter(({ role, access }) => role !== 'admin' && access?.length !== 0)).toEqual(
      [],
    );
    expect(readdirSync(join(home, 'data.before'))).toContain('htpasswd');
  });

  it('takes back what was done since, ended tokens too; without its token secret it takes all tokens', async () => {
    const home = freshFolder('backup');
    const gate = await gateIn(home);
    const account = await gate.addAccount();
    const { token } = await tokenFor(gate.url, account);
    await type(home, commandsOf('Backup'));
    await gate.removeAccount(account);
    const removed = await ping(gate, token);
    await gate.stop();
    await type(home, commandsOf('Restore'));

    const restored = await gateIn(home);
    const back = await ping(restored, token);
    await restored.stop();
    rmSync(join(home, 'data/token-secret'));
    const anew = await gateIn(home);

    expect([removed, back, await ping(anew, token)]).toEqual([401, 200, 401]);
    expect(await logsIn(anew, account)).toBe(true);
  });
});

describe('a file of the data folder that is lost', () => {
  async function without(name: string) {
    const home = freshFolder('lost');
    const gate = await gateIn(home);
    const account = await gate.addAccount([]);
    const { admin } = gate;
    await gate.stop();
    rmSync(join(home, 'data', name));
    return { home, account, admin };
  }

  it('accounts.json: accounts are there, and their rights are those of ordinary ones', async () => {
    const { home, account, admin } = await without('accounts.json');

    const gate = await gateIn(home);
    const answer = await gate.rest('GET', '/users', undefined, admin);

    const { token } = await tokenFor(gate.url, account, 'repository:library/nginx:pull,push');
    expect(claimsOf(token).access).toMatchObject([{ actions: ['pull'] }]);
    expect(answer.status).toBe(403);
    expect(gate.output()).toContain('there is no admin');
  });

  it('htpasswd: the gate does not start, and says what to put back', async () => {
    const { home } = await without('htpasswd');

    const { code, stderr } = await runGate({ ...NOBODY, DATA_DIR: join(home, 'data') });

    expect(code).toBe(1);
    expect(stderr).toContain(join(home, 'data/htpasswd'));
  });
});

describe('the token secret in its file', () => {
  it('is rotated by moving it aside, and naming it as the one before', async () => {
    const home = freshFolder('rotation');
    const gate = await gateIn(home);
    const account = await gate.addAccount();
    const { token } = await tokenFor(gate.url, account);
    await gate.stop();
    const old = join(home, 'data/token-secret.old');
    renameSync(join(home, 'data/token-secret'), old);

    const rotated = await gateIn(home, { TOKEN_SECRET_PREVIOUS_FILE: old });
    const still = await ping(rotated, token);
    await rotated.stop();
    const done = await gateIn(home);

    expect(still).toBe(200);
    expect(await ping(done, token)).toBe(401);
    expect(readFileSync(join(home, 'data/token-secret'), 'utf8')).not.toBe(
      readFileSync(old, 'utf8'),
    );
  });
});

describe('a lost admin password', () => {
  it('is set anew on the command line, beside the running gate', async () => {
    const home = freshFolder('password');
    const gate = await gateIn(home);
    const password = unique('pass-');
    const env = { DATA_DIR: join(home, 'data') };

    await succeed(process.execPath, [join(ROOT, 'dist/cli.js'), 'user', 'passwd', 'admin'], {
      env,
      input: `${password}\n`,
    });

    const admin = { username: 'admin', password };
    const answer = await eventually('the new password opens', async () => {
      const got = await gate.rest('GET', '/users', undefined, admin);
      return got.status === 200 && got;
    });
    expect(answer.json<{ users: Listed[] }>().users).toHaveLength(1);
  });
});

describe('docs/operations.md', () => {
  it('names only lines of the log that there are', () => {
    const code = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.ts') && !path.endsWith('.spec.ts'))
      .map((path) => readFileSync(join(ROOT, 'src', path), 'utf8'))
      .join('\n');
    const table = PAGE.slice(PAGE.indexOf('| line of the log'), PAGE.indexOf('\n## Health states'));
    const named = table
      .split('\n')
      .filter((row) => row.startsWith('| `'))
      .flatMap((row) => [...row.split('|')[1]!.matchAll(/`([^`]+)`/g)].map(([, line]) => line!));
    const missing = named
      .flatMap((line) => line.split('…').map((part) => part.trim()))
      .filter((part) => !code.includes(part));

    expect(named.length).toBeGreaterThan(8);
    expect(missing).toEqual([]);
  });
});
