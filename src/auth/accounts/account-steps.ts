/** What is written for a change of an account: an order that may be cut anywhere without taking or giving too much. */
import { OciError } from '../../oci/oci-error';
import { isInForce } from './account';
import type { Step } from './account-files';
import type { CheckedChange } from './account-input';
import { firstEpoch, withoutRecord, withRecord, type AccountRecord } from './account-metadata';
import type { Draft } from './account-store';
import { fingerprintOf } from './password-hash';

export function unknownAccount(username: string): OciError {
  return new OciError('USER_UNKNOWN', {
    message: `there is no account ${JSON.stringify(username)}`,
  });
}

/** What accounts.json says of an account that exists, or would say. @throws OciError USER_UNKNOWN. */
export function recordIn({ snapshot }: Draft, username: string): AccountRecord {
  const account = snapshot.accounts.get(username);
  if (!account) throw unknownAccount(username);
  const { role, access, disabled, expires, epoch, fingerprint } = account;
  return { role, access, disabled, expires, epoch, fingerprints: [fingerprint] };
}

/**
 * The record with what was asked for. What goes out of force, or comes back into it, begins a new epoch: its tokens are
 * void for good, and do not revive with it.
 */
export function changed(
  record: AccountRecord,
  fields: Omit<CheckedChange, 'password'>,
): AccountRecord {
  const { role = record.role, disabled = record.disabled } = fields;
  const access = fields.access === undefined ? record.access : (fields.access ?? undefined);
  const expires = fields.expires === undefined ? record.expires : (fields.expires ?? undefined);
  const after = { ...record, role, disabled, access, expires };
  const now = Date.now();
  const turned = isInForce(record, now) !== isInForce(after, now);
  return turned ? { ...after, epoch: record.epoch + 1 } : after;
}

/** accounts.json first: what it says of a name that htpasswd does not hold is without effect. */
export function stepsToAdd(
  { snapshot, base }: Draft,
  username: string,
  fields: Omit<AccountRecord, 'epoch' | 'fingerprints'>,
  hash: string,
): Step[] {
  const epoch = firstEpoch(base, username);
  const record = { ...fields, epoch, fingerprints: [fingerprintOf(hash)] };
  return [
    { metadata: withRecord(base, username, record) },
    { htpasswd: snapshot.htpasswd.with(username, hash) },
  ];
}

/** htpasswd first: from then on the account is out. */
export function stepsToRemove(draft: Draft, username: string): Step[] {
  const { epoch } = recordIn(draft, username);
  return [
    { htpasswd: draft.snapshot.htpasswd.without(username) },
    { metadata: withoutRecord(draft.base, username, epoch + 1) },
  ];
}

/**
 * With a new hash, accounts.json first belongs to both hashes, so that the account keeps its rights wherever the
 * process ends.
 */
export function stepsToChange(
  { snapshot, base }: Draft,
  username: string,
  record: AccountRecord,
  hash: string | undefined,
): Step[] {
  if (hash === undefined) return [{ metadata: withRecord(base, username, record) }];
  const fingerprint = fingerprintOf(hash);
  const both = { ...record, fingerprints: [...record.fingerprints, fingerprint] };
  return [
    { metadata: withRecord(base, username, both) },
    { htpasswd: snapshot.htpasswd.with(username, hash) },
    { metadata: withRecord(base, username, { ...record, fingerprints: [fingerprint] }) },
  ];
}
