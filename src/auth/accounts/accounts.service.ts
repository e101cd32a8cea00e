/** The accounts that may log in to the gate, and every change of them. */
import { Inject, Injectable, Optional } from '@nestjs/common';
import { Settings } from '../../config/settings';
import { Audit } from '../../journal/audit';
import { Log } from '../../journal/log';
import { OciError } from '../../oci/oci-error';
import { isInForce, type Account, type Actor } from './account';
import {
  checkChange,
  checkNewAccount,
  checkUsername,
  type AccountChange,
  type NewAccount,
} from './account-input';
import type { AccountRecord } from './account-metadata';
import {
  changed,
  recordIn,
  stepsToAdd,
  stepsToChange,
  stepsToRemove,
  unknownAccount,
} from './account-steps';
import { AccountStore, type Draft } from './account-store';
import { FixedAccounts } from './fixed-accounts';
import { ensureAdmin, type InitialAdmin } from './initial-admin';
import { LoginVerifier } from './login-verifier';
import { PasswordHasher } from './password-hasher';

@Injectable()
export class Accounts {
  readonly #settings: Settings;
  readonly #log: Log;
  readonly #hasher: PasswordHasher;
  readonly #store: AccountStore;
  readonly #fixed: FixedAccounts;
  readonly #verifier: LoginVerifier;

  constructor(
    @Inject(Settings) settings: Settings,
    @Inject(Audit) audit: Audit,
    @Inject(Log) log: Log,
    @Optional() hasher: PasswordHasher = new PasswordHasher(),
  ) {
    this.#settings = settings;
    this.#log = log;
    this.#hasher = hasher;
    // In relay they are logins at the registry, and no accounts of the gate's.
    this.#fixed = new FixedAccounts(settings.authMode === 'accounts' ? settings.accounts : []);
    const { dataDir, htpasswdFile } = settings;
    this.#store = new AccountStore({ dataDir, htpasswdFile, fixed: this.#fixed.names, audit, log });
    const store = this.#store;
    this.#verifier = new LoginVerifier(hasher, {
      find: (username) => this.find(username),
      hashOf: (username) =>
        this.#fixed.hashOf(username) ?? store.snapshot.htpasswd.hashes.get(username),
      get highestCost() {
        return store.snapshot.highestCost;
      },
    });
  }

  /**
   * Reads the files.
   * @param watch false for a process that only reads, or makes one change beside a running gate.
   * @throws Error that names file, line and remedy when one is broken
   */
  async open({ watch = true }: { watch?: boolean } = {}): Promise<void> {
    await this.#fixed.open(this.#hasher);
    await this.#store.open({ watch });
  }

  /** Stops polling and waits for writes under way. */
  async close(): Promise<void> {
    await this.#store.close();
  }

  /** The account of that name if it is in force now: what a token is checked against. */
  find(username: string): Account | undefined {
    const account = this.get(username);
    return account && isInForce(account, Date.now()) ? account : undefined;
  }

  /** The account of that name, disabled and expired ones too. */
  get(username: string): Account | undefined {
    return this.#fixed.get(username) ?? this.#store.snapshot.accounts.get(username);
  }

  /** All accounts by name. */
  list(): Account[] {
    return [...this.#store.snapshot.accounts.values(), ...this.#fixed.all()].sort((one, other) =>
      one.username < other.username ? -1 : 1,
    );
  }

  /** What is broken, for health; undefined when nothing is. */
  get fault(): string | undefined {
    return this.#store.fault;
  }

  /**
   * The account in force whose password that is.
   * @param client whom the hashing is counted for: an address, of IPv6 the /64
   * @throws OciError TOOMANYREQUESTS
   */
  verify(username: string, password: string, client: string): Promise<Account | undefined> {
    return this.#verifier.verify(username, password, client);
  }

  /** What speaks against an account of that name, before a password is asked for. @throws as `add` does. */
  async assertCanAdd(username: string): Promise<void> {
    checkUsername(username);
    this.#refuseTaken(this.get(username));
    await this.#store.assertWritable();
  }

  /**
   * @throws OciError BODY_INVALID; CONFLICT when the name is taken or the file is read-only; UNAVAILABLE when the disk
   * is full
   */
  async add(input: NewAccount, actor: Actor): Promise<Account> {
    const { username, password, ...fields } = checkNewAccount(input);
    await this.assertCanAdd(username);
    const hash = await this.#hasher.make(password);
    await this.#store.update(actor, (draft) => {
      this.#refuseTaken(draft.snapshot.accounts.get(username));
      return stepsToAdd(draft, username, fields, hash);
    });
    return this.#require(username);
  }

  /** What speaks against a new password for that account, before it is asked for. @throws as `change` does. */
  async assertCanChangePassword(username: string): Promise<void> {
    this.#requireChangeable(username);
    await this.#store.assertWritable();
  }

  /**
   * An account that is disabled, or expires by it, loses its tokens for good.
   * @throws OciError USER_UNKNOWN and as `add` does; CONFLICT for the last admin and for accounts of ACCOUNTS
   */
  async change(username: string, input: AccountChange, actor: Actor): Promise<Account> {
    this.#requireChangeable(username);
    const { password, ...fields } = checkChange(input);
    if (password !== undefined) await this.#store.assertWritable();
    const hash = password === undefined ? undefined : await this.#hasher.make(password);
    await this.#store.update(actor, (draft) => {
      const record = changed(recordIn(draft, username), fields);
      this.#keepAnAdmin(draft, username, record);
      return stepsToChange(draft, username, record, hash);
    });
    return this.#require(username);
  }

  /** As `change`. The account is out at once, its tokens included. */
  async remove(username: string, actor: Actor): Promise<void> {
    this.#requireChangeable(username);
    await this.#store.update(actor, (draft) => {
      recordIn(draft, username);
      this.#keepAnAdmin(draft, username, undefined);
      return stepsToRemove(draft, username);
    });
  }

  /** All tokens of the account that are out are void from now on. */
  async endSessions(username: string, actor: Actor): Promise<void> {
    this.#requireChangeable(username);
    await this.#store.update(actor, (draft) => {
      const record = recordIn(draft, username);
      return stepsToChange(draft, username, { ...record, epoch: record.epoch + 1 }, undefined);
    });
  }

  /**
   * Sees to it at start that somebody can manage the gate. Never changes an account that exists.
   * @returns undefined when there is no admin and none can be made; the log says why.
   */
  ensureAdmin(): Promise<InitialAdmin | undefined> {
    return ensureAdmin(this, this.#settings, this.#log);
  }

  #refuseTaken(account: Account | undefined): void {
    if (!account) return;
    const where = account.source === 'settings' ? ' in ACCOUNTS' : '';
    throw new OciError('CONFLICT', {
      message: `there is an account ${account.username}${where} already`,
    });
  }

  #require(username: string): Account {
    const account = this.get(username);
    if (!account) throw unknownAccount(username);
    return account;
  }

  #requireChangeable(username: string): void {
    if (this.#require(username).source === 'htpasswd') return;
    throw new OciError('CONFLICT', {
      message: `the account ${username} is fixed by the setting ACCOUNTS; change it there`,
    });
  }

  /** @param after what the account is to be; undefined when it is to go */
  #keepAnAdmin({ snapshot }: Draft, username: string, after: AccountRecord | undefined): void {
    const now = Date.now();
    const isAdmin = (account: Pick<Account, 'role' | 'disabled' | 'expires'>) =>
      account.role === 'admin' && isInForce(account, now);
    const before = snapshot.accounts.get(username);
    if (!before || !isAdmin(before) || (after && isAdmin(after))) return;
    for (const account of snapshot.accounts.values()) {
      if (account !== before && isAdmin(account)) return;
    }
    throw new OciError('CONFLICT', {
      message: `${username} is the last admin; make another one first`,
    });
  }
}
