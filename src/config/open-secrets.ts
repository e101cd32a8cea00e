/** Finds the token secret: in the settings, in the data folder, or made there, once. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { Secrets } from './secrets';
import type { Settings } from './settings';
import { reasonOf } from './settings-error';

/** Takes what an operator should know. */
export interface Warnings {
  warn(message: string): void;
}

const MIN_BYTES = 32;

/**
 * The secrets that the settings give, or those of `DATA_DIR/token-secret`, which is made when there is none. Its text
 * is used as it stands, so that it can be moved into TOKEN_SECRET without ending a single token.
 * @throws Error naming file and remedy when the file is there and holds no secret: a new one would end all tokens, so
 * that is the operator's to decide.
 */
export function openSecrets(
  settings: Pick<Settings, 'dataDir' | 'tokenSecret' | 'tokenSecretPrevious'>,
  log?: Warnings,
): Secrets {
  const { dataDir, tokenSecret, tokenSecretPrevious } = settings;
  return new Secrets(
    tokenSecret ?? keptSecret(join(dataDir, 'token-secret'), log),
    tokenSecretPrevious,
  );
}

function keptSecret(file: string, log: Warnings | undefined): string {
  const kept = readSecret(file, log);
  if (kept !== undefined) return kept;
  makeSecret(file);
  const made = readSecret(file, log);
  if (made === undefined)
    throw new Error(`${file} was made and is gone; keep other programs out of ${dirname(file)}`);
  return made;
}

/** The file's secret, or undefined when there is no file. */
function readSecret(file: string, log: Warnings | undefined): string | undefined {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const mode = fstatSync(descriptor).mode & 0o777;
    const secret = readFileSync(descriptor, 'utf8').replace(/\r?\n$/, '');
    if ((mode & 0o077) !== 0) {
      log?.warn(
        `${file} can be read or changed by others (mode ${mode.toString(8)}); type: chmod 600 ${file}`,
      );
    }
    if (Buffer.byteLength(secret) >= MIN_BYTES) return secret;
  } catch (error) {
    if (reasonOf(error) === 'ENOENT') return undefined;
    throw new Error(
      `${file} cannot be read (${reasonOf(error)}); make it readable for the gate, or set TOKEN_SECRET`,
    );
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
  throw new Error(
    `${file} holds fewer than ${MIN_BYTES} bytes and is no secret; put the right one back, or remove the file: ` +
      'a new one is made then, and everybody has to log in again',
  );
}

/**
 * Makes the secret so that it is there whole or not at all, and so that of two starters one wins: a link, unlike a
 * rename, never replaces what is there.
 */
function makeSecret(file: string): void {
  const draft = `${file}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    writeDurably(draft, randomBytes(32).toString('base64url'));
    publish(draft, file);
    syncFolder(dirname(file));
  } catch (error) {
    throw new Error(
      `${file} cannot be made (${reasonOf(error)}); make ${dirname(file)} writable for the gate, or set TOKEN_SECRET`,
    );
  } finally {
    rmSync(draft, { force: true });
  }
}

function writeDurably(file: string, text: string): void {
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeSync(descriptor, `${text}\n`);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

const NO_LINKS = new Set(['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP', 'EMLINK']);

function publish(draft: string, file: string): void {
  try {
    linkSync(draft, file);
  } catch (error) {
    const reason = reasonOf(error);
    if (reason === 'EEXIST') return;
    if (!NO_LINKS.has(reason)) throw error;
    // A file system without links; that there is one starter is then the data folder's lock alone.
    renameSync(draft, file);
  }
}

/** Makes the new name last through a power cut. Some file systems know no fsync of a folder, and need none. */
function syncFolder(folder: string): void {
  const descriptor = openSync(folder, 'r');
  try {
    fsyncSync(descriptor);
  } catch (error) {
    if (reasonOf(error) !== 'EINVAL') throw error;
  } finally {
    closeSync(descriptor);
  }
}
