import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compareSync } from 'bcrypt';
import { HtpasswdFile } from '../../src/auth/accounts/htpasswd-file';
import { AccountsFolder } from '../support/accounts';
import { figure, lossOf, rounds } from '../support/figures';
import { atTheEnd } from '../support/lifecycle';
import { Service } from '../support/processes';

const ROUNDS = rounds(10);
const WRITER = join(__dirname, '../support/account-writer.mjs');

interface Operation {
  phase: 'begin' | 'done';
  kind: 'add' | 'password' | 'end' | 'remove';
  username: string;
  password?: string;
}

/** What may be found of an account: each password that it may have, undefined where it may not be there. */
interface Expected {
  passwords: Set<string | undefined>;
  epoch: number;
}

const passwordAfter = ({ kind, password }: Operation, before: Expected) =>
  kind === 'end' ? [...before.passwords] : [kind === 'remove' ? undefined : password];

/** An operation that has begun may or may not have happened; one that was acknowledged has. */
function follow(expected: Map<string, Expected>, operation: Operation): void {
  const before = expected.get(operation.username) ?? { passwords: new Set([undefined]), epoch: 0 };
  const after = passwordAfter(operation, before);
  const done = operation.phase === 'done';
  expected.set(operation.username, {
    passwords: new Set(done ? after : [...before.passwords, ...after]),
    epoch: done && operation.kind === 'end' ? 1 : before.epoch,
  });
}

/** What is there against what may be. */
async function check(folder: AccountsFolder, expected: Map<string, Expected>): Promise<void> {
  const { hashes } = HtpasswdFile.parse(readFileSync(folder.htpasswd, 'utf8'));
  const accounts = await folder.open();
  const wrong: string[] = [];
  for (const [username, { passwords, epoch }] of expected) {
    const account = accounts.get(username);
    const hash = hashes.get(username)?.replace('$2y$', '$2b$');
    const found = [...passwords].find((password) =>
      password === undefined ? !hash : hash && compareSync(password, hash),
    );
    if (found === undefined && !passwords.has(undefined)) wrong.push(`${username}: its password`);
    if (found === undefined && hash) wrong.push(`${username}: there, or with another password`);
    if (hash && (account?.role !== 'admin' || account.epoch < epoch))
      wrong.push(`${username}: its rights`);
    // From here on it is what it is.
    expected.set(username, { passwords: new Set([found]), epoch });
  }
  await accounts.close();
  expect(wrong).toEqual([]);
  expect([...hashes.keys()].filter((name) => !expected.has(name))).toEqual([]);
}

describe('the accounts of a gate that is killed', () => {
  it(`F17: hold every acknowledged change after kill -9 with 20 writers, ${ROUNDS} times`, async () => {
    const folder = new AccountsFolder();
    const expected = new Map<string, Expected>();
    const seen = { tried: 0, survived: 0, acknowledged: 0 };
    atTheEnd(() => figure('F17', 'kill -9 of 20 writers of accounts', lossOf(seen)));

    for (let round = 0; round < ROUNDS; round++) {
      const writer = new Service(process.execPath, ['--no-warnings', WRITER, String(round)], {
        DATA_DIR: folder.dataDir,
      });
      // From the first account on: a gate that is killed while it makes that one says at its next start what to do.
      const sign = round === 0 ? '"done"' : '\n';
      await writer.until('it writes', () => writer.stdout.includes(sign));
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 700));
      await writer.stop('SIGKILL');
      seen.tried += 1;

      expect(writer.stderr).toBe('');
      const lines = writer.stdout.split('\n').slice(0, -1);
      const operations = lines.map((text) => JSON.parse(text) as Operation);
      seen.acknowledged += operations.filter(({ phase }) => phase === 'done').length;
      for (const operation of operations) follow(expected, operation);
      await check(folder, expected);
      seen.survived += 1;
    }

    expect(seen.acknowledged).toBeGreaterThan(ROUNDS);
  }, 1_800_000);
});
