/**
 * `npm run test:chaos`: whatever the tests do in a shortened way, whole, one spec after the other, so that each has the
 * machine for itself. `npm run test:chaos -- cache-crash` takes those alone whose path has that in it, `-- --list`
 * tells which there are. What was seen is printed at the end, and lies in .chaos/report.md; it ends with 1 when
 * anything failed.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const FOLDER = join(ROOT, '.chaos');
const FIGURES = join(FOLDER, 'figures.jsonl');
const RESULT = join(FOLDER, 'result.json');
/** Minutes after which a spec is taken to hang. */
const PATIENCE = Number(process.env.CHAOS_MINUTES ?? 60);
/** Where every row of the threat table has its tests. */
const ROWS_LIE_IN = /^test\/(?:faults|hostile)\//;
/** What is longer in the long run, by its own words or by the helper that it counts with. */
const IS_LONGER = /LONG_TESTS|CHAOS_ROUNDS|\/(?:figures|fuzz)'/;
/** `S9, F12: …` in a test's full name. */
const ROW = /\b[SF]\d{1,2}(?:[,\s]+(?:and )?[SF]\d{1,2})*:/g;

const env = {
  ...process.env,
  LONG_TESTS: '1',
  CHAOS_ROUNDS: process.env.CHAOS_ROUNDS ?? '200',
  // So many times as many cases: minutes for each of the fuzzed specs.
  FUZZ_RUNS: process.env.FUZZ_RUNS ?? '20',
  FIGURES_FILE: FIGURES,
};

function specs(wanted) {
  return ['src', 'test']
    .flatMap((folder) =>
      readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
        .filter((entry) => entry.isFile() && entry.name.endsWith('.spec.ts'))
        .map((entry) => relative(ROOT, join(entry.parentPath, entry.name))),
    )
    .filter((path) => {
      return ROWS_LIE_IN.test(path) || IS_LONGER.test(readFileSync(join(ROOT, path), 'utf8'));
    })
    .filter((path) => wanted.length === 0 || wanted.some((part) => path.includes(part)))
    .sort();
}

let running;
for (const signal of ['SIGINT', 'SIGTERM'])
  process.on(signal, () => {
    running?.kill(signal);
    process.exit(1);
  });

/**
 * Runs one spec to its end. A process of its own for each: none inherits another's memory, and one that hangs is ended.
 */
function run(path) {
  rmSync(RESULT, { force: true });
  const jest = join(ROOT, 'node_modules/jest/bin/jest.js');
  const flags = ['--experimental-vm-modules', '--disable-warning=ExperimentalWarning'];
  const args = [...flags, jest, '-i', '--json', `--outputFile=${RESULT}`, '--runTestsByPath', path];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, { cwd: ROOT, env });
    running = child;
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (said = (said + text).slice(-20_000)));
    const hanging = setTimeout(() => child.kill('SIGKILL'), PATIENCE * 60_000);
    child.on('close', (code) => {
      clearTimeout(hanging);
      resolve({ code, said });
    });
  });
}

/** What became of its tests; a spec without a result (it hung, or did not load) is one that failed. */
function testsOf(path, { code, said }) {
  let file;
  try {
    [file] = JSON.parse(readFileSync(RESULT, 'utf8')).testResults;
  } catch {
    // It was ended before it could say.
  }
  const tests = (file?.assertionResults ?? []).map(({ fullName, status, failureMessages }) => {
    return { path, name: fullName, status, why: failureMessages?.join('\n') ?? '' };
  });
  if (code !== 0 && !tests.some(({ status }) => status === 'failed'))
    tests.push({ path, name: 'the whole of it', status: 'failed', why: file?.message || said });
  return tests;
}

const rowsOf = (name) => (name.match(ROW) ?? []).flatMap((title) => title.match(/[SF]\d{1,2}/g));

function figures() {
  const text = readFileSync(FIGURES, 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

const byRow = (a, b) => a[0].localeCompare(b[0]) || Number(a.slice(1)) - Number(b.slice(1));

function table(head, rows) {
  const cells = (row) =>
    `| ${row.map((cell) => String(cell ?? '').replaceAll('|', '\\|')).join(' | ')} |`;
  return [cells(head), cells(head.map(() => '---')), ...rows.map(cells)].join('\n');
}

function reportOf(tests, seen, minutes) {
  const failed = tests.filter(({ status }) => status === 'failed');
  const skipped = tests.filter(({ status }) => status === 'pending');
  const rows = [...new Set(tests.flatMap(({ name }) => rowsOf(name)))].sort(byRow);
  const lines = seen
    .sort((a, b) => byRow(a.row, b.row))
    .map(({ row, what, tried, survived, lost, ...more }) => {
      const rest = Object.entries(more).map(([name, value]) => `${name} ${value}`);
      return [row, what, tried, survived, lost, rest.join(', ')];
    });
  const results = rows.map((row) => {
    const of = tests.filter(({ name }) => rowsOf(name).includes(row));
    const count = (status) => of.filter((test) => test.status === status).length;
    return [row, count('passed'), count('failed'), count('pending')];
  });
  const list = (of, more) => of.map((test) => `- ${test.path}: ${test.name}${more(test)}`);
  return [
    '# What was withstood',
    `${tests.length - failed.length - skipped.length} tests passed, ${failed.length} failed, ${skipped.length} were skipped, in ${minutes} minutes, on ${cpus().length} processors with ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}.`,
    '## Figures',
    table(['row', 'what', 'tried', 'survived', 'lost', 'figures'], lines),
    '## Rows',
    table(['row', 'passed', 'failed', 'skipped'], results),
    ...(failed.length > 0
      ? [
          '## Failed',
          list(
            failed,
            ({ why }) => `\n\n\`\`\`\n${stripVTControlCharacters(why).slice(0, 2_000)}\n\`\`\``,
          ).join('\n'),
        ]
      : []),
    ...(skipped.length > 0 ? ['## Skipped', list(skipped, () => '').join('\n')] : []),
  ].join('\n\n');
}

const words = process.argv.slice(2);
const chosen = specs(words.filter((word) => word !== '--list'));
if (words.includes('--list')) {
  process.stdout.write(`${chosen.join('\n')}\n`);
  process.exit();
}
if (chosen.length === 0) {
  process.stderr.write(
    `No spec that is longer in the long run has ${words.join(' or ')} in its path\n`,
  );
  process.exit(2);
}
const began = Date.now();
mkdirSync(FOLDER, { recursive: true });
writeFileSync(FIGURES, '');
const tests = [];
for (const path of chosen) {
  const start = Date.now();
  const of = testsOf(path, await run(path));
  tests.push(...of);
  const failed = of.filter(({ status }) => status === 'failed');
  const seconds = Math.round((Date.now() - start) / 1000);
  process.stderr.write(`${failed.length > 0 ? 'FAILED' : 'passed'}  ${path}  ${seconds} s\n`);
  for (const { name, why } of failed)
    process.stderr.write(`        ${name}\n${stripVTControlCharacters(why).slice(0, 1_000)}\n`);
}
const report = reportOf(tests, figures(), Math.round((Date.now() - began) / 60_000));
writeFileSync(join(FOLDER, 'report.md'), `${report}\n`);
process.stdout.write(`\n${report}\n`);
process.exit(tests.every(({ status }) => status !== 'failed') ? 0 : 1);
