/** User names and passwords in settings. */
import { CONTROL, PASSWORD_RULE, passwordFault, USERNAME, USERNAME_RULE } from './account-grammar';
import type { FixedAccount } from './settings';
import { readBy, Unreadable, type TextSchema } from './setting-values';

function checkedUsername(text: string): string {
  if (USERNAME.test(text)) return text;
  throw new Unreadable(`is no user name; give ${USERNAME_RULE}`);
}

function checkedPassword(text: string): string {
  const fault = passwordFault(text);
  if (fault === undefined) return text;
  throw new Unreadable(`is no password here: ${fault}; give ${PASSWORD_RULE}`);
}

/** The name of an account of the gate's own. */
export const username: TextSchema<string> = readBy(checkedUsername);

/** The password of an account of the gate's own. */
export const password: TextSchema<string> = readBy(checkedPassword);

/** A user name that an upstream registry knows: whatever Basic authentication can carry. */
export const upstreamUsername: TextSchema<string> = readBy((text) => {
  if (!text.includes(':') && !CONTROL.test(text)) return text;
  throw new Unreadable('holds a colon or a control character; give the user name alone');
});

/** A password or token that an upstream registry knows; it may be far longer than one of ours. */
export const upstreamPassword: TextSchema<string> = readBy((text) => {
  if (!CONTROL.test(text)) return text;
  throw new Unreadable('holds a control character; give a password of one line of text');
});

const HELP = 'give the base64 of user:password, several separated by commas';
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

type Login = (username: string, password: string) => FixedAccount;

function readAccount(entry: string, login: Login): FixedAccount {
  if (!BASE64.test(entry)) throw new Unreadable(`is not base64; ${HELP}`);
  const text = decodeUtf8(Buffer.from(entry, 'base64'));
  const colon = text.indexOf(':');
  if (colon < 0) throw new Unreadable(`has no colon; ${HELP}`);
  return login(text.slice(0, colon), text.slice(colon + 1));
}

function decodeUtf8(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Unreadable(`is not UTF-8; ${HELP}`);
  }
}

/** Base64 of `user:password`, several separated by commas. Faults name an entry by its place. */
function readAccounts(text: string, login: Login): FixedAccount[] {
  const accounts = text.split(',').map((entry, index) => {
    try {
      return readAccount(entry.trim(), login);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      throw new Unreadable(`entry ${index + 1} ${error.message}`);
    }
  });
  const first = new Map<string, number>();
  for (const [index, { username }] of accounts.entries()) {
    const before = first.get(username);
    if (before !== undefined)
      throw new Unreadable(
        `entry ${index + 1} names the user of entry ${before + 1} once more; give each user once`,
      );
    first.set(username, index);
  }
  return accounts;
}

/** ACCOUNTS as accounts of the gate's own. */
export const fixedAccounts: TextSchema<FixedAccount[]> = readBy((text) =>
  readAccounts(text, (user, word) => ({
    username: checkedUsername(user),
    password: checkedPassword(word),
  })),
);

/** ACCOUNTS as logins at a registry: its users may be called as it likes, and tokens for passwords be long. */
export const upstreamLogins: TextSchema<FixedAccount[]> = readBy((text) =>
  readAccounts(text, (user, word) => {
    if (user === '' || word === '') throw new Unreadable(`has no user or no password; ${HELP}`);
    if (CONTROL.test(user + word)) throw new Unreadable(`holds a control character; ${HELP}`);
    return { username: user, password: word };
  }),
);
