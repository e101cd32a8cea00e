/** The first admin: a gate that nobody can manage makes one, with a password that nobody else knows. */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { USERNAME } from '../../config/account-grammar';
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
  const admins = adminsInForce(accounts, adminUsername);
  if (admins.length > 0) {
    const owner = await ownerOf(passwordFile, accounts, [...admins, adminUsername]);
    if (owner !== undefined && admins.includes(owner)) return { username: owner, passwordFile };
    // One that is disabled may come back, and then the file's password opens it again.
    const mayComeBack = accounts.get(adminUsername) && !accounts.find(adminUsername);
    if (owner === undefined && !mayComeBack) await removeStale(passwordFile, log);
    return { username: admins[0]! };
  }
  if (accounts.get(adminUsername)) {
    log.warn(
      `there is no admin: the account ${adminUsername} exists and is none, or is not in force. Make it one with: ` +
        `${makesAdmin(adminUsername)} (or add another: node dist/cli.js user add NAME --role admin)`,
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
      log.warn(withoutAdmin(error, accounts));
      return undefined;
    }
    throw error instanceof OciError
      ? new Error(
          `the first admin cannot be made of ADMIN_USERNAME and ADMIN_PASSWORD: ${error.message}`,
        )
      : error;
  }
}

/** By name, the preferred one first. */
function adminsInForce(accounts: Accounts, preferred: string): string[] {
  const admins = accounts
    .list()
    .filter(({ role, username }) => role === 'admin' && accounts.find(username))
    .map(({ username }) => username);
  return admins.sort((one, other) => Number(other === preferred) - Number(one === preferred));
}

function makesAdmin(username: string): string {
  return `node dist/cli.js user role ${username} admin`;
}

/** Who is an admin stands beside the htpasswd file, and can be changed where that cannot. */
function withoutAdmin({ fault }: ReadOnlyAccounts, accounts: Accounts): string {
  const candidate = accounts
    .list()
    .find(
      ({ username, source }) =>
        source === 'htpasswd' && USERNAME.test(username) && accounts.find(username),
    );
  const remedy = candidate
    ? `Make an account of the file one, which does not change the file, with: ${makesAdmin(candidate.username)}`
    : `Add an account to the file where it comes from, then type: ${makesAdmin('NAME')}`;
  return `there is no admin, and none can be made, for ${fault}. ${remedy}`;
}

/** The file is there before the account is: an account whose password nobody knows would be of no use. */
async function makePassword(path: string): Promise<string> {
  const password = randomBytes(24).toString('base64url');
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(path, { force: true });
  await replaceFile(path, `${password}\n`);
  return password;
}

/** Which of these accounts the password in the file opens. */
async function ownerOf(
  path: string,
  accounts: Accounts,
  candidates: readonly string[],
): Promise<string | undefined> {
  const password = await readPassword(path);
  if (password === undefined) return undefined;
  for (const username of new Set(candidates)) {
    if (await accounts.verify(username, password, 'start')) return username;
  }
  return undefined;
}

async function readPassword(path: string): Promise<string | undefined> {
  try {
    return (await readFile(path, 'utf8')).trimEnd();
  } catch {
    return undefined;
  }
}

/** A password that opens nothing any more only misleads whoever reads it. */
async function removeStale(path: string, log: Log): Promise<void> {
  if ((await readPassword(path)) === undefined) return;
  await rm(path, { force: true });
  log.info(`removed ${path}: the password in it has been changed since`);
}
