/** Before all tests: the gate is built when its sources are newer, and missing programs are named once. */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { missingTools, TOOLS } from './tools';

const ROOT = join(__dirname, '../..');

/** The newest change below a folder, in milliseconds; specs do not count, they are not built. */
function newest(folder: string): number {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.spec.ts'))
    .map((entry) => statSync(join(entry.parentPath, entry.name)).mtimeMs)
    .reduce((latest, time) => Math.max(latest, time), 0);
}

function changed(path: string): number {
  return statSync(join(ROOT, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

export default function globalSetup(): void {
  const sources = Math.max(
    newest(join(ROOT, 'src')),
    changed('tsconfig.json'),
    changed('nest-cli.json'),
  );
  if (changed('dist/main.js') < sources) {
    const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'build'], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`the gate does not build:\n${stdout}${stderr}`);
  }
  const missing = missingTools(TOOLS);
  if (missing.length > 0 && process.env['CI'] !== 'true') {
    process.stderr.write(
      `\nMissing here: ${missing.join(', ')}. The tests with them are skipped; to install them, type: npm run test:setup\n`,
    );
  }
}
