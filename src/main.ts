import './right-node';
import './thread-pool';
import './frugal-heap';
import { relative } from 'node:path';
import { loadEnvironment, readSettings } from './config/read-settings';
import type { Settings } from './config/settings';
import { openGate, type Gate } from './gate';
import { createLog } from './journal/log';

/** Starts the gate; whatever is in the way is told in plain words, and the process ends with 1. */
async function main(): Promise<void> {
  const settings = readSettings(loadEnvironment(), process.argv.slice(2));
  const log = createLog(settings);
  const gate = await openGate(settings, log);
  process.stderr.write(greeting(settings, gate));
  let draining = false;
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.on(signal, () => {
      // A second signal means it.
      if (draining) process.exit(1);
      draining = true;
      log.info({ signal }, 'draining: readiness is 503, transfers may end');
      gate.drain().then(
        () => log.flush(() => process.exit(0)),
        (error: unknown) => fail(error),
      );
    });
  }
}

/** A few calm lines: where it listens, what is behind it, how to get in. They go to stderr; stdout is the log's. */
function greeting(
  { tls, host, publicUrl, dataDir, htpasswdFile, upstream }: Settings,
  { port, admin, registries }: Gate,
): string {
  const scheme = tls ? 'https' : 'http';
  const shown = (file: string) => {
    const near = relative(process.cwd(), file);
    return near.startsWith('..') ? file : near || '.';
  };
  const shownHost = host.includes(':') ? `[${host}]` : host;
  const near = ['0.0.0.0', '::'].includes(host) ? 'localhost' : shownHost;
  const address = publicUrl?.replace(/^https?:\/\//, '') ?? `${near}:${port}`;
  const passwordFile = admin?.passwordFile && shown(admin.passwordFile);
  const login = passwordFile
    ? `docker login ${address} -u ${admin.username} --password-stdin < ${passwordFile}`
    : `docker login ${address}`;
  return [
    `Tidegate listens on ${scheme}://${shownHost}:${port}`,
    `In front of ${registries} ${registries === 1 ? 'registry' : 'registries'}, by default ${upstream.name} (${upstream.url.origin}); accounts in ${shown(htpasswdFile)}, data in ${shown(dataDir)}`,
    ...(passwordFile ? [`First admin: ${admin.username}; the password is in ${passwordFile}`] : []),
    `Next: ${login}`,
    '',
  ].join('\n');
}

function fail(error: unknown): void {
  process.stderr.write(`tidegate: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
}

main().catch(fail);
