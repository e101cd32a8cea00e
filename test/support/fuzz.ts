/**
 * Fuzzing: how many cases a property gets, from which seed, and whether a reader's work grows with its input and no
 * faster. The long run sets FUZZ_RUNS (so many times as many cases) and prints its seed; FUZZ_SEED replays it.
 */
import fc from 'fast-check';
import { basename } from 'node:path';
import './lifecycle';

const TIMES = Number(process.env['FUZZ_RUNS'] ?? 1);
const SEED = Number(process.env['FUZZ_SEED'] ?? Date.now() % 0x7fffffff);
const HOUR = 3_600_000;

if (TIMES > 1) {
  jest.setTimeout(HOUR);
  const spec = basename(expect.getState().testPath ?? '');
  process.stderr.write(`${spec}: FUZZ_SEED=${SEED} FUZZ_RUNS=${TIMES} has these cases again\n`);
}

/** So many cases in `npm test`, and FUZZ_RUNS-fold many in the long run. */
export function runs(usual: number): number {
  return Math.ceil(usual * TIMES);
}

/**
 * What a property is run with.
 * @param usual how many cases it has in `npm test`.
 * @param examples cases that failed once, or that chance would hardly find: the first ones of every run.
 */
export function fuzzed<T>(usual: number, examples: T[] = []): fc.Parameters<T> {
  const numRuns = runs(usual) + examples.length;
  return TIMES > 1 || process.env['FUZZ_SEED']
    ? { numRuns, examples, seed: SEED }
    : { numRuns, examples };
}

/** How a text is made that somebody hopes is slow to read. */
export interface Shape {
  readonly before: readonly string[];
  /** What stands there again and again. */
  readonly unit: readonly string[];
  readonly after: readonly string[];
}

/** What upsets readers of any kind. */
const ODD = [
  ',',
  '"',
  '\\',
  ' ',
  '\t',
  '%',
  '/',
  ':',
  ';',
  '=',
  '-',
  '.',
  '?',
  '<',
  '>',
  '(',
  '[',
  '{',
  'a',
  '0',
  '\n',
  'é',
];

/** Shapes of these pieces, and of those that upset any reader. */
export function shapes(...pieces: string[]): fc.Arbitrary<Shape> {
  const piece = fc.oneof(fc.constantFrom(...pieces, 'a'), fc.constantFrom(...ODD));
  return fc.record({
    before: fc.array(piece, { maxLength: 2 }),
    unit: fc.array(piece, { minLength: 1, maxLength: 3 }),
    after: fc.array(piece, { maxLength: 2 }),
  });
}

/** A text of that shape and about that many characters. */
export function textOf({ before, unit, after }: Shape, length: number): string {
  const once = unit.join('');
  return `${before.join('')}${once.repeat(Math.max(1, Math.floor(length / once.length)))}${after.join('')}`;
}

interface Growth {
  /** Characters of the longer text; of a reader that refuses longer ones unread, as many as it takes. */
  readonly length: number;
  /** Milliseconds within which the longer text is read anyhow: that is not worth a comparison. */
  readonly quick?: number;
}

const TIMES_AS_LONG = 8;
/** Work that grows with the square of the length would be eight times eight. */
const TOO_MUCH = (TIMES_AS_LONG * TIMES_AS_LONG) / 2;

/**
 * Fails for a reader whose work grows faster than its input: eight times the text may cost 32 times as much at most. It
 * is time of the processor's that counts, the least of several tries, and whatever is quick is good.
 */
export function expectLinear(
  read: (text: string) => unknown,
  shape: Shape,
  { length, quick = 2 }: Growth,
): void {
  const long = textOf(shape, length);
  const short = textOf(shape, length / TIMES_AS_LONG);
  let growth = Infinity;
  for (let attempt = 0; attempt < 6 && growth > TOO_MUCH; attempt += 1) {
    const work = workOf(read, long, 1);
    if (work <= quick) return;
    growth = work / workOf(read, short, TIMES_AS_LONG);
  }
  if (growth > TOO_MUCH)
    throw new Error(
      `eight times the text costs ${growth.toFixed(0)} times the work: ${JSON.stringify(shape)}`,
    );
}

/** Milliseconds of the processor's for one reading, the least of three tries of `times` readings each. */
function workOf(read: (text: string) => unknown, text: string, times: number): number {
  let least = Infinity;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const before = process.cpuUsage();
    for (let time = 0; time < times; time += 1) attemptTo(read, text);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, (user + system) / 1000 / times);
  }
  // The clock's own step: less than that is not told from nothing.
  return Math.max(least, 0.001);
}

function attemptTo(read: (text: string) => unknown, text: string): void {
  try {
    read(text);
  } catch {
    // To refuse it is one way to have read it.
  }
}
