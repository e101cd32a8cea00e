/** What single settings cannot tell: whether they fit together, and whether the files that they name do. */
import { readFileSync, statSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { createSecureContext } from 'node:tls';
import { checkModes } from './check-modes';
import type { SettingName, SettingValues } from './setting-table';
import { reasonOf, shownValue, type Faults } from './settings-error';
import { cache } from './settings-of-cache';

/**
 * Checks the settings that could be read; those with a fault of their own are undefined.
 * @param isSet whether a setting was given, and does not merely have its default.
 */
export function checkTogether(
  values: Partial<SettingValues>,
  faults: Faults,
  isSet: (name: SettingName) => boolean,
): void {
  checkPair(values, 'UPSTREAM_USERNAME', 'UPSTREAM_PASSWORD', faults);
  checkPair(values, 'TLS_CERT_FILE', 'TLS_KEY_FILE', faults);
  checkTls(values.TLS_CERT_FILE, values.TLS_KEY_FILE, faults);
  checkFolders(values, faults);
  checkCache(values, faults, isSet);
  checkModes(values, faults, isSet);
}

function checkPair(
  values: Partial<SettingValues>,
  one: keyof SettingValues,
  other: keyof SettingValues,
  faults: Faults,
): void {
  const missing = values[one] === undefined ? one : other;
  if ((values[one] === undefined) === (values[other] === undefined)) return;
  faults.add(`${missing === one ? other : one} is set without ${missing}; set both, or remove it`);
}

/** Certificate and key must be readable, parse and belong together: better now than at the first handshake. */
function checkTls(certFile: string | undefined, keyFile: string | undefined, faults: Faults): void {
  const cert = certFile === undefined ? undefined : readPem('TLS_CERT_FILE', certFile, faults);
  const key = keyFile === undefined ? undefined : readPem('TLS_KEY_FILE', keyFile, faults);
  const certGood = cert && parses({ cert });
  const keyGood = key && parses({ key });
  if (certGood === false) {
    faults.add(
      `TLS_CERT_FILE=${shownValue(certFile!)} holds no certificate; give a PEM file with the chain, the gate's own first`,
    );
  }
  if (keyGood === false) {
    faults.add(
      `TLS_KEY_FILE=${shownValue(keyFile!)} holds no private key that can be read; give a PEM file without a passphrase`,
    );
  }
  if (certGood && keyGood && !parses({ cert, key })) {
    faults.add(
      `TLS_KEY_FILE=${shownValue(keyFile!)} does not belong to the certificate in ` +
        `TLS_CERT_FILE=${shownValue(certFile!)}; give the key of that certificate`,
    );
  }
}

function readPem(name: string, file: string, faults: Faults): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch (error) {
    faults.add(
      `${name}=${shownValue(file)} cannot be read (${reasonOf(error)}); give a PEM file that the gate may read`,
    );
    return undefined;
  }
}

function parses(pair: { cert?: Buffer; key?: Buffer }): boolean {
  try {
    createSecureContext(pair);
    return true;
  } catch {
    return false;
  }
}

/** A container engine makes a folder where a file was to be mounted and none was there. */
function checkFolders(
  { DATA_DIR, HTPASSWD_FILE, CONFIG_FILE }: Partial<SettingValues>,
  faults: Faults,
): void {
  if (CONFIG_FILE !== undefined && isFolder(CONFIG_FILE) !== false) {
    const fault = isFolder(CONFIG_FILE) ? 'is a folder' : 'is not there';
    faults.add(
      `CONFIG_FILE=${shownValue(CONFIG_FILE)} ${fault}; give a YAML file that the gate may read`,
    );
  }
  if (DATA_DIR !== undefined && isFolder(DATA_DIR) === false) {
    faults.add(
      `DATA_DIR=${shownValue(DATA_DIR)} is not a folder; give a folder, or a path to make one at`,
    );
  }
  if (HTPASSWD_FILE !== undefined && isFolder(HTPASSWD_FILE)) {
    faults.add(
      `HTPASSWD_FILE=${shownValue(HTPASSWD_FILE)} is a folder; give a file (a container engine makes a folder when ` +
        'the file to mount does not exist)',
    );
  } else if (HTPASSWD_FILE !== undefined && !liesInFolder(HTPASSWD_FILE, DATA_DIR)) {
    faults.add(
      `HTPASSWD_FILE=${shownValue(HTPASSWD_FILE)} lies in a folder that is not there; make the folder, or correct the path`,
    );
  }
}

function checkCache(
  { CACHE, CACHE_DIR, DATA_DIR }: Partial<SettingValues>,
  faults: Faults,
  isSet: (name: SettingName) => boolean,
): void {
  for (const name of Object.keys(cache) as (keyof typeof cache)[]) {
    if (CACHE === 'off' && name !== 'CACHE' && isSet(name))
      faults.add(`${name} has no effect with CACHE=off; set CACHE=on, or remove it`);
  }
  if (CACHE_DIR === undefined) return;
  if (isFolder(CACHE_DIR) === false) {
    faults.add(
      `CACHE_DIR=${shownValue(CACHE_DIR)} is not a folder; give a folder, or a path to make one at`,
    );
  } else if (DATA_DIR !== undefined && liesWithin(DATA_DIR, CACHE_DIR)) {
    faults.add(
      `CACHE_DIR=${shownValue(CACHE_DIR)} holds DATA_DIR, and what is in the cache may be deleted; ` +
        'give the cache a folder of its own, such as DATA_DIR/cache',
    );
  }
}

/** True for the folder itself too. */
function liesWithin(path: string, folder: string): boolean {
  return !/^\.\.(?:\/|$)/.test(relative(resolve(folder), resolve(path)));
}

/** The data folder is made at the start, any other is the operator's. */
function liesInFolder(file: string, dataDir: string | undefined): boolean {
  const folder = dirname(resolve(file));
  return folder === resolve(dataDir ?? '') || isFolder(folder) === true;
}

/** Undefined when there is nothing at the path, or it cannot be seen. */
function isFolder(file: string): boolean | undefined {
  try {
    return statSync(file).isDirectory();
  } catch {
    return undefined;
  }
}
