/** Documents that are made from the code, and kept in version control for readers. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../..');

/** What lies there now. With UPDATE_DOCS=1 it is written first: `UPDATE_DOCS=1 npm run jest -- test/settings`. */
export function onDisk(name: string, made: string): string {
  const file = join(ROOT, name);
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, made);
  return readFileSync(file, 'utf8');
}
