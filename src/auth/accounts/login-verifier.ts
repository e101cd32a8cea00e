/** Is this password the account's? With as little hashing as that takes, and no more for a stranger than a friend. */
import { createHmac, randomBytes } from 'node:crypto';
import { LRUCache } from 'lru-cache';
import { atMost } from '../../config/at-most';
import type { Account } from './account';
import { COST, costOf } from './password-hash';
import type { PasswordHasher } from './password-hasher';

const REMEMBERED = 10_000;
/** Milliseconds. */
const REMEMBERED_FOR = 5 * 60 * 1000;

/** What the verifier needs to know of the accounts, at the time it asks. */
export interface Logins {
  /** Only accounts in force. */
  find(username: string): Account | undefined;
  hashOf(username: string): string | undefined;
  /** The highest cost of any hash. */
  readonly highestCost: number;
}

export class LoginVerifier {
  readonly #hasher: PasswordHasher;
  readonly #logins: Logins;
  // Credentials are remembered under a key that nobody else has, so that a memory dump does not list password hashes
  // that are cheaper to try than bcrypt's.
  readonly #key = randomBytes(32);
  /** The fingerprint of the hash that the credentials matched: with another hash the memory is void. */
  readonly #remembered = new LRUCache<string, string>({
    ...atMost(REMEMBERED),
    ttl: REMEMBERED_FOR,
  });
  readonly #underWay = new Map<string, Promise<boolean>>();

  constructor(hasher: PasswordHasher, logins: Logins) {
    this.#hasher = hasher;
    this.#logins = logins;
  }

  /** As `Accounts.verify`. */
  async verify(username: string, password: string, client: string): Promise<Account | undefined> {
    const account = this.#logins.find(username);
    const credentials = this.#nameOf(username, password);
    if (account && this.#remembered.get(credentials) === account.fingerprint) return account;
    const matches = await this.#matchOnce(credentials, account, password, client);
    if (!account || !matches) return undefined;
    // The account may have been changed or taken away while the hash was being compared.
    const now = this.#logins.find(username);
    if (now?.fingerprint !== account.fingerprint) return undefined;
    this.#remembered.set(credentials, account.fingerprint);
    return now;
  }

  /** Identical logins at the same time share one comparison: docker sends as many as it has layers. */
  #matchOnce(
    credentials: string,
    account: Account | undefined,
    password: string,
    client: string,
  ): Promise<boolean> {
    const key = `${credentials} ${account?.fingerprint ?? ''}`;
    const running = this.#underWay.get(key);
    if (running) return running;
    const text = account && this.#logins.hashOf(account.username);
    const hash = text === undefined ? undefined : { text, cost: costOf(text) ?? COST };
    const started = this.#hasher
      .matches(password, hash, this.#logins.highestCost, client)
      .finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, started);
    return started;
  }

  #nameOf(username: string, password: string): string {
    return createHmac('sha256', this.#key)
      .update(JSON.stringify([username, password]))
      .digest('base64url');
  }
}
