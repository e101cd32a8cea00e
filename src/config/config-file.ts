/** The config file on disk: where it is, and what it makes of the table of registries. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseRegistriesFile } from './registries-file';
import type { RegistryTable } from './registry-table';
import { registryTableOf } from './registry-table-of';
import type { Settings } from './settings';
import { Faults, reasonOf, shownValue } from './settings-error';
import { ABSENT, type Reading } from './watched-file';

const DEFAULT_NAME = 'tidegate.yaml';

/** Where the config file is, or would be. */
export function configFileOf({ configFile, dataDir }: Settings): string {
  return configFile ?? join(dataDir, DEFAULT_NAME);
}

/**
 * The table that the settings and the config file describe.
 * @throws SettingsError with every fault of the file, each with line and key.
 */
export function loadRegistryTable(settings: Settings): RegistryTable {
  const path = configFileOf(settings);
  const reading = readNow(path);
  const faults = new Faults();
  if (reading.kind === 'unreadable' || (reading.kind === 'absent' && settings.configFile)) {
    const reason = reading.kind === 'absent' ? 'is not there' : reading.reason;
    faults.add(`CONFIG_FILE=${shownValue(path)} ${reason}; give a file that the gate may read`);
  }
  const entries = reading.kind === 'text' ? parseRegistriesFile(reading.text, path, faults) : [];
  return registryTableOf(settings, entries, readNow, faults);
}

function readNow(path: string): Reading {
  try {
    return { kind: 'text', text: readFileSync(path, 'utf8') };
  } catch (error) {
    const reason = reasonOf(error);
    return reason === 'ENOENT' || reason === 'ENOTDIR'
      ? ABSENT
      : { kind: 'unreadable', reason: `cannot be read (${reason})` };
  }
}
