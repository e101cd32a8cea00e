/** A config file for a gate in front of several registries. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from './lifecycle';

/** What the file says of one registry, by the file's own keys. */
export interface RegistryEntry {
  readonly name: string;
  readonly url?: string;
  readonly hosts?: readonly string[];
  readonly credentials?: readonly { username: string; password: string }[];
  readonly [key: string]: unknown;
}

/** The setting that names a file with these registries. */
export function configFile(...registries: RegistryEntry[]): { CONFIG_FILE: string } {
  const file = join(freshFolder('config'), 'tidegate.yaml');
  writeFileSync(file, JSON.stringify({ registries })); // JSON is YAML
  return { CONFIG_FILE: file };
}
