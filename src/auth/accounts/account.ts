/** What an account is to the rest of the gate. */
import type { RepositoryAction } from '../../oci/access';

/** One line of an account's list: what it may do where. */
export interface AccessRule {
  /** A glob over canonical names: `*` within a segment, `**` across. */
  repository: string;
  actions: RepositoryAction[];
}

export type Role = 'user' | 'admin';

export interface Account {
  readonly username: string;
  readonly role: Role;
  /** Without a list an ordinary user may pull everything; an empty one allows nothing. */
  readonly access?: readonly AccessRule[];
  readonly disabled: boolean;
  /** ISO 8601, UTC. */
  readonly expires?: string;
  /** Tokens of a lower epoch are void. It never falls for a name, whoever bears it. */
  readonly epoch: number;
  /** Of the password's hash; tokens carry it, so that they end with the password. */
  readonly fingerprint: string;
  readonly source: 'htpasswd' | 'settings';
}

/** Who changes an account, for the audit line. */
export interface Actor {
  actor?: string;
  address?: string;
  request?: string;
}

/** What may be shown of an account: chosen field by field, so that nothing of its hash can follow. */
export function shown({ username, role, access, disabled, expires, source }: Account) {
  return { username, role, access, disabled, expires, source };
}

/** True when the account may be used at that time (milliseconds since the epoch). */
export function isInForce(account: Pick<Account, 'disabled' | 'expires'>, now: number): boolean {
  return !account.disabled && !(account.expires && Date.parse(account.expires) <= now);
}
