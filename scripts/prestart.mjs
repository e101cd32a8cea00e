/**
 * What `npm start` does first: installs what is missing, by the lockfile, and builds what is stale. Quiet when there is
 * nothing to do. It runs on any Node from 20 on, before anything is installed, so it uses nothing but Node itself.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** When a file changed, in milliseconds; 0 when it is not there. */
function changed(...path) {
  return statSync(join(ROOT, ...path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** The newest change of what the gate is built from. */
function newestSource(folder = 'src') {
  let newest = 0;
  for (const entry of readdirSync(join(ROOT, folder), { withFileTypes: true })) {
    if (entry.isDirectory()) newest = Math.max(newest, newestSource(join(folder, entry.name)));
    else if (!entry.name.endsWith('.spec.ts')) {
      newest = Math.max(newest, changed(folder, entry.name));
    }
  }
  return newest;
}

/** Runs npm quietly; what it says is shown when it fails. */
function npm(what, args, remedy) {
  process.stderr.write(`${what} …\n`);
  const { status, error, stdout, stderr } = spawnSync('npm', args, {
    cwd: ROOT,
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  if (status === 0) return;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}${error ? `${error.message}\n` : ''}`);
  process.stderr.write(`That failed. ${remedy}\n`);
  process.exit(1);
}

/** The packages of a lockfile by where they lie; undefined when there is none that can be read. */
function packagesOf(...path) {
  try {
    return JSON.parse(readFileSync(join(ROOT, ...path), 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/**
 * True when npm's own record of what is installed names all that the lockfile does. Dates tell less: a checkout is new.
 */
function isInstalled() {
  const installed = packagesOf('node_modules', '.package-lock.json');
  const wanted = Object.entries(packagesOf('package-lock.json') ?? {});
  return wanted.every(([place, { version, optional }]) => {
    if (place === '' || (optional && !installed?.[place])) return true;
    return installed?.[place]?.version === version;
  });
}

if (!isInstalled()) {
  npm(
    'Installing dependencies, once',
    ['ci', '--include=dev', '--loglevel=error', '--no-audit', '--no-fund'],
    'npm ci needs to reach the npm registry; behind a proxy, set HTTPS_PROXY. Then: npm start',
  );
}

const settings = ['tsconfig.json', 'tsconfig.build.json', 'nest-cli.json', 'package-lock.json'];
const sources = Math.max(newestSource(), ...settings.map((file) => changed(file)));
if (!existsSync(join(ROOT, 'dist', 'main.js')) || changed('dist', 'main.js') < sources) {
  npm('Building', ['run', '--silent', 'build'], 'The messages above name the file and the line.');
}
