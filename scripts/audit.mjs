/**
 * `npm run audit`: asks the package registry for known vulnerabilities of what the gate runs on. Exit 1 when it names
 * one of level moderate or more. A registry that does not answer the question (a mirror, or no network) is no finding:
 * that is said, and the exit code is 0.
 */
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');
const LEVELS = ['info', 'low', 'moderate', 'high', 'critical'];
const COUNTS = LEVELS.indexOf('moderate');

/** By the lockfile, and with no patience: the registry is asked once. */
const { stdout, error } = spawnSync(
  'npm',
  [
    'audit',
    '--json',
    '--omit=dev',
    '--package-lock-only',
    '--audit=true',
    '--fetch-retries=0',
    '--fetch-timeout=30000',
    '--loglevel=silent',
  ],
  {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 120_000,
    maxBuffer: 64 * 1024 * 1024,
    shell: process.platform === 'win32',
  },
);

/** npm's report, or undefined when what it wrote is none. */
function reportOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What is wrong with one package: its own advisories, or the name of the package that brings it in. */
const reasonsOf = ({ via = [] }) =>
  via.map((each) => (typeof each === 'string' ? `by ${each}` : `${each.title} ${each.url}`));

const report = reportOf(stdout ?? '');
if (report?.auditReportVersion === undefined) {
  const reason = error?.message ?? report?.message ?? report?.error?.summary ?? 'no report';
  console.log(
    `Audit: the package registry does not say (${reason}). Nothing was found, or ruled out.`,
  );
} else {
  const found = Object.values(report.vulnerabilities ?? {});
  const grave = found.filter(({ severity }) => LEVELS.indexOf(severity) >= COUNTS);
  for (const each of found)
    console.log(`Audit: ${each.name}: ${each.severity}: ${reasonsOf(each).join('; ')}`);
  console.log(
    `Audit: ${found.length} packages with known vulnerabilities, ${grave.length} of them moderate or worse.`,
  );
  process.exitCode = grave.length > 0 ? 1 : 0;
}
