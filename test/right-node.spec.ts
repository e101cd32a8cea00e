import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from './support/lifecycle';
import { run } from './support/processes';

const DIST = join(__dirname, '../dist');
/** The Node that the project brings. */
const OWN = join(__dirname, '../node_modules/.bin/node');
/** One of the machine's own, where that is too old. */
const OLD = ['/usr/bin/node', '/usr/local/bin/node'].find((node) => {
  const version = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout;
  return /^v(?:2[0-3]\.|24\.[0-8]\.)/.test(version ?? '');
});

/** One of the two entries, on a Node that says that it is of another version. */
function start(entry: 'cli' | 'main', version: string) {
  const preload = join(freshFolder('node'), 'preload.cjs');
  const versions = `{ ...process.versions, node: '${version}' }`;
  writeFileSync(preload, `Object.defineProperty(process, 'versions', { value: ${versions} });`);
  const args = ['--require', preload, join(DIST, `${entry}.js`), '--help'];
  return run(OWN, args, { cwd: freshFolder('node') });
}

describe('a Node that is too old', () => {
  it.each(['20.20.2', '24.0.0', '24.8.1'])(
    '%s starts no gate, and is told in one line',
    async (version) => {
      const { code, stdout, stderr } = await start('main', version);

      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(
        /^tidegate: Node 24\.9\.0 or newer is needed, .* Type: npm start .*\n$/,
      );
    },
  );

  it.each(['24.9.0', '24.10.0', '25.0.0'])('%s is new enough', async (version) => {
    const { stderr } = await start('main', version);

    expect(stderr).toContain('the argument --help is not known');
  });

  // It needs what a good machine has not: even in CI it is not missed.
  (OLD ? it : it.skip)(
    `goes on with the Node that the project brings, on the command line${OLD ? '' : ' (needs a machine whose own Node is older)'}`,
    async () => {
      const args = [join(DIST, 'cli.js'), 'user', 'add', 'a:b'];
      const { code, stdout, stderr } = await run(OLD!, args, { cwd: freshFolder('node') });

      expect([code, stdout]).toEqual([1, '']);
      expect(stderr).toMatch(/^error: username: is not right; .*\n$/);
    },
  );

  it('is told once where it is the one that the project brings', async () => {
    const { code, stderr } = await start('cli', '24.8.1');

    expect(code).toBe(1);
    expect(stderr).toMatch(/^tidegate: Node 24\.9\.0 or newer is needed, .* Type: npm ci .*\n$/);
  });
});
