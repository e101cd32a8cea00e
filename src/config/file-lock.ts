/**
 * A lock between processes: the exclusive transaction of an empty SQLite file. The kernel drops it with the process, so
 * that `kill -9` leaves nothing to clean up, and SQLite keeps two holders within one process apart as well.
 * https://sqlite.org/lockingv3.html
 */
import { closeSync, fchownSync, openSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';

/** Between two attempts, in milliseconds. */
const RETRY = 20;

const SQLITE_BUSY = 5;

/** Held from `acquire` to `release`, or to the end of the process. The file stays where it is: it is only a name. */
export class FileLock {
  #database: DatabaseSync | undefined;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** The lock, or undefined when somebody holds it. @throws Error when the file cannot be one. */
  static tryAcquire(path: string): FileLock | undefined {
    let database: DatabaseSync | undefined;
    try {
      createPrivately(path);
      database = new DatabaseSync(path, { timeout: 0 });
      // No journal on disk: a full disk must not keep anybody from locking, nor a killed process leave one behind.
      database.exec('PRAGMA journal_mode = MEMORY');
      database.exec('BEGIN EXCLUSIVE');
      return new FileLock(database);
    } catch (error) {
      database?.close();
      if (isBusy(error)) return undefined;
      throw new Error(`${path} cannot be locked: ${describe(error)}`, { cause: error });
    }
  }

  /**
   * Waits for the lock without blocking the event loop.
   * @param timeout milliseconds, after which an Error that names the path is thrown.
   */
  static async acquire(path: string, { timeout }: { timeout: number }): Promise<FileLock> {
    const deadline = performance.now() + timeout;
    for (;;) {
      const lock = FileLock.tryAcquire(path);
      if (lock) return lock;
      if (performance.now() >= deadline) {
        throw new Error(`${path} is held by another process (waited ${timeout / 1000} s)`);
      }
      await sleep(RETRY);
    }
  }

  /** Gives the lock up; a second call does nothing. */
  release(): void {
    this.#database?.close();
    this.#database = undefined;
  }
}

/**
 * SQLite would create the file readable for all. Only a file that is not there is opened here: closing any descriptor
 * of a locked file drops the locks that this process has on it (POSIX, fcntl).
 */
function createPrivately(path: string): void {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'wx', 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return;
    throw error;
  }
  try {
    // Made by root beside a gate that is not root: the gate must be able to use it too.
    const folder = statSync(dirname(path));
    if (process.getuid?.() === 0) fchownSync(descriptor, folder.uid, folder.gid);
  } finally {
    closeSync(descriptor);
  }
}

function isBusy(error: unknown): boolean {
  return (error as { errcode?: unknown } | undefined)?.errcode === SQLITE_BUSY;
}

function describe(error: unknown): string {
  return (error as Error | undefined)?.message ?? 'unknown reason';
}
