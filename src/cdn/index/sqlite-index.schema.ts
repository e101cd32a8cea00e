/** The tables of the index. Rows name digests by their text: they are few enough, and a page of them comes in their order. */
import type { DatabaseSync } from 'node:sqlite';

/** Of the tables, in their order. */
const NAMES = 'content,forgotten,link,state,suspended,tag';

/** Raised with every change of the tables. A file of another version is moved aside: an index fills again by itself. */
const VERSION = 1;

/** Room between two moments of {@link firstVersion}: versions handed out in the meantime stay below the next first one. */
const VERSIONS_PER_MILLISECOND = 1024;

/** The file is no index that this gate can use; what SQLite itself finds damaged comes as its own error. */
export class UnusableIndex extends Error {}

const PRAGMAS = `
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA wal_autocheckpoint = 0;
  PRAGMA foreign_keys = ON;
  PRAGMA trusted_schema = OFF;
  PRAGMA cell_size_check = ON;
  PRAGMA temp_store = MEMORY;
  PRAGMA cache_size = -8192;
`;

/**
 * `state` is one row. Its totals are kept by triggers, so that they cost no count over all rows, and cannot come apart from
 * them. `forgotten` remembers since which version a tag (or with the empty tag: each of the name) counts for nothing.
 */
const TABLES = `
  CREATE TABLE content (
    digest TEXT PRIMARY KEY,
    size INTEGER NOT NULL CHECK (size >= 0),
    used_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX content_by_use ON content (used_at);

  CREATE TABLE link (
    name TEXT NOT NULL,
    digest TEXT NOT NULL REFERENCES content (digest) ON DELETE CASCADE,
    via TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('blob', 'manifest')),
    media_type TEXT CHECK ((media_type IS NULL) = (kind = 'blob')),
    PRIMARY KEY (name, digest, via, kind)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX link_by_digest ON link (digest);

  CREATE TABLE tag (
    name TEXT NOT NULL,
    tag TEXT NOT NULL,
    via TEXT NOT NULL,
    digest TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL CHECK (size >= 0),
    checked_at INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (name, tag, via)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE forgotten (
    name TEXT NOT NULL,
    tag TEXT NOT NULL,
    version INTEGER NOT NULL,
    forgotten_at INTEGER NOT NULL,
    PRIMARY KEY (name, tag)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX forgotten_by_time ON forgotten (forgotten_at);

  CREATE TABLE suspended (registry TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

  CREATE TABLE state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL,
    oldest_version INTEGER NOT NULL,
    contents INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  ) STRICT;

  CREATE TRIGGER content_added AFTER INSERT ON content BEGIN
    UPDATE state SET contents = contents + 1, bytes = bytes + new.size;
  END;
  CREATE TRIGGER content_removed AFTER DELETE ON content BEGIN
    UPDATE state SET contents = contents - 1, bytes = bytes - old.size;
  END;
  CREATE TRIGGER content_resized AFTER UPDATE OF size ON content BEGIN
    UPDATE state SET bytes = bytes + new.size - old.size;
  END;
`;

/**
 * Makes the connection ready, and the tables where the file is new.
 * @param after versions of tags begin behind it.
 * @throws UnusableIndex for a file with other tables, or of another version.
 */
export function prepareSchema(database: DatabaseSync, after: number): void {
  database.exec(PRAGMAS);
  const version = Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
  const names = database
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
    .all()
    .map((row) => String(row['name']));
  if (version === VERSION && names.join() === NAMES) return;
  if (version !== 0 || names.length > 0) {
    throw new UnusableIndex(`not an index of version ${VERSION}, or not a whole one`);
  }
  const first = firstVersion(after);
  database.exec(`BEGIN IMMEDIATE; ${TABLES}
    INSERT INTO state VALUES (1, ${first}, ${first}, 0, 0);
    PRAGMA user_version = ${VERSION};
    COMMIT;`);
}

/**
 * Beyond all versions that an index before this one handed out: a tag that was read from that one must not be set here, as
 * what was forgotten meanwhile is forgotten with it.
 */
function firstVersion(after: number): number {
  return Math.max(Date.now() * VERSIONS_PER_MILLISECOND, after + 1);
}
