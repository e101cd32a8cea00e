/** The config file on disk: where it is, and what it makes of the table of registries. */
import { join } from 'node:path';
import { parseRegistriesFile } from './registries-file';
import type { RegistryTable } from './registry-table';
import { registryTableOf } from './registry-table-of';
import type { Settings } from './settings';
import { Faults, shownValue } from './settings-error';
import { ABSENT, readNow, type Reading } from './watched-file';

const DEFAULT_NAME = 'tidegate.yaml';

/** Where the config file is, or would be. */
export function configFileOf({ configFile, dataDir }: Settings): string {
  return configFile ?? join(dataDir, DEFAULT_NAME);
}

/** What files held when they were read; one that is not there counts as absent. */
interface Readings {
  get(path: string): Reading | undefined;
}

/**
 * The table that the settings and the config file describe.
 * @param readings the config file, and the files that it names.
 * @param expected false where no file is as good as an empty one.
 * @throws SettingsError with every fault of the file, each with line and key.
 */
export function tableFrom(
  settings: Settings,
  readings: Readings,
  { expected = settings.configFile !== undefined } = {},
): RegistryTable {
  const path = configFileOf(settings);
  const read = (file: string) => readings.get(file) ?? ABSENT;
  const main = read(path);
  const faults = new Faults();
  const fault = (reason: string) =>
    faults.add(
      `CONFIG_FILE=${shownValue(path)} ${reason}; give a YAML file that the gate may read, which may be empty`,
    );
  if (main.kind === 'unreadable') fault(main.reason);
  if (main.kind === 'absent' && expected) fault('is not there');
  const entries = main.kind === 'text' ? parseRegistriesFile(main.text, path, faults) : [];
  return registryTableOf(settings, entries, read, faults);
}

/** The same, with the files as they are at this moment. @throws SettingsError */
export function loadRegistryTable(settings: Settings): RegistryTable {
  return tableFrom(settings, { get: readNow });
}
