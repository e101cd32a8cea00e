/** Host names that lead to this machine, for one program alone. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from './lifecycle';

/** What starts a program so that it finds these host names at the loopback address; nothing else sees it. */
export function knowing(...hosts: string[]): string[] {
  const file = join(freshFolder('hosts'), 'hosts');
  writeFileSync(file, `127.0.0.1 localhost ${hosts.join(' ')}\n`);
  const script = `mount --bind '${file}' /etc/hosts && exec "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh'];
}
