/** The folders of the gate: made, proved writable, and the data folder held by one gate at a time. */
import { randomBytes } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
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

/** Where the gate writes: the data folder, and that of the cache where there is one. */
type Folders = Pick<Settings, 'dataDir'> & { readonly cache?: { readonly dir: string } };

type FolderName = 'DATA_DIR' | 'CACHE_DIR';

/** A full disk keeps nothing from being streamed, and the cache turns itself on again once there is room. */
const FULL: ReadonlySet<string> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Makes the folders where there are none (mode 0700) and proves them writable by writing. A disk that is full is no
 * fault of the cache's folder.
 * @throws Error that says who the gate runs as, which folder it is, and what to type.
 */
export function prepareDataDir({ dataDir, cache }: Folders): void {
  prepare('DATA_DIR', dataDir);
  if (cache) prepare('CACHE_DIR', cache.dir);
}

function prepare(name: FolderName, folder: string): void {
  try {
    makeFolders(folder);
    const probe = join(folder, `.writable-${randomBytes(6).toString('hex')}`);
    writeFileSync(probe, '', { flag: 'wx', mode: 0o600 });
    rmSync(probe);
  } catch (error) {
    const reason = reasonOf(error);
    if (name === 'CACHE_DIR' && FULL.has(reason)) return;
    throw new Error(notWritable(name, folder, reason));
  }
}

/** Node's own recursive `mkdir` never ends where a folder cannot be made though its parent is there, as in /proc. */
function makeFolders(folder: string): void {
  if (existsSync(folder)) return;
  if (dirname(folder) !== folder) makeFolders(dirname(folder));
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    // Another gate that starts may have made it meanwhile.
    if (!existsSync(folder)) throw error;
  }
}

/**
 * Foretells whether `prepareDataDir` will succeed, and writes nothing: asks for the folders, or for the nearest ones
 * above them that are there.
 * @throws Error as `prepareDataDir` does.
 */
export function checkDataDir({ dataDir, cache }: Folders): void {
  check('DATA_DIR', dataDir);
  if (cache) check('CACHE_DIR', cache.dir);
}

function check(name: FolderName, wanted: string): void {
  for (let folder = wanted; ; folder = dirname(folder)) {
    try {
      return accessSync(folder, constants.W_OK | constants.X_OK);
    } catch (error) {
      const reason = reasonOf(error);
      if (reason !== 'ENOENT' || folder === dirname(folder))
        throw new Error(notWritable(name, wanted, reason));
    }
  }
}

function notWritable(name: FolderName, folder: string, reason: string): string {
  const fault = `${name}=${folder} is not writable (${reason})`;
  if (reason === 'ENOTDIR' || reason === 'EEXIST') {
    return `${fault}: there is a file where a folder should be; set ${name} to another path`;
  }
  if (reason === 'ENOENT') {
    return `${fault}: no folder can be made there; set ${name} to another path`;
  }
  if (FULL.has(reason)) {
    return `${fault}: the disk is full; make room, or set ${name} to another folder`;
  }
  if (reason === 'EROFS') {
    return `${fault}: the file system is read-only; mount it writable, or set ${name} to another folder`;
  }
  const uid = process.geteuid?.();
  if (uid === undefined)
    return `${fault}; make it writable for the gate, or set ${name} to another folder`;
  return (
    `${fault} for the gate, which runs as uid ${uid}; type: mkdir -p ${folder} && chown -R ${uid} ${folder} ` +
    `(on the host, when it is a mounted folder), or set ${name} to another folder`
  );
}

/**
 * Takes the folder for this gate, until the lock is released or the process ends. Another gate that is draining gets
 * the time to end, so that a rolling restart on one folder works.
 * @throws Error naming the folder and the remedy when the other gate stays.
 */
export async function lockDataDir(
  {
    dataDir,
    drainTimeout,
    drainDelay,
    authMode,
  }: Pick<Settings, 'dataDir' | 'drainTimeout' | 'drainDelay' | 'authMode'>,
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
    // Accounts live in one folder, and are changed by one gate.
    const replicas =
      authMode === 'accounts'
        ? '; several gates for one purpose need AUTH_MODE=relay, passthrough or open, the same TOKEN_SECRET, and a ' +
          'folder each'
        : '';
    throw new Error(
      `DATA_DIR=${dataDir} is still used by another gate; stop that one, or set DATA_DIR to a folder of this one's own` +
        replicas,
      { cause: error },
    );
  }
}
