/**
 * Makes docs/threat-tests.md from a run of the tests: for each row of what Tidegate must withstand, which tests show it
 * and how they went. A test shows a row when its name says so: `S9: an account without the right gets …`.
 *
 * jest loads this file as it is, and Node takes its types away: no import of another file of the project's own code.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** A row of the table: what is done to the gate, and what must be seen. */
export interface ThreatRow {
  readonly row: string;
  readonly done: string;
  readonly seen: string;
}

/** A test as jest tells of it. */
export interface TestSeen {
  /** The spec's path from the project's root. */
  readonly file: string;
  /** What the enclosing `describe`s and the test itself are called. */
  readonly titles: readonly string[];
  readonly status: string;
}

const DOCUMENT = 'docs/threat-tests.md';
const ROWS = 'test/threats/rows.json';
/** Where the tests of the rows lie; others may speak of a row, and do not count. */
const SUITES = ['test/hostile', 'test/faults'];
/** `S9: `, `S9, S12: ` or `S9 and S12: ` anywhere in a name. */
const NAMES_ROWS = /\b[SF]\d{1,2}(?:(?:, | and )[SF]\d{1,2})*: /g;

/** The rows that a test shows, by its names. */
export function rowsOf({ titles }: TestSeen): string[] {
  const said = titles.flatMap((title) => title.match(NAMES_ROWS) ?? []);
  return [...new Set(said.flatMap((names) => names.match(/[SF]\d+/g) ?? []))];
}

/**
 * What is wrong with what the tests show, a sentence each: a row without a test that passed, and a name that belongs to
 * no row.
 */
export function faultsIn(rows: readonly ThreatRow[], tests: readonly TestSeen[]): string[] {
  const known = new Set(rows.map(({ row }) => row));
  const unknown = tests.flatMap((test) =>
    rowsOf(test)
      .filter((row) => !known.has(row))
      .map((row) => `${test.file} names ${row}, which is no row: ${test.titles.join(' › ')}`),
  );
  const unshown = rows
    .filter(({ row }) => !tests.some((test) => isPassed(test) && rowsOf(test).includes(row)))
    .map(({ row }) => `${row} is shown by no test that passed`);
  return [...unknown, ...unshown];
}

function isPassed({ status }: TestSeen): boolean {
  return status === 'passed';
}

/** The page. The same results give the same text: it holds no date and no duration. */
export function pageOf(rows: readonly ThreatRow[], tests: readonly TestSeen[]): string {
  const shown = rows.map((row) => ({
    ...row,
    tests: tests.filter((test) => rowsOf(test).includes(row.row)),
  }));
  const of = (letter: string) => shown.filter(({ row }) => row.startsWith(letter));
  return [
    '# What Tidegate withstands, and the tests that show it',
    '',
    'The tests make this page themselves: `npm test`, or `npm run test:threats` for these alone. Each row is what is done to a running gate, and what must be seen; below the tables are the tests by name. Most rows come from faults found in other registries, proxies and clients; numbers have gaps. `npm run test:chaos` runs the long ones whole.',
    '',
    '## Security',
    '',
    ...tableOf(of('S')),
    '',
    '## Faults',
    '',
    ...tableOf(of('F')),
    '',
    '## The tests',
    ...shown.flatMap((row) => ['', ...sectionOf(row)]),
    '',
  ].join('\n');
}

type ShownRow = ThreatRow & { readonly tests: readonly TestSeen[] };

function tableOf(rows: readonly ShownRow[]): string[] {
  return [
    '| row | done | must be seen | tests | result |',
    '|---|---|---|---|---|',
    ...rows.map(({ row, done, seen, tests }) => {
      const cells = [
        `[${row}](#${row.toLowerCase()})`,
        done,
        seen,
        filesOf(tests),
        resultOf(tests),
      ];
      return `| ${cells.join(' | ')} |`;
    }),
  ];
}

function filesOf(tests: readonly TestSeen[]): string {
  const files = [...new Set(tests.map(({ file }) => file))].sort();
  return files.map((file) => `[${nameOf(file)}](../${file})`).join(', ');
}

function nameOf(file: string): string {
  return file.replace(/^test\/|\.spec\.ts$/g, '');
}

/** `5 passed`, and what else there was; never silent about what did not run. */
export function resultOf(tests: readonly TestSeen[]): string {
  const count = (matches: (test: TestSeen) => boolean, word: string) => {
    const number = tests.filter(matches).length;
    return number === 0 ? [] : [`${number} ${word}`];
  };
  const told = [
    ...count(isPassed, 'passed'),
    ...count(({ status }) => status === 'failed', '**failed**'),
    ...count(({ status }) => status !== 'passed' && status !== 'failed', 'skipped'),
  ];
  return told.join(', ') || '**no test**';
}

const MARKS: Readonly<Record<string, string>> = { passed: '✓', failed: '✗ failed:' };

function sectionOf({ row, tests }: ShownRow): string[] {
  const files = [...new Set(tests.map(({ file }) => file))].sort();
  return [
    `### ${row}`,
    ...files.flatMap((file) => [
      '',
      `[${nameOf(file)}](../${file})`,
      '',
      ...tests
        .filter((test) => test.file === file)
        .map(({ status, titles }) => {
          // The reason of what was skipped stands in its title.
          return `- ${MARKS[status] ?? 'skipped:'} ${titles.map(asText).join(' › ')}`;
        }),
    ]),
  ];
}

/** A title as Markdown shows it to the letter. */
function asText(title: string): string {
  return title.replace(/[\\`*_<>[\]|#~]/g, '\\$&').replace(/\s+/g, ' ');
}

/** What jest hands over at the end, as far as it is needed. */
interface Results {
  readonly testResults: readonly {
    readonly testFilePath: string;
    readonly testResults: readonly {
      readonly ancestorTitles: readonly string[];
      readonly title: string;
      readonly status: string;
    }[];
  }[];
}

/** What jest says of the run. */
interface RunConfig {
  readonly rootDir: string;
  readonly testNamePattern?: string;
}

/**
 * Writes the page when all of the suites ran. With CI=true the page in version control has to be what the run shows,
 * and each row has to be shown, or the run fails.
 */
export default class ThreatReporter {
  readonly #config: RunConfig;
  #fault: Error | undefined;

  constructor(config: RunConfig) {
    this.#config = config;
  }

  onRunComplete(_contexts: unknown, results: Results): void {
    const { rootDir, testNamePattern } = this.#config;
    const ran = new Set(results.testResults.map((spec) => relative(rootDir, spec.testFilePath)));
    if (testNamePattern || !suitesIn(rootDir).every((file) => ran.has(file))) return;
    const rows = JSON.parse(readFileSync(join(rootDir, ROWS), 'utf8')) as ThreatRow[];
    const tests = testsIn(results, rootDir);
    const document = join(rootDir, DOCUMENT);
    const before = existsSync(document) ? readFileSync(document, 'utf8') : '';
    const page = pageOf(rows, tests);
    writeFileSync(document, page);
    if (process.env['CI'] !== 'true') return;
    const faults = faultsIn(rows, tests);
    if (page !== before) faults.push(`${DOCUMENT} is not what these tests show`);
    if (faults.length === 0) return;
    this.#fault = new Error(
      `${faults.join('\n')}\nType npm run test:threats, and commit ${DOCUMENT}.`,
    );
    // jest tells nobody why a reporter lets a run fail.
    process.stderr.write(`\n${this.#fault.message}\n`);
  }

  /** jest fails the run with it. */
  getLastError(): Error | undefined {
    return this.#fault;
  }
}

/** All specs of the suites, by their paths from the root. */
function suitesIn(root: string): string[] {
  return SUITES.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.spec.ts'))
      .map((name) => `${folder}/${name}`),
  );
}

function testsIn({ testResults }: Results, root: string): TestSeen[] {
  return testResults
    .map((spec) => ({ ...spec, file: relative(root, spec.testFilePath) }))
    .filter(({ file }) => SUITES.some((folder) => file.startsWith(`${folder}/`)))
    .flatMap(({ file, testResults: tests }) =>
      tests.map(({ ancestorTitles, title, status }) => ({
        file,
        titles: [...ancestorTitles, title],
        status,
      })),
    );
}
