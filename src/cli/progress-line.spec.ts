import type { PrefetchJob } from './gate-client';
import { printable } from './printable';
import { duration, ProgressLine, size } from './progress-line';

const MB = 1_000_000;

function jobAt(done: number, more: Partial<PrefetchJob> = {}): PrefetchJob {
  return {
    id: '1',
    state: 'running',
    layers: { done: 1, total: 4 },
    bytes: { done, total: 100 * MB, held: 0 },
    rate: 5 * MB,
    secondsLeft: 75,
    faults: [],
    notes: [],
    ...more,
  };
}

/** What was written to a screen, on a clock that the test turns. */
function screen(options: { isTTY?: boolean; columns?: number }) {
  const written: string[] = [];
  const clock = { now: 0 };
  const line = new ProgressLine(
    { ...options, write: (text) => written.push(text) },
    () => clock.now,
  );
  return { line, clock, written };
}

describe('the progress line', () => {
  it('draws one line on a terminal, again and again, and lets the last one stand', () => {
    const { line, written } = screen({ isTTY: true, columns: 120 });

    line.show(jobAt(25 * MB));
    line.show(jobAt(50 * MB));
    line.end();

    expect(written).toEqual([
      '\r\u001b[2K[######..................] 25 %, 25.0 MB of 100.0 MB, 1/4 layers, 5.0 MB/s, 1 min 15 s left',
      '\r\u001b[2K[############............] 50 %, 50.0 MB of 100.0 MB, 1/4 layers, 5.0 MB/s, 1 min 15 s left',
      '\n',
    ]);
  });

  it('never fills the line of a narrow terminal, which would break', () => {
    const { line, written } = screen({ isTTY: true, columns: 40 });

    line.show(jobAt(25 * MB));

    expect(written[0]?.replace('\r\u001b[2K', '')).toHaveLength(39);
  });

  it('writes plain lines elsewhere, every few seconds and only what is new', () => {
    const { line, clock, written } = screen({});

    for (clock.now = 0; clock.now <= 20_000; clock.now += 500)
      line.show(jobAt(clock.now < 9_000 ? 25 * MB : 50 * MB));
    line.end();

    expect(written).toEqual([
      '25 %, 25.0 MB of 100.0 MB, 1/4 layers, 5.0 MB/s, 1 min 15 s left\n',
      '50 %, 50.0 MB of 100.0 MB, 1/4 layers, 5.0 MB/s, 1 min 15 s left\n',
    ]);
  });

  it.each([
    ['waiting for other jobs', jobAt(0, { state: 'waiting' })],
    ['reading manifests', jobAt(0, { layers: { done: 0, total: 0 } })],
    ['0 %, 0 B of 100.0 MB, 1/4 layers', jobAt(0, { rate: 0, secondsLeft: undefined })],
    [
      '100 %, 100.0 MB of 100.0 MB, 1/4 layers',
      jobAt(100 * MB, { state: 'done', secondsLeft: undefined }),
    ],
    [
      '100 %, 0 B of 0 B, 1/4 layers',
      jobAt(0, { rate: 0, secondsLeft: undefined, bytes: { done: 0, total: 0, held: 0 } }),
    ],
  ])('says %j', (text, job) => {
    const { line, written } = screen({});

    line.show(job);

    expect(written).toEqual([`${text}\n`]);
  });

  it('has sizes and times that people read', () => {
    expect([0, 999, 1000, 999_949, 999_999, 1.5e9, 2e15].map(size)).toEqual([
      '0 B',
      '999 B',
      '1.0 kB',
      '1.0 MB',
      '1.0 MB',
      '1.5 GB',
      '2000.0 TB',
    ]);
    expect([0, 59, 60, 3_599, 3_660].map(duration)).toEqual([
      '0 s',
      '59 s',
      '1 min 0 s',
      '59 min 59 s',
      '1 h 1 min',
    ]);
  });

  it('lets no text of somebody else’s command the terminal', () => {
    expect(printable('a\u001b[2Jb\r\nc\u202e')).toBe('a�[2Jb��c�');
  });
});
