import { faultsIn, pageOf, resultOf, rowsOf, type TestSeen } from './threat-reporter';

const ROWS = [
  { row: 'S1', done: 'a redirect to another host', seen: 'it gets no credentials' },
  { row: 'F3', done: 'a reset in the middle', seen: 'resumed' },
];

function test(title: string, status = 'passed', file = 'test/hostile/a.spec.ts'): TestSeen {
  return { file, titles: ['a gate', title], status };
}

describe('a test', () => {
  it.each([
    ['S1: sends nothing to another host', ['S1']],
    ['S1, F3: two at once', ['S1', 'F3']],
    ['S1 and S12: two at once', ['S1', 'S12']],
    ['in the long run, S20: stays quick', ['S20']],
    ['speaks of S1 and shows it not', []],
    ['XS1: is another word', []],
    ['pulls through S3:// and the like', []],
  ])('called %j shows %j', (title, rows) => {
    expect(rowsOf(test(title))).toEqual(rows);
  });

  it('shows what the describe around it names, once', () => {
    const titles = ['S1: redirects', 'S1: to another port'];

    expect(rowsOf({ ...test(''), titles })).toEqual(['S1']);
  });
});

describe('the rows', () => {
  it('are all shown when each has a test that passed', () => {
    expect(faultsIn(ROWS, [test('S1: x'), test('F3: y'), test('F3: z', 'pending')])).toEqual([]);
  });

  it('are told when none shows them, or none that ran', () => {
    expect(faultsIn(ROWS, [test('S1: x', 'pending')])).toEqual([
      'S1 is shown by no test that passed',
      'F3 is shown by no test that passed',
    ]);
  });

  it('are told when a test names one that is not there', () => {
    expect(faultsIn(ROWS, [test('S1: x'), test('F3: x'), test('S99: x')])).toEqual([
      'test/hostile/a.spec.ts names S99, which is no row: a gate › S99: x',
    ]);
  });
});

describe('a result', () => {
  it('tells what passed, what failed and what did not run', () => {
    const tests = [test('S1: a'), test('S1: b', 'failed'), test('S1: c', 'pending')];

    expect(resultOf(tests)).toBe('1 passed, 1 **failed**, 1 skipped');
    expect(resultOf([])).toBe('**no test**');
  });
});

describe('the page', () => {
  it('has a line for each row, and each test by name under it', () => {
    const page = pageOf(ROWS, [
      test('S1: to another *port*'),
      test('F3: resumed', 'pending', 'test/faults/b.spec.ts'),
    ]);

    expect(page).toContain(
      '| [S1](#s1) | a redirect to another host | it gets no credentials | [hostile/a](../test/hostile/a.spec.ts) | 1 passed |',
    );
    expect(page).toContain('- ✓ a gate › S1: to another \\*port\\*\n');
    expect(page).toContain('- skipped: a gate › F3: resumed\n');
  });

  it('is the same for the same results, whatever order the specs ended in', () => {
    const tests = [test('S1: x'), test('S1: y', 'passed', 'test/hostile/b.spec.ts')];

    expect(pageOf(ROWS, [...tests].reverse())).toBe(pageOf(ROWS, tests));
  });
});
