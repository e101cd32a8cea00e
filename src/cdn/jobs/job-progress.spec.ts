import { JobProgress } from './job-progress';

const MIB = 1024 * 1024;

/** Progress on a clock that the test turns. */
function onClock() {
  const clock = { now: 0 };
  return { clock, progress: new JobProgress(() => clock.now) };
}

describe('the progress of a job', () => {
  it('tells the rate of late, and what is left at it', () => {
    const { clock, progress } = onClock();
    progress.bytes.total = 100 * MIB;

    for (clock.now = 1_000; clock.now <= 10_000; clock.now += 1_000) progress.advance(MIB);
    clock.now = 10_000;

    expect([progress.rate, progress.secondsLeft]).toEqual([MIB, 90]);
  });

  it('has no rate before any time has passed', () => {
    const { progress } = onClock();

    progress.advance(MIB);

    expect([progress.rate, progress.secondsLeft]).toEqual([0, undefined]);
  });

  it('is on the process’s own clock, which never goes back', async () => {
    const progress = new JobProgress();
    await new Promise((resolve) => setTimeout(resolve, 20));

    progress.advance(MIB);

    expect(progress.rate).toBeGreaterThan(0);
  });

  it('begins the rate ten seconds ago, to the half second', () => {
    const { clock, progress } = onClock();
    // 10 bytes every tenth of a second for twenty seconds, then as many in half the time.
    for (clock.now = 100; clock.now <= 20_000; clock.now += 100) progress.advance(10);
    for (clock.now = 20_050; clock.now <= 25_000; clock.now += 50) progress.advance(10);
    clock.now = 25_000;

    expect(progress.rate).toBe(150);
  });

  it('forgets how fast it was long ago', () => {
    const { clock, progress } = onClock();
    progress.bytes.total = 200 * MIB;
    clock.now = 1_000;
    progress.advance(100 * MIB);

    for (clock.now = 2_000; clock.now <= 60_000; clock.now += 1_000) progress.advance(1024);
    clock.now = 60_000;

    expect(progress.rate).toBe(1024);
  });

  it('falls to nothing when nothing comes, and then does not know what is left', () => {
    const { clock, progress } = onClock();
    progress.bytes.total = 2 * MIB;
    clock.now = 1_000;
    progress.advance(MIB);

    clock.now = 100_000;

    expect([progress.rate, progress.secondsLeft]).toEqual([0, undefined]);
  });

  it('takes what was held for done, and for no speed', () => {
    const { clock, progress } = onClock();
    progress.bytes.total = 2 * MIB;
    clock.now = 1_000;

    progress.advance(MIB, true);

    expect(progress.bytes).toEqual({ done: MIB, total: 2 * MIB, held: MIB });
    expect(progress.rate).toBe(0);
  });

  it('keeps few of many faults, and counts all', () => {
    const { progress } = onClock();

    for (let n = 0; n < 1_000; n += 1) progress.fault(String(n), 'gone');

    for (let n = 0; n < 1_000; n += 1) progress.note('gone');

    expect([progress.faultCount, progress.faults.length]).toEqual([1_000, 100]);
    expect(progress.notes).toHaveLength(100);
  });
});
