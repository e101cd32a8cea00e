/** The first admin: a gate that nobody can manage makes one, with a password that nobody else knows. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Settings } from '../../config/settings';
import type { Log } from '../../journal/log';
import { OciError } from '../../oci/oci-error';
import type { Accounts } from './accounts.service';
import { ReadOnlyAccounts } from './accounts-file-error';
import { replaceFile } from './replace-file';

export interface InitialAdmin {
  readonly username: string;
  /** Where its password lies; only while that is its password. */
  readonly passwordFile?: string;
}

/** @returns an admin in force, made if need be; undefined when there is none and none can be made: the log says why. */
export async function ensureAdmin(
  accounts: Accounts,
  settings: Settings,
  log: Log,
): Promise<InitialAdmin | undefined> {
  const { adminUsername, adminPassword } = settings;
  const passwordFile = join(settings.dataDir, 'initial-admin-password');
  const admin = findAdmin(accounts, adminUsername);
  if (admin !== undefined) return describe(accounts, admin, passwordFile);
  if (accounts.get(adminUsername)) {
    log.warn(
      `there is no admin: the account ${adminUsername} exists and is none, or is not in force. ` +
        `Make it one with: user role ${adminUsername} admin (or add another: user add NAME --role admin)`,
    );
    return undefined;
  }
  try {
    const password = adminPassword ?? (await makePassword(passwordFile));
    await accounts.add({ username: adminUsername, password, role: 'admin' }, { actor: 'start' });
    return adminPassword === undefined
      ? { username: adminUsername, passwordFile }
      : { username: adminUsername };
  } catch (error) {
    if (adminPassword === undefined) await rm(passwordFile, { force: true });
    if (error instanceof ReadOnlyAccounts) {
      log.warn(`there is no admin, and none can be made: ${error.message}`);
      return undefined;
    }
    throw error instanceof OciError
      ? new Error(
          `the first admin cannot be made of ADMIN_USERNAME and ADMIN_PASSWORD: ${error.message}`,
        )
      : error;
  }
}

function findAdmin(accounts: Accounts, preferred: string): string | undefined {
  const admins = accounts
    .list()
    .filter(({ role, username }) => role === 'admin' && accounts.find(username))
    .map(({ username }) => username);
  return admins.find((username) => username === preferred) ?? admins[0];
}

/** The file is there before the account is: an account whose password nobody knows would be of no use. */
async function makePassword(path: string): Promise<string> {
  const password = randomBytes(24).toString('base64url');
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(path, { force: true });
  await replaceFile(path, `${password}\n`);
  return password;
}

async function describe(accounts: Accounts, username: string, path: string): Promise<InitialAdmin> {
  const password = await readFile(path, 'utf8').then(
    (text) => text.trimEnd(),
    () => undefined,
  );
  const opens = password && (await accounts.verify(username, password, 'start'));
  return opens ? { username, passwordFile: path } : { username };
}
