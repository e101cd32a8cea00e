import type { FixedAccount } from '../../config/settings';
import type { Account } from './account';
import { fingerprintOf, fixedSalt } from './password-hash';
import type { PasswordHasher } from './password-hasher';

/** The accounts of the setting ACCOUNTS, which has checked them. They live in memory, and change with it alone. */
export class FixedAccounts {
  readonly names: ReadonlySet<string>;
  readonly #given: readonly FixedAccount[];
  readonly #accounts = new Map<string, Account>();
  readonly #hashes = new Map<string, string>();

  constructor(given: readonly FixedAccount[]) {
    this.#given = given;
    this.names = new Set(given.map(({ username }) => username));
  }

  /** Hashes the passwords. */
  async open(hasher: PasswordHasher): Promise<void> {
    await Promise.all(
      this.#given.map(async ({ username, password }) => {
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
