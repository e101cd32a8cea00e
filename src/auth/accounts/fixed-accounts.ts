import type { FixedAccount } from '../../config/settings';
import type { Account } from './account';
import { fingerprintOf, fixedSalt } from './password-hash';
import { passwordFault, type PasswordHasher } from './password-hasher';

/** The accounts of the setting ACCOUNTS. They live in memory, and change with the setting alone. */
export class FixedAccounts {
  readonly names: ReadonlySet<string>;
  readonly #given: readonly FixedAccount[];
  readonly #accounts = new Map<string, Account>();
  readonly #hashes = new Map<string, string>();

  constructor(given: readonly FixedAccount[]) {
    this.#given = given;
    this.names = new Set(given.map(({ username }) => username));
  }

  /** Hashes the passwords. Throws an Error that names ACCOUNTS when one cannot be used. */
  async open(hasher: PasswordHasher): Promise<void> {
    if (this.names.size < this.#given.length)
      throw new Error('ACCOUNTS: a name stands in it twice');
    await Promise.all(
      this.#given.map(async ({ username, password }) => {
        const fault = passwordFault(password);
        if (fault) throw new Error(`ACCOUNTS: ${username}: ${fault}`);
        const hash = await hasher.make(password, fixedSalt(username));
        this.#hashes.set(username, hash);
        this.#accounts.set(username, {
          username,
          role: 'user',
          disabled: false,
          epoch: 0,
          fingerprint: fingerprintOf(hash),
          source: 'settings',
        });
      }),
    );
  }

  get(username: string): Account | undefined {
    return this.#accounts.get(username);
  }

  hashOf(username: string): string | undefined {
    return this.#hashes.get(username);
  }

  all(): Iterable<Account> {
    return this.#accounts.values();
  }
}
