/** The systemd units, by systemd's own checks. Only the folder of the installation is exchanged. */
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { freshFolder } from '../support/lifecycle';
import { run } from '../support/processes';
import { describeWith } from '../support/tools';
import { sample } from './samples';

const ROOT = resolve(__dirname, '../..');

/** A unit as it is when this tree is the installation. */
function installed(path: string): string {
  const file = join(freshFolder('unit'), 'tidegate.service');
  writeFileSync(file, sample(path).replaceAll(/(?:\/opt|%h)\/tidegate\b/g, ROOT));
  return file;
}

function analyze(...args: string[]) {
  return run('systemd-analyze', args, { env: { XDG_RUNTIME_DIR: freshFolder('runtime') } });
}

describeWith(['systemd-analyze'], 'the systemd units', () => {
  it.each([
    ['systemd/tidegate.service', '--system'],
    ['systemd/user/tidegate.service', '--user'],
  ])('%s has nothing that systemd does not know', async (path, scope) => {
    const { code, output } = await analyze('verify', scope, installed(path));

    expect([code, output]).toEqual([0, '']);
  });

  it('has for the system what systemd takes for well protected', async () => {
    const file = installed('systemd/tidegate.service');

    // Of 100; what remains is the network, and that Node compiles at run time.
    const { code, output } = await analyze('security', '--offline=true', '--threshold=16', file);

    expect([code, output]).toEqual([0, expect.stringContaining('Overall exposure level')]);
  });

  it.each(['systemd/tidegate.service', 'systemd/user/tidegate.service'])(
    '%s starts the gate itself, which gets the signal to drain',
    (path) => {
      expect(sample(path)).toMatch(/^ExecStart=\S+\/node_modules\/\.bin\/node dist\/main\.js$/m);
      expect(sample(path)).not.toMatch(/^(?:KillSignal|KillMode|SendSIGKILL)=/m);
    },
  );
});
