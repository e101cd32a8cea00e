/** Links as rows. Each call is small: over the whole of a name it goes chunk by chunk. */
import type { Digest } from '../../oci/digest';
import type { CanonicalName } from '../../oci/repository-name';
import type { Link } from './content-index';
import type { Via } from '../source';
import { CHUNK, digestIn, type Statements } from './sqlite-index.statements';

/** What one chunk of a name's content comes to. */
export interface Sum {
  readonly contents: number;
  readonly bytes: number;
  /** When any of it was last used; 0 for none. */
  readonly usedAt: number;
  /** The last digest that was counted, to go on behind; undefined where nothing was left. */
  readonly last: Digest | undefined;
}

export class LinkRows {
  constructor(private readonly statements: Statements) {}

  of(name: CanonicalName, digest: Digest): readonly Link[] {
    return this.statements
      .all('SELECT via, media_type FROM link WHERE name = ? AND digest = ?', name, digest)
      .map((row) => ({
        via: String(row['via']) as Via,
        mediaType: row['media_type'] === null ? undefined : String(row['media_type']),
      }));
  }

  /** Takes the digest from the content's own row, so that there is no link where there is none. */
  add(name: CanonicalName, digest: Digest, { via, mediaType }: Link): void {
    this.statements.run(
      `INSERT INTO link SELECT ?2, digest, ?3, ?4, ?5 FROM content WHERE digest = ?1
       ON CONFLICT (name, digest, via, kind) DO UPDATE SET media_type = excluded.media_type
       WHERE media_type IS NOT excluded.media_type`,
      digest,
      name,
      via,
      mediaType === undefined ? 'blob' : 'manifest',
      mediaType ?? null,
    );
  }

  suspended(): readonly string[] {
    return this.statements
      .all('SELECT registry FROM suspended')
      .map((row) => String(row['registry']));
  }

  suspend(registry: string, refused: boolean): void {
    const sql = refused
      ? 'INSERT OR IGNORE INTO suspended VALUES (?)'
      : 'DELETE FROM suspended WHERE registry = ?';
    this.statements.run(sql, registry);
  }

  remove(name: CanonicalName, digest: Digest, via: Via | undefined): void {
    this.statements.run(
      'DELETE FROM link WHERE name = ?1 AND digest = ?2 AND (?3 IS NULL OR via = ?3)',
      name,
      digest,
      via ?? null,
    );
  }

  /** Removes what is asked for of the name's next chunk. @returns the digest to go on behind; undefined at the end. */
  removeChunk(
    name: CanonicalName,
    after: Digest | undefined,
    via: Via | undefined,
  ): Digest | undefined {
    const start = after ?? '';
    const end = this.statements.get(
      `SELECT digest FROM link WHERE name = ? AND digest > ? ORDER BY digest LIMIT 1 OFFSET ${CHUNK - 1}`,
      name,
      start,
    );
    const last = end && digestIn(end);
    this.statements.run(
      `DELETE FROM link WHERE name = ?1 AND digest > ?2 AND digest <= ?3 AND (?4 IS NULL OR via = ?4)`,
      name,
      start,
      last ?? BEHIND_ALL,
      via ?? null,
    );
    return last;
  }

  digests(name: CanonicalName, after: Digest | undefined, limit: number): readonly Digest[] {
    return this.statements
      .all(
        'SELECT DISTINCT digest FROM link WHERE name = ? AND digest > ? ORDER BY digest LIMIT ?',
        name,
        after ?? '',
        limit,
      )
      .map(digestIn);
  }

  isLinked(digest: Digest): boolean {
    return this.statements.get('SELECT 1 FROM link WHERE digest = ? LIMIT 1', digest) !== undefined;
  }

  /** The first name behind that one. */
  nameAfter(after: CanonicalName | undefined): CanonicalName | undefined {
    const row = this.statements.get(
      'SELECT name FROM link WHERE name > ? ORDER BY name LIMIT 1',
      after ?? '',
    );
    return row && (String(row['name']) as CanonicalName);
  }

  sum(name: CanonicalName, after: Digest | undefined): Sum {
    const row = this.statements.get(
      `SELECT count(*) AS contents, sum(size) AS bytes, max(used_at) AS used_at, max(digest) AS digest
       FROM (SELECT DISTINCT digest FROM link WHERE name = ? AND digest > ? ORDER BY digest LIMIT ${CHUNK})
       JOIN content USING (digest)`,
      name,
      after ?? '',
    );
    if (!row || row['digest'] === null)
      return { contents: 0, bytes: 0, usedAt: 0, last: undefined };
    return {
      contents: Number(row['contents']),
      bytes: Number(row['bytes']),
      usedAt: Number(row['used_at']),
      last: digestIn(row),
    };
  }
}

/** Greater than every digest. */
const BEHIND_ALL = '~';
