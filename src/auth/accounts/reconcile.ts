/** htpasswd and accounts.json put together: who exists, with what rights, what accounts.json should say now. Pure. */
import type { Account, AccessRule } from './account';
import { firstEpoch, withRecords, type AccountRecord, type Metadata } from './account-metadata';
import { fingerprintOf } from './password-hash';

/** What was made of the two files. */
export interface Reconciled {
  readonly accounts: ReadonlyMap<string, Account>;
  /** The very object that was given when nothing has to be written. */
  readonly metadata: Metadata;
  /** Accounts that lost rights, since their hash changed while nobody watched. */
  readonly lessened: readonly string[];
}

/**
 * @param hashes what htpasswd holds: hash by name
 * @param metadata what accounts.json holds
 * @param watched the accounts of the reading before, when there was one: a hash that changes between two readings that
 *   both hold the name is a change of password. Without it nobody can tell that from an account that was removed and
 *   added anew by the same name, which must not inherit anything.
 */
export function reconcile(
  hashes: ReadonlyMap<string, string>,
  metadata: Metadata,
  watched?: ReadonlyMap<string, Account>,
): Reconciled {
  const accounts = new Map<string, Account>();
  const lessened: string[] = [];
  const updates = new Map<string, AccountRecord>();
  for (const [username, hash] of hashes) {
    const fingerprint = fingerprintOf(hash);
    const before = metadata.records.get(username);
    const record = recordOf(username, fingerprint, metadata, watched?.get(username)?.fingerprint);
    if (record && record !== before) updates.set(username, record);
    if (record && before && !before.suspended && hasLost(before, record)) lessened.push(username);
    accounts.set(username, accountOf(username, fingerprint, record, metadata.floor));
  }
  for (const [username, record] of metadata.records) {
    if (hashes.has(username) || record.suspended) continue;
    updates.set(username, { ...record, suspended: true });
  }
  return { accounts, metadata: withRecords(metadata, updates), lessened };
}

/** What the record of a name that is in htpasswd should be; undefined for one that needs none. */
function recordOf(
  username: string,
  fingerprint: string,
  metadata: Metadata,
  watched: string | undefined,
): AccountRecord | undefined {
  const record = metadata.records.get(username);
  const fingerprints = [fingerprint];
  if (!record) {
    const epoch = metadata.removed.get(username);
    return epoch === undefined
      ? undefined
      : { ...ordinary(Math.max(epoch, metadata.floor)), fingerprints };
  }
  if (record.fingerprints.includes(fingerprint)) {
    if (!record.suspended && record.fingerprints.length === 1) return record;
    const { suspended: _, ...rest } = record;
    return { ...rest, fingerprints };
  }
  if (record.suspended) return { ...ordinary(firstEpoch(metadata, username)), fingerprints };
  if (watched !== undefined && record.fingerprints.includes(watched))
    return { ...record, fingerprints };
  return { ...lesser(record), epoch: record.epoch + 1, fingerprints };
}

function ordinary(epoch: number): Omit<AccountRecord, 'fingerprints'> {
  return { role: 'user', disabled: false, epoch };
}

/** No more than the record allowed, and no more than an ordinary account has. */
function lesser(record: AccountRecord): AccountRecord {
  if (!record.access) return { ...record, role: 'user' };
  return { ...record, role: 'user', access: pullOnly(record.access) };
}

function pullOnly(access: readonly AccessRule[]): AccessRule[] {
  return access
    .filter(({ actions }) => actions.includes('pull'))
    .map(({ repository }) => ({ repository, actions: ['pull'] }));
}

function hasLost(before: AccountRecord, now: AccountRecord): boolean {
  return before.role !== now.role || actionsOf(before) !== actionsOf(now);
}

function actionsOf({ access }: AccountRecord): number {
  return (access ?? []).reduce((sum, { actions }) => sum + actions.length, 0);
}

function accountOf(
  username: string,
  fingerprint: string,
  record: AccountRecord | undefined,
  floor: number,
): Account {
  const { role, access, disabled, expires, epoch } = record ?? (ordinary(floor) as AccountRecord);
  return Object.freeze({
    username,
    role,
    access,
    disabled,
    expires,
    epoch,
    fingerprint,
    source: 'htpasswd' as const,
  });
}
