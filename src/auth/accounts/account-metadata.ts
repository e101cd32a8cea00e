/**
 * accounts.json: what htpasswd has no field for. htpasswd says who exists and with what hash; this file only adds, and
 * ties what it adds to that hash by its fingerprint. Version 1.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { visible } from '../../config/visible';
import type { AccessRule, Role } from './account';
import { accessRules, expires, role } from './account-fields';

/** How many removed names are remembered; beyond it the oldest go, and `floor` rises to their epoch. */
const MAX_REMOVED = 10_000;

const MAX_FAULT = 300;

/** What is kept of one name. */
export interface AccountRecord {
  readonly role: Role;
  readonly access?: readonly AccessRule[];
  readonly disabled: boolean;
  readonly expires?: string;
  readonly epoch: number;
  /** Of the hashes that this record belongs to: one, or two while a password is being changed. */
  readonly fingerprints: readonly string[];
  /** The name has vanished from htpasswd; with the same hash it comes back as it was. */
  readonly suspended?: true;
}

/** The whole file, immutable. */
export interface Metadata {
  /** Of the htpasswd text that the last writer among Tidegate's processes left, or was about to leave. */
  readonly seal?: string;
  /** The epoch that a name begins with of which nothing is known. */
  readonly floor: number;
  readonly records: ReadonlyMap<string, AccountRecord>;
  /** Names that were removed, with the epoch that they begin with should they come back. */
  readonly removed: ReadonlyMap<string, number>;
}

export const NO_METADATA: Metadata = { floor: 0, records: new Map(), removed: new Map() };

const epoch = z.int().nonnegative();
// Lists of entries, not objects by name: a name such as `__proto__` is an ordinary one in htpasswd.
const schema = z.strictObject({
  version: z.literal(1),
  htpasswd: z.string().optional(),
  floor: epoch,
  accounts: z.array(
    z.strictObject({
      username: z.string().min(1),
      role,
      access: accessRules.optional(),
      disabled: z.boolean(),
      expires: expires.optional(),
      epoch,
      fingerprints: z.array(z.string()).min(1).max(2),
      suspended: z.literal(true).optional(),
    }),
  ),
  removed: z.array(z.strictObject({ username: z.string().min(1), epoch })),
});

/** A text that is no accounts.json; the message says where it fails. */
export class MetadataFault extends Error {}

/** @throws MetadataFault */
export function parseMetadata(text: string): Metadata {
  const result = schema.safeParse(parseJson(text));
  if (!result.success) {
    const [issue] = result.error.issues;
    const where = issue?.path.join('.') || 'the document';
    // Keys that are not known are quoted, and may be anything.
    throw new MetadataFault(visible(`${where}: ${issue?.message}`.slice(0, MAX_FAULT)));
  }
  const { htpasswd, floor, accounts, removed } = result.data;
  const metadata = {
    seal: htpasswd,
    floor,
    records: new Map(accounts.map(({ username, ...record }) => [username, record])),
    removed: new Map(removed.map((entry) => [entry.username, entry.epoch])),
  };
  if (metadata.records.size < accounts.length) throw new MetadataFault('accounts: a name twice');
  return metadata;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message would quote the file.
    throw new MetadataFault('not JSON');
  }
}

/** One account a line, so that an operator finds their way in it. */
export function formatMetadata({ seal, floor, records, removed }: Metadata): string {
  const accounts = [...records].map(([username, record]) => ({ username, ...record }));
  const names = [...removed].map(([username, since]) => ({ username, epoch: since }));
  const fields = [
    `"version": 1`,
    ...(seal === undefined ? [] : [`"htpasswd": ${JSON.stringify(seal)}`]),
    `"floor": ${floor}`,
    `"accounts": ${lines(accounts)}`,
    `"removed": ${lines(names)}`,
  ];
  return `{\n  ${fields.join(',\n  ')}\n}\n`;
}

function lines(entries: readonly object[]): string {
  if (entries.length === 0) return '[]';
  return `[\n    ${entries.map((entry) => JSON.stringify(entry)).join(',\n    ')}\n  ]`;
}

/** Proves that a htpasswd text is whole: who finds it in accounts.json need not wait for the file to settle. */
export function sealOf(htpasswd: string): string {
  return createHash('sha256').update(htpasswd).digest('base64url');
}

/** With these records for these names, which are not removed ones from then on. */
export function withRecords(
  metadata: Metadata,
  updates: ReadonlyMap<string, AccountRecord>,
): Metadata {
  if (updates.size === 0) return metadata;
  const removed = new Map(metadata.removed);
  for (const username of updates.keys()) removed.delete(username);
  return { ...metadata, records: new Map([...metadata.records, ...updates]), removed };
}

export function withRecord(metadata: Metadata, username: string, record: AccountRecord): Metadata {
  return withRecords(metadata, new Map([[username, record]]));
}

/** Without the name, remembering the epoch that it must begin with. */
export function withoutRecord(metadata: Metadata, username: string, since: number): Metadata {
  const records = new Map(metadata.records);
  const removed = new Map(metadata.removed);
  records.delete(username);
  removed.delete(username);
  removed.set(username, since);
  let { floor } = metadata;
  for (const [name, forgotten] of removed) {
    if (removed.size <= MAX_REMOVED) break;
    removed.delete(name);
    floor = Math.max(floor, forgotten);
  }
  return { ...metadata, floor, records, removed };
}

/** The lowest epoch that a new account of this name may have. */
export function firstEpoch(metadata: Metadata, username: string): number {
  const record = metadata.records.get(username);
  const removed = metadata.removed.get(username) ?? 0;
  return Math.max(metadata.floor, removed, record ? record.epoch + 1 : 0);
}
