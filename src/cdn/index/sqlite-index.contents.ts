/** Held content as rows. Each call is small. */
import type { Digest } from '../../oci/digest';
import type { HeldContent } from './content-index';
import { UnusableIndex } from './sqlite-index.schema';
import { CHUNK, digestIn, type Row, type Statements } from './sqlite-index.statements';

/** A digest, and when it was used. */
export type Use = readonly [digest: Digest, at: number];

const COLUMNS = 'digest, size, used_at';

export class ContentRows {
  constructor(private readonly statements: Statements) {}

  one(digest: Digest): HeldContent | undefined {
    const row = this.statements.get(`SELECT ${COLUMNS} FROM content WHERE digest = ?`, digest);
    return row && contentIn(row);
  }

  /** @returns false where nothing changed. */
  add(digest: Digest, size: number): boolean {
    const changed = this.statements.run(
      `INSERT INTO content VALUES (?, ?, ?)
       ON CONFLICT (digest) DO UPDATE SET size = excluded.size WHERE size <> excluded.size`,
      digest,
      size,
      Date.now(),
    );
    return changed > 0;
  }

  /** Removes it with its links; where these are too many for one go, some of them. @returns whether it is gone. */
  remove(digest: Digest): boolean {
    const unlinked = this.statements.run(
      `DELETE FROM link WHERE digest = ?1 AND (name, via, kind) IN
       (SELECT name, via, kind FROM link WHERE digest = ?1 LIMIT ${CHUNK})`,
      digest,
    );
    if (unlinked === CHUNK) return false;
    this.statements.run('DELETE FROM content WHERE digest = ?', digest);
    return true;
  }

  list(after: Digest | undefined, limit: number): readonly HeldContent[] {
    return this.statements
      .all(
        `SELECT ${COLUMNS} FROM content WHERE digest > ? ORDER BY digest LIMIT ?`,
        after ?? '',
        limit,
      )
      .map(contentIn);
  }

  touch(uses: readonly Use[]): void {
    for (const [digest, at] of uses) {
      this.statements.run(
        'UPDATE content SET used_at = ?1 WHERE digest = ?2 AND used_at < ?1',
        at,
        digest,
      );
    }
  }

  coldest(limit: number, before: number): readonly HeldContent[] {
    return this.statements
      .all(
        `SELECT ${COLUMNS} FROM content WHERE used_at < ? ORDER BY used_at, digest LIMIT ?`,
        before,
        limit,
      )
      .map(contentIn);
  }

  totals(): { readonly contents: number; readonly bytes: number } {
    const row = this.statements.get('SELECT contents, bytes FROM state');
    if (!row) throw new UnusableIndex('the index has lost its totals');
    return { contents: Number(row['contents']), bytes: Number(row['bytes']) };
  }
}

function contentIn(row: Row): HeldContent {
  return {
    digest: digestIn(row),
    size: Number(row['size']),
    usedAt: Number(row['used_at']),
  };
}
