/**
 * Runs specs for Stryker, by jest's own circus and expect, within one process. A run for each mutant, a thousand times
 * over, is hardly ever more than the tests themselves here: our own code is loaded anew for each, and libraries once.
 * (Stryker's own runner builds all of jest anew for each mutant, which is ten times the work.)
 */
import { transformSync } from '@swc/core';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(import.meta.url);
// Jest's own, of the versions that it brings along.
const requireOfJest = createRequire(require.resolve('jest/package.json'));
const circus = requireOfJest('jest-circus');
const { jestExpect } = requireOfJest('@jest/expect');
const { ModuleMocker } = requireOfJest('jest-mock');

/** What instrumented code looks at: which mutant is on, and who runs through it. */
const STRYKER = '__stryker__';
const stryker = (globalThis[STRYKER] ??= {});
/** The copy of the tree with the mutants in it, once the process is there. */
let root = '';
const COMPILE = '_compile';
/** Within the copy: what the first run of all tests took. */
const TAKES = 'takes.json';
/** How long a test may take, in {@link ownTime}. The longest takes 3 s, and what hangs is much of all time. */
const LONGEST = 5000;
/** How long what is to be tidied up after a spec may take: what hung in a test often hangs there again. */
const TIDYING = 2000;
const NONE = /(?!)/;

class CircusRunner {
  static inject = ['options'];
  #specs;
  /** By spec, the files of ours that it loads. */
  #loaded = new Map();
  /** By test, how long it takes; milliseconds. The quickest go first: most mutants are noticed by any. */
  #takes;

  constructor({ circus: { specs } }) {
    this.#specs = specs;
  }

  capabilities() {
    return { reloadEnvironment: true };
  }

  async init() {
    root = process.cwd();
    const { transform, testTimeout } = require(join(root, 'jest.config.js'));
    const [, options] = transform['^.+\\.ts$'];
    const texts = new Map();
    require.extensions['.ts'] = (module, filename) => {
      if (!texts.has(filename))
        texts.set(
          filename,
          transformSync(readFileSync(filename, 'utf8'), {
            ...options,
            filename,
            sourceMaps: false,
            swcrc: false,
          }).code,
        );
      module[COMPILE](texts.get(filename), filename);
    };
    const { describe, beforeAll, beforeEach, afterEach } = circus;
    const [it, test] = [bounded(circus.it), bounded(circus.test)];
    const afterAll = (tidy) => circus.afterAll(tidy, TIDYING);
    const mocker = new ModuleMocker(globalThis);
    const jest = {
      fn: mocker.fn.bind(mocker),
      spyOn: mocker.spyOn.bind(mocker),
      restoreAllMocks: mocker.restoreAllMocks.bind(mocker),
      setTimeout: () => undefined,
    };
    const inGlobal = { describe, it, test, beforeAll, beforeEach, afterAll, afterEach };
    Object.assign(globalThis, inGlobal, { expect: jestExpect, jest });
    this.testTimeout = testTimeout;
  }

  async dryRun({ coverageAnalysis }) {
    delete stryker.activeMutant;
    delete stryker.hitLimit;
    stryker.mutantCoverage = undefined;
    const covers = coverageAnalysis === 'perTest';
    const tests = [];
    for (const spec of this.#all()) {
      const run = await this.#run(spec, { covers });
      if (run.error) return { status: 'error', errorMessage: `${spec}: ${run.error}` };
      tests.push(...run.tests);
      this.#loaded.set(spec, new Set(ours()));
    }
    // For the other processes, too, which do not see this run.
    const takes = Object.fromEntries(tests.map(({ id, timeSpentMs }) => [id, timeSpentMs]));
    writeFileSync(join(root, TAKES), JSON.stringify(takes));
    return { status: 'complete', tests, mutantCoverage: stryker.mutantCoverage };
  }

  async mutantRun({ activeMutant, testFilter, sandboxFileName, hitLimit, disableBail }) {
    stryker.activeMutant = activeMutant.id.toString();
    stryker.hitLimit = hitLimit;
    stryker.hitCount = hitLimit === undefined ? undefined : 0;
    this.#takes ??= JSON.parse(readFileSync(join(root, TAKES), 'utf8'));
    const wantedOf = (spec) => testFilter?.filter((id) => id.startsWith(`${spec} `));
    const takes = (spec) => sum((wantedOf(spec) ?? []).map((id) => this.#takes[id] ?? 0));
    let nrOfTests = 0;
    for (const spec of this.#all().sort((a, b) => takes(a) - takes(b))) {
      const wanted = wantedOf(spec);
      const loaded = this.#loaded.get(spec);
      if (wanted ? wanted.length === 0 : loaded && !loaded.has(sandboxFileName)) continue;
      const run = await this.#run(spec, { wanted, bail: !disableBail });
      if (!loaded) this.#loaded.set(spec, new Set(ours()));
      nrOfTests += run.tests.length;
      if (stryker.hitCount > hitLimit) return { status: 'timeout', reason: 'an endless loop' };
      if (run.error) return { status: 'error', errorMessage: run.error };
      const failed = run.tests.filter(({ status }) => status === 'failed');
      if (failed.length > 0)
        return {
          status: 'killed',
          killedBy: failed.map(({ id }) => id),
          failureMessage: failed[0].failureMessage,
          nrOfTests,
        };
    }
    return { status: 'survived', nrOfTests };
  }

  #all() {
    return this.#specs.flatMap((pattern) => globSync(pattern, { cwd: root })).sort();
  }

  /** @returns its tests that ran; `error` where it cannot even be loaded. */
  async #run(spec, { wanted, bail = false, covers = false }) {
    for (const path of ours()) Reflect.deleteProperty(require.cache, path);
    circus.resetState();
    circus.getState().testTimeout = this.testTimeout;
    const tests = [];
    const astray = [];
    const onEvent = (event, state) => {
      const { name, test } = event;
      if (name === 'test_start' && covers) stryker.currentTestId = idOf(spec, test);
      if (name !== 'test_done') return;
      stryker.currentTestId = undefined;
      const errors = [...test.errors.flat().filter(Boolean), ...astray.splice(0)];
      const failed = errors.length > 0;
      const id = idOf(spec, test);
      tests.push({
        id,
        name: id,
        fileName: join(root, spec),
        timeSpentMs: test.duration ?? 0,
        ...(failed
          ? { status: 'failed', failureMessage: String(errors[0]?.message ?? errors[0]) }
          : { status: 'success' }),
      });
      if (failed && bail) state.testNamePattern = NONE;
    };
    const onAstray = (error) => astray.push(error);
    process.on('uncaughtException', onAstray).on('unhandledRejection', onAstray);
    circus.addEventHandler(onEvent);
    try {
      // A module of its own each time, so that nobody holds what was loaded before.
      createRequire(join(root, 'package.json'))(join(root, spec));
      if (wanted) leaveOut(circus.getState().rootDescribeBlock, spec, new Set(wanted));
      if (bail) quickestFirst(circus.getState().rootDescribeBlock, spec, this.#takes);
      await circus.run();
      return { tests };
    } catch (error) {
      return { tests, error: String(error?.stack ?? error) };
    } finally {
      circus.removeEventHandler(onEvent);
      process.off('uncaughtException', onAstray).off('unhandledRejection', onAstray);
    }
  }
}

/** Tests that end with an error once they hang. Circus itself goes by the clock, in which others' work has its part. */
function bounded(test) {
  const within = (run) => {
    return async (...given) => {
      const hung = Promise.withResolvers();
      const began = ownTime();
      const look = () => ownTime() - began > LONGEST && hung.reject(new Error('it hangs'));
      const watch = setInterval(look, 100);
      try {
        await Promise.race([run(...given), hung.promise]);
      } finally {
        clearInterval(watch);
      }
    };
  };
  const each = (...table) => {
    const all = test.each(...table);
    return (name, run) => all(name, within(run));
  };
  return Object.assign((name, run) => test(name, within(run)), { each });
}

/** Milliseconds, without those for which this process could have run and others did; by a clock that no spec sets. */
function ownTime() {
  return Number(process.hrtime.bigint()) / 1e6 - waited();
}

function waited() {
  try {
    return Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6;
  } catch {
    // Linux alone tells.
    return 0;
  }
}

/** What is loaded of the tree, without libraries. */
function ours() {
  return Object.keys(require.cache).filter((path) => path.startsWith(root) && path.endsWith('.ts'));
}

function leaveOut(block, spec, wanted) {
  for (const child of block.children) {
    if (child.type === 'describeBlock') leaveOut(child, spec, wanted);
    else if (!wanted.has(idOf(spec, child))) child.mode = 'skip';
  }
}

/** @returns how long all of the block takes. */
function quickestFirst(block, spec, takes) {
  const of = new Map();
  for (const child of block.children) {
    const isBlock = child.type === 'describeBlock';
    of.set(child, isBlock ? quickestFirst(child, spec, takes) : (takes[idOf(spec, child)] ?? 0));
  }
  block.children.sort((a, b) => of.get(a) - of.get(b));
  return sum([...of.values()]);
}

function sum(numbers) {
  return numbers.reduce((total, number) => total + number, 0);
}

function idOf(spec, test) {
  const names = [test.name];
  for (let { parent } = test; parent?.parent; parent = parent.parent) names.unshift(parent.name);
  return [spec, ...names].join(' ');
}

export const strykerPlugins = [
  { kind: 'TestRunner', name: 'circus', injectableClass: CircusRunner },
];
export const strykerValidationSchema = {
  properties: {
    circus: { type: 'object', properties: { specs: { type: 'array', items: { type: 'string' } } } },
  },
};
