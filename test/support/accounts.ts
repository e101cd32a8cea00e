/** Accounts on a folder of their own, as the gate opens them, with everything that they wrote to the log. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { compare, hash } from 'bcrypt';
import { pino } from 'pino';
import { Accounts } from '../../src/auth/accounts/accounts.service';
import { PasswordHasher } from '../../src/auth/accounts/password-hasher';
import { readSettings } from '../../src/config/read-settings';
import { Audit } from '../../src/journal/audit';
import { atTheEnd, freshFolder } from './lifecycle';
import { succeed } from './processes';

export interface LogEntry {
  level: number;
  msg: string;
  audit?: string;
  target?: string;
  actor?: string;
}

/**
 * bcrypt as it is, new passwords at its lowest cost: specs of accounts are hardly ever about the time that a hash
 * takes.
 */
const cheap = {
  compare,
  hash: (password: string, salt: number | string) =>
    hash(password, typeof salt === 'number' ? 4 : salt),
};

export const ACTOR = { actor: 'root', address: '192.0.2.1', request: 'r1' };

/** Where accounts live, and how to open them: several times at once, as processes beside each other do. */
export class AccountsFolder {
  readonly dataDir = freshFolder('accounts');
  readonly log: LogEntry[] = [];
  readonly #env: Record<string, string>;

  constructor(env: Record<string, string> = {}) {
    this.#env = { DATA_DIR: this.dataDir, ...env };
    mkdirSync(this.dataDir, { recursive: true });
  }

  get htpasswd(): string {
    return this.#env['HTPASSWD_FILE'] ?? join(this.dataDir, 'htpasswd');
  }

  get metadata(): string {
    return join(this.dataDir, 'accounts.json');
  }

  /** @param watch false for what the command line does */
  async open({ watch = true, hasher = new PasswordHasher(cheap) } = {}): Promise<Accounts> {
    const log = pino({ level: 'debug' }, { write: (line: string) => void this.#keep(line) });
    const accounts = new Accounts(readSettings(this.#env), new Audit(log), log, hasher);
    await accounts.open({ watch });
    atTheEnd(() => accounts.close());
    return accounts;
  }

  /** The real program: `htpasswd <options> <file> …`, at the lowest cost of its own. */
  async edit(options: string, ...args: string[]): Promise<void> {
    await succeed('htpasswd', [options, this.htpasswd, ...args]);
  }

  audited(event: string): LogEntry[] {
    return this.log.filter(({ audit }) => audit === event);
  }

  #keep(line: string): void {
    this.log.push(JSON.parse(line) as LogEntry);
  }
}
