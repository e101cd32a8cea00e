/**
 * The first import of the command line: `node dist/cli.js` is typed with whatever Node the machine has, and goes on with
 * the project's own where that is too old.
 */
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

const OLDEST = 24;

if (Number.parseInt(process.versions.node, 10) < OLDEST) {
  const own = join(__dirname, '../../node_modules/.bin/node');
  if (existsSync(own))
    process.exit(spawnSync(own, process.argv.slice(1), { stdio: 'inherit' }).status ?? 1);
  process.stderr.write(
    `error: Node ${OLDEST} is needed, and this is ${process.version}. Type: npm ci\n`,
  );
  process.exit(1);
}
