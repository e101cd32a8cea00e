/** `npm run test:soak [-- --minutes N] [-- --seed N]`: the soak at its full length, and where its report lies. */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string' },
  },
});
const minutes = Number(values.minutes);
if (!(minutes > 0)) {
  console.error(`--minutes takes a number above 0, not ${values.minutes}`);
  process.exit(2);
}
const seed = values.seed === undefined ? {} : { SOAK_SEED: values.seed };
const { status } = spawnSync('npm', ['run', 'jest', '--silent', '--', 'test/faults/soak.spec.ts'], {
  stdio: 'inherit',
  env: { ...process.env, SOAK_MINUTES: String(minutes), ...seed },
});
console.log('The report: .soak/report.html, and its figures: .soak/report.json');
process.exit(status ?? 1);
