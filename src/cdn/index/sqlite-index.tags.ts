/**
 * Tags as rows. A version is a number of one sequence for all tags: reading a tag gives the sequence's number of now, and
 * setting it fails when anything wrote or forgot it under a greater one.
 */
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import type { TagEntry, TagRecord } from './content-index';
import type { Via } from '../source';
import { UnusableIndex } from './sqlite-index.schema';
import { CHUNK, digestIn, type Row, type Statements } from './sqlite-index.statements';

/** In place of a tag: all tags of the name. */
const ALL = '';

/** A tag, or the whole of a name, that was forgotten under that version. */
export interface Forgotten {
  readonly name: string;
  readonly tag: string;
  readonly whole: boolean;
  readonly version: number;
}

/** Where a sweep is. */
export type TagKey = readonly [name: string, tag: string, via: string];
export const FIRST_TAG: TagKey = ['', '', ''];

export class TagRows {
  /** @param noteVersion is told each version that is handed out. */
  constructor(
    private readonly statements: Statements,
    private readonly noteVersion: (version: number) => void,
  ) {}

  read(name: CanonicalName, tag: Tag, via: Via): TagEntry {
    const row = this.statements.get(
      `SELECT digest, media_type, size, checked_at FROM tag
       WHERE name = ? AND tag = ? AND via = ? AND version > ?`,
      name,
      tag,
      via,
      this.#forgottenAt(name, tag),
    );
    return { record: row && recordIn(row), version: this.#versions().now };
  }

  set(name: CanonicalName, tag: Tag, via: Via, record: TagRecord, ifVersion: number): boolean {
    const { now, oldest } = this.#versions();
    const row = this.statements.get(
      'SELECT version FROM tag WHERE name = ? AND tag = ? AND via = ?',
      name,
      tag,
      via,
    );
    const changedAt = Math.max(Number(row?.['version'] ?? 0), this.#forgottenAt(name, tag));
    if (ifVersion < oldest || ifVersion > now || changedAt > ifVersion) return false;
    this.statements.run(
      'INSERT OR REPLACE INTO tag VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      name,
      tag,
      via,
      record.digest,
      record.mediaType,
      record.size,
      record.checkedAt,
      this.#nextVersion(),
    );
    return true;
  }

  /** From now on the tag, or each of the name, counts for nothing. @returns the version of that. */
  forget(name: CanonicalName, tag: Tag | undefined): number {
    const version = this.#nextVersion();
    this.statements.run(
      'INSERT OR REPLACE INTO forgotten VALUES (?, ?, ?, ?)',
      name,
      tag ?? ALL,
      version,
      Date.now(),
    );
    if (tag !== undefined)
      this.statements.run('DELETE FROM tag WHERE name = ? AND tag = ?', name, tag);
    return version;
  }

  /** Removes the record of these credentials alone. */
  drop(name: CanonicalName, tag: Tag, via: Via): void {
    this.statements.run('DELETE FROM tag WHERE name = ? AND tag = ? AND via = ?', name, tag, via);
  }

  /** Removes some of the records that `forget` of a whole name made void. @returns whether none is left. */
  removeVoid(name: string, version: number): boolean {
    const removed = this.statements.run(
      `DELETE FROM tag WHERE name = ?1 AND (tag, via) IN
       (SELECT tag, via FROM tag WHERE name = ?1 AND version <= ?2 LIMIT ${CHUNK})`,
      name,
      version,
    );
    return removed < CHUNK;
  }

  /** Some of what was forgotten before that time. */
  forgottenBefore(time: number): readonly Forgotten[] {
    return this.statements
      .all(
        `SELECT name, tag, version FROM forgotten WHERE forgotten_at < ?
         ORDER BY forgotten_at LIMIT ${CHUNK / 10}`,
        time,
      )
      .map((row) => ({
        name: String(row['name']),
        whole: row['tag'] === ALL,
        tag: String(row['tag']),
        version: Number(row['version']),
      }));
  }

  /** No longer remembers that these were forgotten: a version from before then is refused as too old, for any tag. */
  dropForgotten(forgotten: readonly Forgotten[]): void {
    for (const { name, tag, version } of forgotten) {
      this.statements.run('UPDATE state SET oldest_version = max(oldest_version, ?)', version);
      this.statements.run(
        'DELETE FROM forgotten WHERE name = ? AND tag = ? AND version = ?',
        name,
        tag,
        version,
      );
    }
  }

  /**
   * Removes, of the next chunk, what was last checked before that time and leads to nothing held: it would only be asked anew.
   * @returns where to go on; undefined at the end.
   */
  removeUnheld([name, tag, via]: TagKey, before: number): TagKey | undefined {
    const end = this.statements.get(
      `SELECT name, tag, via FROM tag WHERE (name, tag, via) > (?, ?, ?)
       ORDER BY name, tag, via LIMIT 1 OFFSET ${CHUNK - 1}`,
      name,
      tag,
      via,
    );
    const last: TagKey | undefined = end && [
      String(end['name']),
      String(end['tag']),
      String(end['via']),
    ];
    this.statements.run(
      `DELETE FROM tag WHERE (name, tag, via) > (?, ?, ?) AND (name, tag, via) <= (?, ?, ?)
       AND checked_at < ? AND NOT EXISTS (SELECT 1 FROM content WHERE content.digest = tag.digest)`,
      name,
      tag,
      via,
      ...(last ?? BEHIND_ALL),
      before,
    );
    return last;
  }

  #versions(): { now: number; oldest: number } {
    const row = this.statements.get('SELECT version, oldest_version FROM state');
    if (!row) throw new UnusableIndex('the index has lost its versions');
    const now = Number(row['version']);
    this.noteVersion(now);
    return { now, oldest: Number(row['oldest_version']) };
  }

  #nextVersion(): number {
    this.statements.run('UPDATE state SET version = version + 1');
    return this.#versions().now;
  }

  /** Records up to that version count for nothing. */
  #forgottenAt(name: CanonicalName, tag: Tag): number {
    const row = this.statements.get(
      `SELECT max(version) AS version FROM forgotten WHERE name = ? AND tag IN (?, '${ALL}')`,
      name,
      tag,
    );
    return Number(row?.['version'] ?? 0);
  }
}

const BEHIND_ALL: TagKey = ['~', '~', '~'];

function recordIn(row: Row): TagRecord {
  return {
    digest: digestIn(row),
    mediaType: String(row['media_type']),
    size: Number(row['size']),
    checkedAt: Number(row['checked_at']),
  };
}
