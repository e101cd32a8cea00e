/** One state of the accounts, made whole from one reading of both files, and immutable. Pure. */
import type { AuditEvent } from '../../journal/audit';
import type { Account } from './account';
import {
  MetadataFault,
  NO_METADATA,
  parseMetadata,
  sealOf,
  type AccountRecord,
  type Metadata,
} from './account-metadata';
import { HtpasswdFault, HtpasswdFile } from './htpasswd-file';
import { COST, costOf } from './password-hash';
import { reconcile } from './reconcile';
import { sameReading, type Reading } from '../../config/watched-file';

/** Both files as they were read, accounts.json first. */
export interface Pair {
  readonly metadata: Reading;
  readonly htpasswd: Reading;
}

export interface Snapshot {
  readonly pair: Pair;
  /** The last good htpasswd and accounts.json. */
  readonly htpasswd: HtpasswdFile;
  readonly stored: Metadata;
  /** What accounts.json should say; the same object as `stored` when it does. */
  readonly metadata: Metadata;
  readonly accounts: ReadonlyMap<string, Account>;
  readonly lessened: readonly string[];
  readonly highestCost: number;
  /** Why the file as it is now is not the one in force. */
  readonly faults: { readonly htpasswd?: string; readonly metadata?: string };
}

/** What the two files are called in messages, and which names the file may not hold. */
export interface SnapshotContext {
  readonly paths: { readonly htpasswd: string; readonly metadata: string };
  readonly fixed: ReadonlySet<string>;
}

/** @param previous what was in force before: the source of what is kept where a file is broken. None at start. */
export function snapshotOf(pair: Pair, context: SnapshotContext, previous?: Snapshot): Snapshot {
  const metadata = readMetadata(pair, context, previous);
  const htpasswd = readHtpasswd(pair, context, previous);
  const reconciled = reconcile(htpasswd.value.hashes, metadata.value, previous?.accounts);
  return {
    pair,
    htpasswd: htpasswd.value,
    stored: metadata.value,
    ...reconciled,
    highestCost: highestCostOf(htpasswd.value),
    faults: { htpasswd: htpasswd.fault, metadata: metadata.fault },
  };
}

/** True when accounts.json vouches that this htpasswd text is what one of Tidegate's processes wrote, and whole. */
export function isSealed({ metadata, htpasswd }: Pair): boolean {
  if (metadata.kind !== 'text' || htpasswd.kind !== 'text') return false;
  try {
    return parseMetadata(metadata.text).seal === sealOf(htpasswd.text);
  } catch {
    return false;
  }
}

export function samePair(one: Pair, other: Pair): boolean {
  return sameReading(one.metadata, other.metadata) && sameReading(one.htpasswd, other.htpasswd);
}

/** What happened to which account between two states. At start (no state before) accounts.json stands in for it. */
export function eventsBetween(
  before: Snapshot | undefined,
  after: Snapshot,
): Pick<AuditEvent, 'event' | 'target' | 'detail'>[] {
  const { records } = before ? before.metadata : after.stored;
  const known = before?.accounts ?? accountsOf(records);
  const names = new Set([...known.keys(), ...after.accounts.keys()]);
  return [...names].flatMap((target) => {
    const old = known.get(target);
    const now = after.accounts.get(target);
    if (old && now) return changeOf(old, now);
    if (old) {
      const suspended = after.metadata.records.get(target)?.suspended;
      return [{ event: suspended ? 'account.suspended' : 'account.removed', target } as const];
    }
    const record = records.get(target);
    if (now && record?.fingerprints.includes(now.fingerprint)) {
      return [{ event: 'account.revived', target } as const];
    }
    // At start nobody can tell which of the names that accounts.json does not know are new.
    return before || record ? [{ event: 'account.created', target } as const] : [];
  });
}

function changeOf(old: Account, now: Account): Pick<AuditEvent, 'event' | 'target' | 'detail'>[] {
  const target = now.username;
  const fields = (['role', 'access', 'disabled', 'expires'] as const).filter(
    (field) => JSON.stringify(old[field]) !== JSON.stringify(now[field]),
  );
  const changed = [...(old.fingerprint === now.fingerprint ? [] : ['password']), ...fields];
  if (changed.length > 0) return [{ event: 'account.changed', target, detail: { changed } }];
  return old.epoch === now.epoch ? [] : [{ event: 'account.sessions-ended', target }];
}

function accountsOf(records: ReadonlyMap<string, AccountRecord>): ReadonlyMap<string, Account> {
  const accounts = new Map<string, Account>();
  for (const [username, { fingerprints, suspended, ...rest }] of records) {
    const fingerprint = fingerprints.at(-1) ?? '';
    if (!suspended) accounts.set(username, { ...rest, username, fingerprint, source: 'htpasswd' });
  }
  return accounts;
}

interface Read<T> {
  readonly value: T;
  readonly fault?: string;
}

function readMetadata(
  { metadata }: Pair,
  { paths }: SnapshotContext,
  previous?: Snapshot,
): Read<Metadata> {
  const last = previous?.stored ?? NO_METADATA;
  const fault = (reason: string) => ({
    value: last,
    fault: `${paths.metadata}: ${reason}; repair it, or put back a copy of it`,
  });
  if (metadata.kind === 'unreadable')
    return { value: last, fault: `${paths.metadata}: ${metadata.reason}` };
  if (metadata.kind === 'absent') {
    return previous && wasThere(previous.pair.metadata, previous.faults.metadata)
      ? fault('is gone')
      : { value: NO_METADATA };
  }
  if (previous && !previous.faults.metadata && sameReading(metadata, previous.pair.metadata)) {
    return { value: last };
  }
  try {
    return { value: parseMetadata(metadata.text) };
  } catch (error) {
    if (error instanceof MetadataFault) return fault(error.message);
    throw error;
  }
}

function readHtpasswd(
  { htpasswd, metadata }: Pair,
  { paths, fixed }: SnapshotContext,
  previous?: Snapshot,
): Read<HtpasswdFile> {
  const last = previous?.htpasswd ?? HtpasswdFile.empty;
  const fault = (reason: string) => ({ value: last, fault: `${paths.htpasswd}: ${reason}` });
  if (htpasswd.kind === 'unreadable') return fault(htpasswd.reason);
  if (htpasswd.kind === 'absent') {
    // Whoever writes accounts.json has made sure that there is a htpasswd file: this is a mount that failed, say.
    const expected = previous
      ? wasThere(previous.pair.htpasswd, previous.faults.htpasswd)
      : metadata.kind !== 'absent';
    return expected
      ? fault(`is gone, though ${paths.metadata} belongs to it; put it back, or make an empty one`)
      : { value: HtpasswdFile.empty };
  }
  if (previous && !previous.faults.htpasswd && sameReading(htpasswd, previous.pair.htpasswd)) {
    return { value: last };
  }
  try {
    const value = HtpasswdFile.parse(htpasswd.text);
    const twice = [...value.hashes.keys()].find((name) => fixed.has(name));
    if (twice === undefined) return { value };
    return fault(`holds the account ${twice}, which ACCOUNTS has too; take it out of one of them`);
  } catch (error) {
    if (error instanceof HtpasswdFault) return fault(error.message);
    throw error;
  }
}

function wasThere(reading: Reading, fault: string | undefined): boolean {
  return reading.kind !== 'absent' || fault !== undefined;
}

function highestCostOf({ hashes }: HtpasswdFile): number {
  let highest = COST;
  for (const hash of hashes.values()) highest = Math.max(highest, costOf(hash) ?? 0);
  return highest;
}
