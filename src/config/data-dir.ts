/** The data folder: made, proved writable, and held by one gate at a time. */
import { randomBytes } from 'node:crypto';
import { accessSync, constants, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FileLock } from './file-lock';
import type { Settings } from './settings';
import { reasonOf } from './settings-error';

/** Takes what an operator may want to know. */
export interface Notices {
  info(message: string): void;
}

/** Beyond the other gate's drain, in milliseconds: for its stores to close. */
const LOCK_GRACE = 10_000;

/**
 * Makes the folder where there is none (mode 0700) and proves it writable by writing.
 * @throws Error that says who the gate runs as, which folder it is, and what to type.
 */
export function prepareDataDir({ dataDir }: Pick<Settings, 'dataDir'>): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const probe = join(dataDir, `.writable-${randomBytes(6).toString('hex')}`);
    writeFileSync(probe, '', { flag: 'wx', mode: 0o600 });
    rmSync(probe);
  } catch (error) {
    throw new Error(notWritable(dataDir, reasonOf(error)));
  }
}

/**
 * Foretells whether `prepareDataDir` will succeed, and writes nothing: asks for the folder, or for the nearest one
 * above it that is there.
 * @throws Error as `prepareDataDir` does.
 */
export function checkDataDir({ dataDir }: Pick<Settings, 'dataDir'>): void {
  for (let folder = dataDir; ; folder = dirname(folder)) {
    try {
      return accessSync(folder, constants.W_OK | constants.X_OK);
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== 'ENOENT' || folder === dirname(folder))
        throw new Error(notWritable(dataDir, reason));
    }
  }
}

function notWritable(folder: string, reason: string): string {
  const fault = `DATA_DIR=${folder} is not writable (${reason})`;
  if (reason === 'ENOTDIR' || reason === 'EEXIST') {
    return `${fault}: there is a file where a folder should be; set DATA_DIR to another path`;
  }
  if (reason === 'ENOSPC' || reason === 'EDQUOT') {
    return `${fault}: the disk is full; make room, or set DATA_DIR to another folder`;
  }
  if (reason === 'EROFS') {
    return `${fault}: the file system is read-only; mount it writable, or set DATA_DIR to another folder`;
  }
  const uid = process.geteuid?.();
  if (uid === undefined)
    return `${fault}; make it writable for the gate, or set DATA_DIR to another folder`;
  return (
    `${fault} for the gate, which runs as uid ${uid}; type: mkdir -p ${folder} && chown -R ${uid} ${folder} ` +
    '(on the host, when it is a mounted folder), or set DATA_DIR to another folder'
  );
}

/**
 * Takes the folder for this gate, until the lock is released or the process ends. Another gate that is draining gets
 * the time to end, so that a rolling restart on one folder works.
 * @throws Error naming the folder and the remedy when the other gate stays.
 */
export async function lockDataDir(
  { dataDir, drainTimeout, drainDelay }: Pick<Settings, 'dataDir' | 'drainTimeout' | 'drainDelay'>,
  log: Notices,
  grace: number = LOCK_GRACE,
): Promise<FileLock> {
  const file = join(dataDir, 'gate.lock');
  const lock = FileLock.tryAcquire(file);
  if (lock) return lock;
  const timeout = drainDelay + drainTimeout + grace;
  log.info(
    `another gate uses ${dataDir}; waiting up to ${Math.ceil(timeout / 1000)} s for it to end`,
  );
  try {
    return await FileLock.acquire(file, { timeout });
  } catch (error) {
    throw new Error(
      `DATA_DIR=${dataDir} is still used by another gate; stop that one, or set DATA_DIR to a folder of this one's own`,
      { cause: error },
    );
  }
}
