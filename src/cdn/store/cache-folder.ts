/** CACHE_DIR: taken by one process at a time, with what an earlier one left half-written removed. */
import { accessSync, constants, mkdirSync } from 'node:fs';
import { lstat, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { FileLock } from '../../config/file-lock';
import { reasonOf } from '../../config/settings-error';
import { isSpoolName } from './disk-spool';
import { syncFolder } from './durability';
import { unlessNotHeld } from './stored-file';

/** No fault of the folder's: room may come back, and until then nothing can be put. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Makes the folder and those within it (mode 0700) where they are missing, takes the lock, and sweeps.
 * @param within paths below the folder, the deeper ones first.
 * @returns the lock, held until it is released or the process ends.
 * @throws Error that names CACHE_DIR and the remedy, when the folder cannot be written or another gate uses it.
 */
export async function takeFolder(
  folder: string,
  { within, spool }: { within: readonly string[]; spool: string },
): Promise<FileLock> {
  for (const name of [...within, spool]) prepare(folder, join(folder, name));
  const lock = FileLock.tryAcquire(join(folder, 'cache.lock'));
  if (!lock) {
    throw new Error(
      `CACHE_DIR=${folder} is used by another gate; stop that one, or set CACHE_DIR to a folder of this one's own`,
    );
  }
  try {
    await sweep(join(folder, spool));
    // Whoever made a folder may have ended before it was sure to last.
    for (const name of [...within, '']) await unlessNotHeld(syncFolder(join(folder, name)));
    return lock;
  } catch (error) {
    lock.release();
    throw error;
  }
}

function prepare(cacheDir: string, path: string): void {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const reason = reasonOf(error);
    if (!FULL.has(reason)) throw new Error(notUsable(cacheDir, path, reason), { cause: error });
  }
}

function notUsable(cacheDir: string, path: string, reason: string): string {
  const uid = process.geteuid?.();
  const who = uid === undefined ? 'the gate' : `the gate, which runs as uid ${uid},`;
  const remedy = uid === undefined ? 'make it writable' : `type: chown -R ${uid} ${cacheDir}`;
  return (
    `CACHE_DIR=${cacheDir} cannot be used: ${path} is not a folder that ${who} may write (${reason}); ` +
    `${remedy}, or set CACHE_DIR to another folder`
  );
}

/** Removes what was never finished, and only what a store made: CACHE_DIR=/var would else cost the machine its mail. */
async function sweep(folder: string): Promise<void> {
  for (const name of (await unlessNotHeld(readdir(folder))) ?? []) {
    const path = join(folder, name);
    // The gate before may have been removing it when it ended.
    if (isSpoolName(name) && (await unlessNotHeld(lstat(path)))?.isFile())
      await unlessNotHeld(unlink(path));
  }
}
