/**
 * The first import of both entries: an older Node would fail further down, in words that help nobody. The command line
 * is typed with whatever Node the machine has, and goes on with the project's own. The gate only says what to type: a
 * process between it and whoever started it would keep signals from it. Runs on any Node from 20 on.
 */
import { spawnSync } from 'node:child_process';
import { realpathSync } from 'node:fs';
import { join } from 'node:path';

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);

if (major < 24 || (major === 24 && minor < 9)) {
  const isCli = require.main?.filename === join(__dirname, 'cli.js');
  if (isCli) goOnWithOwnNode();
  process.stderr.write(
    `tidegate: Node 24.9.0 or newer is needed, and this is ${process.version}. ` +
      `Type: ${isCli ? 'npm ci' : 'npm start'} (it brings its own)\n`,
  );
  process.exit(1);
}

/** Returns where there is none, or where it is the one that runs already. */
function goOnWithOwnNode(): void {
  let own: string;
  try {
    own = realpathSync(join(__dirname, '../node_modules/.bin/node'));
  } catch {
    return;
  }
  if (own === process.execPath) return;
  const { status, error } = spawnSync(own, process.argv.slice(1), { stdio: 'inherit' });
  if (!error) process.exit(status ?? 1);
}
