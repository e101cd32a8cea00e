/** The index's file: opened, prepared, and made anew where it is damaged. */
import { chmodSync, closeSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../../journal/log';
import { Checkpoints } from './checkpoints';
import { ContentRows } from './sqlite-index.contents';
import { LinkRows } from './sqlite-index.links';
import { prepareSchema, UnusableIndex } from './sqlite-index.schema';
import { Statements } from './sqlite-index.statements';
import { TagRows } from './sqlite-index.tags';

export interface Tables {
  readonly contents: ContentRows;
  readonly links: LinkRows;
  readonly tags: TagRows;
}

interface Connection {
  readonly database: DatabaseSync;
  readonly tables: Tables;
  readonly checkpoints: Checkpoints;
  readonly openedAt: number;
}

/** Primary result codes, https://sqlite.org/rescode.html */
const SQLITE_BUSY = 5;
const SQLITE_READONLY = 8;
const SQLITE_CORRUPT = 11;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

/** Milliseconds between attempts to write while a checkpoint cuts the log off, and how many there are. */
const BUSY_PAUSE = 5;
const BUSY_ATTEMPTS = 400;
/** Milliseconds between two attempts to open the file. */
const REOPEN = 1000;
/** Answers that are remembered at once: some 12 MiB, 17 of the longest names. */
const MOST_ANSWERS = 20_000;

/**
 * One connection, whose calls hold the event loop for as long as they take: each is to be small. Waiting for the disk is left
 * to {@link Checkpoints}, and waiting for these is not done in SQLite.
 */
export class IndexDatabase {
  #connection: Connection | undefined;
  #reopenAt = 0;
  #closed = false;
  /** The greatest version seen: those of a new file begin behind it. */
  #lastVersion = 0;
  /** What was read since the last write, by what was asked: there is no other writer. */
  #answers = new Map<string, unknown>();
  #generation = 0;

  constructor(
    private readonly file: string,
    private readonly log: Log,
  ) {}

  /** Another number after each write, and whenever the file is another one. */
  get generation(): number {
    return this.#generation;
  }

  /** @throws Error when the index cannot be read now. A damaged one is moved aside, and the work done on a new one. */
  read<T>(work: (tables: Tables) => T): Promise<T> {
    return this.#do(({ tables }) => work(tables));
  }

  /**
   * As `read`, and until the next write the same answer without a look: whoever pulls an image asks for the same few rows
   * with each of its layers.
   * @param question says what is asked, and everything that the answer depends on.
   */
  async readOften<T>(question: string, work: (tables: Tables) => T): Promise<T> {
    if (this.#answers.has(question)) return this.#answers.get(question) as T;
    const look = (tables: Tables) => {
      const answer = work(tables);
      if (this.#answers.size >= MOST_ANSWERS) this.#answers = new Map();
      this.#answers.set(question, answer);
      return answer;
    };
    try {
      // At once: whoever asks the same a moment later must not hear of it sooner, and go first from there on.
      if (this.#connection) return look(this.#connection.tables);
    } catch {
      // Then it is waited for, mended or told, as with every read.
    }
    return this.read(look);
  }

  /** As one transaction: the work is done wholly or not at all. @throws Error as `read`, or when it cannot be written now. */
  write<T>(work: (tables: Tables) => T): Promise<T> {
    return this.#do(({ database, tables, checkpoints }) => {
      this.#forgetAnswers();
      database.exec('BEGIN IMMEDIATE');
      try {
        const result = work(tables);
        database.exec('COMMIT');
        checkpoints.noteWrite();
        return result;
      } catch (error) {
        if (database.isTransaction) database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#forgetAnswers();
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.checkpoints.close();
    connection?.database.close();
  }

  async #do<T>(work: (connection: Connection) => T): Promise<T> {
    for (let attempt = 1, mended = false; ; attempt += 1) {
      try {
        return work((this.#connection ??= this.#open()));
      } catch (error) {
        if (codeOf(error) === SQLITE_BUSY && attempt < BUSY_ATTEMPTS) await sleep(BUSY_PAUSE);
        else if (isDamage(error) && !mended) {
          this.#replace(error);
          mended = true;
        } else {
          this.#noteFailure(error);
          throw error;
        }
      }
    }
  }

  #open(): Connection {
    if (this.#closed) throw new Error('the index of the cache is closed');
    if (performance.now() < this.#reopenAt) throw new Error('the index of the cache is not open');
    this.#reopenAt = performance.now() + REOPEN;
    const database = openFile(this.file, this.#lastVersion);
    const statements = new Statements(database);
    const checkpoints = new Checkpoints(this.file, this.log);
    const tables = {
      contents: new ContentRows(statements),
      links: new LinkRows(statements),
      tags: new TagRows(statements, (version) => (this.#lastVersion = version)),
    };
    this.#reopenAt = 0;
    return { database, tables, checkpoints, openedAt: performance.now() };
  }

  /** A connection that could not be opened for writing stays so when the disk is writable again: it is opened anew. */
  #noteFailure(error: unknown): void {
    const code = codeOf(error);
    const age = performance.now() - (this.#connection?.openedAt ?? 0);
    if ((code === SQLITE_READONLY || code === SQLITE_CANTOPEN) && age > REOPEN) this.#drop();
  }

  #forgetAnswers(): void {
    this.#generation += 1;
    this.#answers = new Map();
  }

  #drop(): void {
    this.#forgetAnswers();
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.checkpoints.abandon();
    connection?.database.close();
  }

  /** Nothing in it is worth a repair: the store is the truth for bytes, and the upstream for rights. */
  #replace(reason: unknown): void {
    this.#drop();
    const kept = moveAside(this.file);
    this.#reopenAt = 0;
    this.log.warn(
      { err: reason, file: this.file, kept },
      'the index of the cache is damaged and was made anew; what is held is found again, and served once its upstream says yes',
    );
  }
}

function openFile(file: string, lastVersion: number): DatabaseSync {
  makePrivate(file);
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    prepareSchema(database, lastVersion);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** SQLite gives its log and shared memory the mode of the file. */
function makePrivate(file: string): void {
  try {
    closeSync(openSync(file, 'ax', 0o600));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    for (const each of [file, `${file}-wal`, `${file}-shm`]) chmodIfThere(each);
  }
}

function chmodIfThere(file: string): void {
  try {
    chmodSync(file, 0o600);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A disk that is read-only for now; whether the index can be used there is SQLite's to say.
    if (code !== 'ENOENT' && code !== 'EROFS') throw error;
  }
}

/** Renames the file, and forgets those that were moved aside before. @returns its new path. */
function moveAside(file: string): string {
  const prefix = `${basename(file)}.damaged-`;
  for (const entry of readdirSync(dirname(file))) {
    if (entry.startsWith(prefix)) rmSync(join(dirname(file), entry), { force: true });
  }
  const kept = `${file}.damaged-${new Date().toISOString().replaceAll(':', '-')}`;
  renameSync(file, kept);
  for (const suffix of ['-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true });
  return kept;
}

function isDamage(error: unknown): boolean {
  const code = codeOf(error);
  return error instanceof UnusableIndex || code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

/** SQLite's primary result code; the upper bits tell more than is needed. */
function codeOf(error: unknown): number | undefined {
  const { errcode } = (error ?? {}) as { errcode?: unknown };
  return typeof errcode === 'number' ? errcode & 0xff : undefined;
}
