/** The benchmark: its own tests, what it says of itself, and that it runs. What it measures is no matter of tests. */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { freshFolder } from './support/lifecycle';
import { describeWith } from './support/tools';

const ROOT = resolve(__dirname, '..');
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');

function python(args: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const { status, stdout, stderr } = spawnSync('python3', ['-B', ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout, stderr };
}

/** The measures by name, as the command line has them. */
function measures(): string[] {
  const { stdout } = python(['bench/bench.py', '--help']);
  return /\{([a-z,]+)\}/.exec(stdout)?.[1]?.split(',') ?? [];
}

/** What the curves' results are called. */
function curves(): string[] {
  const { stdout } = python(['bench/bench.py', 'growth', '--help']);
  const usual = /\(([a-z]+(?:,\s*[a-z]+)+)\)/.exec(stdout)?.[1] ?? '';
  return usual.split(',').map((name) => `growth-${name.trim()}`);
}

describeWith(['python3'], 'the benchmark', () => {
  it('passes its own tests', () => {
    const { status, stderr } = python([
      '-m',
      'unittest',
      'discover',
      '-s',
      'bench/tests',
      '-t',
      'bench',
    ]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: expect.stringMatching(/^OK$/m) });
  }, 120_000);

  it('has a page that tells of every measure, and no other', () => {
    const told = [...read('bench/README.md').matchAll(/^\| `npm run bench -- (\w+)`/gm)];
    expect(told.map(([, name]) => name).sort()).toEqual(measures().sort());
  }, 60_000);

  it('has a place for every measure of servers in docs/performance.md', () => {
    const places = [...read('docs/performance.md').matchAll(/^<!-- bench: ([\w-]+) -->$/gm)];
    const ofTheMachine = ['limits', 'index'];
    const results = measures().flatMap((name) => (name === 'growth' ? curves() : [name]));
    expect(places.map(([, name]) => name)).toEqual(
      expect.arrayContaining(results.filter((name) => !ofTheMachine.includes(name))),
    );
  }, 60_000);
});

describeWith(['python3', 'docker-registry'], 'a run of the benchmark', () => {
  it('serves what it measures, rightly, and keeps table and picture', () => {
    const tag = `test-${process.pid}`;
    const files = ['md', 'svg', 'jsonl'].map((ending) =>
      join(ROOT, `bench/results/${tag}.${ending}`),
    );
    try {
      const { status, stdout, stderr } = python(
        ['bench/bench.py', 'hot', '--servers', 'tidegate,distribution', '--rounds', '1'].concat([
          '--blob-mib',
          '1',
          '--seconds',
          '1',
          '--clients',
          '2',
          '--tag',
          tag,
        ]),
        { PERF_RUN: freshFolder('bench') },
      );
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toContain('verified tidegate: 42 of 42 digests right');
      const [table, picture] = files.map((file) => readFileSync(file, 'utf8'));
      expect(table).toMatch(/^\| tidegate \| [\d.]+ \| [\d.]+ \|$/m);
      expect(picture).toMatch(/^<svg [^]*>tidegate<[^]*>distribution<[^]*<\/svg>\n$/);
    } finally {
      for (const file of files) rmSync(file, { force: true });
    }
  }, 240_000);
});
