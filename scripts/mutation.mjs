/**
 * Do the tests notice when the code is wrong? Each area's code is changed in one place at a time (a mutant), and its
 * own specs must fail: `npm run test:mutation [area…]`. Reports are in .mutation/; docs/mutation.md says what survives,
 * and why.
 *
 * Environment: MUTATION_CONCURRENCY, processes at once (all cores); MUTATION_ALL=1, nothing is taken from the last run.
 */
import { Stryker } from '@stryker-mutator/core';
import { availableParallelism } from 'node:os';

/** The least share of mutants that an area's specs must kill, in percent. */
const LEAST = 85;

/**
 * The areas: what is changed, and the specs that must notice. An area's own specs alone: nearly every other one runs
 * through it as well, and would take hours to show that it knows nothing about it.
 */
const AREAS = {
  'egress-policy': one('src/upstream/egress-policy'),
  'upload-location': one('src/registry/upload-location'),
  oci: whole('src/oci'),
  auth: only('src/auth'),
  'auth/token': whole('src/auth/token'),
  'auth/relay': whole('src/auth/relay'),
  'auth/accounts': whole('src/auth/accounts'),
  cdn: only('src/cdn'),
  'cdn/body': whole('src/cdn/body'),
  'cdn/fetch': whole('src/cdn/fetch'),
  'cdn/index': whole('src/cdn/index'),
  'cdn/jobs': whole('src/cdn/jobs'),
  'cdn/room': whole('src/cdn/room'),
  'cdn/store': whole('src/cdn/store'),
};

/** One file and its spec. */
function one(path) {
  return {
    mutate: [`${path}.ts`],
    specs: [`${path}.spec.ts`],
  };
}

/** A folder's own files, without those in folders within. */
function only(path) {
  return area(`${path}/*`);
}

/** All of a folder. */
function whole(path) {
  return area(`${path}/**/*`);
}

function area(pattern) {
  return {
    mutate: [`${pattern}.ts`, `!${pattern}.spec.ts`, `!${pattern}.module.ts`],
    specs: [`${pattern}.spec.ts`],
  };
}

async function run(name) {
  const { mutate, specs } = AREAS[name];
  const report = `.mutation/${name.replaceAll('/', '-')}`;
  const mutants = await new Stryker({
    mutate,
    plugins: ['./scripts/mutation-runner.mjs'],
    testRunner: 'circus',
    concurrency: Number(process.env.MUTATION_CONCURRENCY) || availableParallelism(),
    force: process.env.MUTATION_ALL === '1',
    incrementalFile: `${report}.last.json`,
    htmlReporter: { fileName: `${report}.html` },
    jsonReporter: { fileName: `${report}.json` },
    circus: { specs },
  }).runMutationTest();
  const count = (...states) => mutants.filter(({ status }) => states.includes(status)).length;
  const killed = count('Killed', 'Timeout');
  const all = killed + count('Survived', 'NoCoverage');
  return { area: name, mutants: all, killed, score: score(killed, all) };
}

/** In percent, to one place. */
function score(killed, all) {
  return all === 0 ? 0 : Math.floor((1000 * killed) / all) / 10;
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !Object.hasOwn(AREAS, name));
if (unknown.length > 0) {
  console.error(`no such area: ${unknown.join(', ')}. There are: ${Object.keys(AREAS).join(', ')}`);
  process.exit(2);
}

const results = [];
for (const name of asked.length > 0 ? asked : Object.keys(AREAS)) {
  console.log(`\n${name}`);
  results.push(await run(name));
}

const sum = (of) => results.reduce((total, result) => total + result[of], 0);
const [mutants, killed] = [sum('mutants'), sum('killed')];
console.table([...results, { area: 'all', mutants, killed, score: score(killed, mutants) }]);
const low = results.filter((result) => result.score < LEAST).map((result) => result.area);
if (low.length > 0) {
  console.error(`fewer than ${LEAST} % were noticed in: ${low.join(', ')}`);
  process.exitCode = 1;
}
