/**
 * Everything at once for a time: pulls, pushes, logins, account changes, faults of the registry, and restarts. Half a
 * minute with the other tests; `npm run test:soak` takes an hour, and writes its report to `.soak`.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import '../support/lifecycle';
import { htmlOf } from '../soak/report';
import { LONG, SHORT, soak, type Options } from '../soak/soak';
import { summaryOf } from '../soak/summary';

const MINUTES = Number(process.env['SOAK_MINUTES'] ?? 0);
const FOLDER = join(__dirname, '../../.soak');
const seed = Number(process.env['SOAK_SEED'] ?? Date.now() % 2 ** 31);

const options: Options =
  MINUTES > 0
    ? {
        minutes: MINUTES,
        restarts: ['SIGTERM', 'SIGKILL'],
        size: LONG,
        seed,
        say: (text) => void process.stderr.write(`${text}\n`),
      }
    : { minutes: 0.5, restarts: ['SIGKILL'], size: SHORT, seed, say: () => undefined };

describe('a gate under mixed traffic, with a registry that fails and restarts of its own', () => {
  it(
    `loses nothing, lies never, and stays small`,
    async () => {
      const done = await soak(options);

      if (MINUTES > 0) {
        mkdirSync(FOLDER, { recursive: true });
        const summary = summaryOf(done);
        writeFileSync(join(FOLDER, 'report.json'), `${JSON.stringify(summary, undefined, 2)}\n`);
        writeFileSync(join(FOLDER, 'report.html'), htmlOf(summary));
      }
      expect(done.findings.filter(({ holds }) => !holds)).toEqual([]);
      const succeeded = done.entries.filter(({ verdict }) => verdict === 'succeeded');
      expect(succeeded.length).toBeGreaterThan(10);
    },
    // What was acknowledged is looked at once more after the traffic.
    (MINUTES * 1.5 + 15) * 60_000,
  );
});
