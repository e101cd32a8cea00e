/** `user add|passwd|role|remove|list` */
import { InvalidArgumentError, type Command } from 'commander';
import {
  isInForce,
  shown,
  type AccessRule,
  type Account,
  type Role,
} from '../auth/accounts/account';
import { visible } from '../config/visible';
import { REPOSITORY_ACTIONS, type RepositoryAction } from '../oci/access';
import { settingsHere, withAccounts } from './open-accounts';
import { readPassword } from './read-password';
import { say } from './say';

const ACTOR = { actor: 'cli' };

interface AddOptions {
  role: Role;
  access?: AccessRule[];
  expires?: string;
  passwordStdin?: boolean;
}

export function addUserCommands(program: Command): void {
  const user = program
    .command('user')
    .description('manage the accounts, beside a running gate too');
  user
    .command('add <name>')
    .description('make an account; the password is asked for, or read from the first line of stdin')
    .option('--role <role>', 'user or admin', readRole, 'user')
    .option(
      '--access <GLOB=ACTIONS>',
      "what it may do, such as 'team/**=pull,push'; repeatable",
      readAccess,
    )
    .option(
      '--expires <date>',
      'until when, such as 2027-01-31 or 2027-01-31T12:00:00Z',
      readExpires,
    )
    .option('--password-stdin', 'read the password from stdin')
    .action(addUser);
  user
    .command('passwd <name>')
    .description('set a new password')
    .option('--password-stdin', 'read the password from stdin')
    .action(changePassword);
  user
    .command('role <name> <role>')
    .description('make an account an admin, or an ordinary user')
    .action(changeRole);
  user
    .command('remove <name>')
    .description('remove an account and end its sessions')
    .action(removeUser);
  user
    .command('list')
    .description('list the accounts')
    .option('--json', 'as JSON')
    .action(listUsers);
}

async function addUser(username: string, { passwordStdin, ...fields }: AddOptions): Promise<void> {
  await withAccounts(settingsHere(), async (accounts) => {
    await accounts.assertCanAdd(username);
    const password = await readPassword({ fromStdin: passwordStdin });
    await accounts.add({ username, password, ...fields }, ACTOR);
  });
  say(`${username} is there (${fields.role})`);
}

async function changePassword(
  username: string,
  { passwordStdin }: { passwordStdin?: boolean },
): Promise<void> {
  await withAccounts(settingsHere(), async (accounts) => {
    await accounts.assertCanChangePassword(username);
    const password = await readPassword({ fromStdin: passwordStdin });
    await accounts.change(username, { password }, ACTOR);
  });
  say(`${username} has a new password`);
}

async function changeRole(username: string, role: string): Promise<void> {
  const change = { role: readRole(role) };
  await withAccounts(settingsHere(), (accounts) => accounts.change(username, change, ACTOR));
  say(`${username} is ${change.role === 'admin' ? 'an admin' : 'an ordinary user'} now`);
}

async function removeUser(username: string): Promise<void> {
  await withAccounts(settingsHere(), (accounts) => accounts.remove(username, ACTOR));
  say(`${username} is removed`);
}

async function listUsers({ json }: { json?: boolean }): Promise<void> {
  const users = await withAccounts(settingsHere(), async (accounts) => accounts.list());
  if (json) return say(JSON.stringify({ users: users.map(shown) }, undefined, 2));
  if (users.length === 0) return say('there are no accounts');
  const rows = users.map((user) => [
    visible(user.username),
    user.role,
    stateOf(user),
    accessOf(user),
  ]);
  say(table([['NAME', 'ROLE', 'STATE', 'ACCESS'], ...rows]));
}

function stateOf(account: Account): string {
  if (account.disabled) return 'disabled';
  if (!account.expires) return account.source === 'settings' ? 'fixed by ACCOUNTS' : 'active';
  return `${isInForce(account, Date.now()) ? 'until' : 'expired'} ${account.expires}`;
}

function accessOf({ role, access }: Account): string {
  if (role === 'admin') return 'everything';
  if (!access) return 'pull everything';
  return (
    access.map((rule) => `${rule.repository}=${rule.actions.join(',')}`).join(' ') || 'nothing'
  );
}

function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function readRole(text: string): Role {
  if (text === 'admin' || text === 'user') return text;
  throw new InvalidArgumentError('the role is admin or user.');
}

/** A date alone is its first moment in UTC. */
function readExpires(text: string): string {
  return /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;
}

function readAccess(text: string, before: AccessRule[] = []): AccessRule[] {
  const equals = text.lastIndexOf('=');
  const actions = text.slice(equals + 1).split(',');
  if (equals <= 0 || !actions.every(isAction)) {
    throw new InvalidArgumentError('give GLOB=pull,push,delete, or some of the three.');
  }
  return [...before, { repository: text.slice(0, equals), actions }];
}

function isAction(text: string): text is RepositoryAction {
  return REPOSITORY_ACTIONS.some((action) => action === text);
}
