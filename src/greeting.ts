import { relative } from 'node:path';
import type { Settings } from './config/settings';
import type { Gate } from './gate';

/** A few calm lines: where it listens, what is behind it, how to get in. They go to stderr; stdout is the log's. */
export function greeting(settings: Settings, gate: Omit<Gate, 'drain'>): string {
  const { tls, host, dataDir, htpasswdFile } = settings;
  const { registries, default: home } = gate.table;
  const behind = `${registries.length} ${registries.length === 1 ? 'registry' : 'registries'}`;
  return [
    `Tidegate listens on ${tls ? 'https' : 'http'}://${shownHost(host)}:${gate.port}`,
    `In front of ${behind}, by default ${home.name} (${home.url.origin}); accounts in ${shown(htpasswdFile)}, data in ${shown(dataDir)}`,
    ...waysIn(settings, gate),
    '',
  ].join('\n');
}

/** Where clients log in with what a registry takes, a login goes there: the admin's is for nobody but the gate. */
function waysIn(settings: Settings, { admin, port, table }: Omit<Gate, 'drain'>): string[] {
  const { host, publicUrl, authMode } = settings;
  const near = ['0.0.0.0', '::'].includes(host) ? 'localhost' : shownHost(host);
  const address = publicUrl?.replace(/^https?:\/\//, '') ?? `${near}:${port}`;
  const file = admin?.passwordFile && shown(admin.passwordFile);
  const first = (whose: string) =>
    file ? [`${whose}: ${admin.username}; the password is in ${file}`] : [];
  switch (authMode) {
    case 'accounts': {
      const own = file ? ` -u ${admin.username} --password-stdin < ${file}` : '';
      return [...first('First admin'), `Next: docker login ${address}${own}`];
    }
    case 'relay':
    case 'passthrough':
      return [
        ...first('First admin, for /admin alone'),
        `Clients log in with what ${table.default.name} takes (AUTH_MODE=${authMode})`,
        `Next: docker login ${address}`,
      ];
    case 'open':
      return [
        ...first('First admin, for /admin alone'),
        'Everybody may pull, without a login (AUTH_MODE=open)',
        `Next: docker pull ${address}/REPOSITORY`,
      ];
    default:
      return authMode satisfies never;
  }
}

function shownHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}

function shown(file: string): string {
  const near = relative(process.cwd(), file);
  return near.startsWith('..') ? file : near || '.';
}
