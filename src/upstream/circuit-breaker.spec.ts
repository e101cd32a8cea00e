import fc from 'fast-check';
import { type Attempt, CircuitBreaker } from './circuit-breaker';

let now: number;
let breaker: CircuitBreaker;

beforeEach(() => {
  now = 0;
  breaker = new CircuitBreaker(() => now);
});

function fail(): void {
  breaker.begin().failed(new Error('silent'));
}

/** Waits as long as the breaker says, and fails again: how long it says then. */
function failProbe(): number {
  now += breaker.wait;
  fail();
  return breaker.wait;
}

it('opens after three failures in a row, for 2 s', () => {
  fail();
  fail();
  expect(breaker.wait).toBe(0);

  fail();

  expect([breaker.isOpen, breaker.wait]).toEqual([true, 2_000]);
  now += 1_999;
  expect(breaker.wait).toBe(1);
});

it('does not open where an answer comes between the failures', () => {
  for (let round = 0; round < 5; round += 1) {
    fail();
    fail();
    breaker.begin().answered();
  }

  expect(breaker.isOpen).toBe(false);
});

it('counts a failure that many share as one', () => {
  const error = new Error('the one question for a token');

  for (let reader = 0; reader < 10; reader += 1) breaker.begin().failed(error);

  expect(breaker.isOpen).toBe(false);
});

it('takes what was asked before the latest answer for old news', () => {
  const slow = [1, 2, 3, 4].map(() => breaker.begin());
  breaker.begin().answered();

  for (const attempt of slow) attempt.failed(new Error('silent'));

  expect(breaker.isOpen).toBe(false);
});

it('lets one request go and see when the pause is over, and the others wait for it', () => {
  [1, 2, 3].forEach(fail);
  now += 2_000;
  expect(breaker.wait).toBe(0);

  const probe = breaker.begin();

  expect(breaker.wait).toBe(1_000);
  now += 29_000;
  expect(breaker.wait).toBe(1_000);
  probe.answered();
  expect([breaker.isOpen, breaker.wait]).toEqual([false, 0]);
});

it('pauses twice as long after each probe in vain, 30 s at most, and begins anew after an answer', () => {
  [1, 2, 3].forEach(fail);

  expect([1, 2, 3, 4, 5, 6].map(failProbe)).toEqual([4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);

  now += breaker.wait;
  breaker.begin().answered();
  [1, 2].forEach(fail);
  expect(breaker.isOpen).toBe(false);
  fail();
  expect(breaker.wait).toBe(2_000);
});

it('gives the place of a probe that left to the next', () => {
  [1, 2, 3].forEach(fail);
  now += 2_000;
  const probe = breaker.begin();

  probe.left();

  expect(breaker.wait).toBe(0);
  breaker.begin();
  probe.left();
  expect(breaker.wait).toBe(1_000);
});

it('does not pause longer for failures of what was asked before it opened', () => {
  const late = [breaker.begin(), breaker.begin()];
  [1, 2, 3].forEach(fail);

  for (const attempt of late) attempt.failed(new Error('silent'));

  expect(breaker.wait).toBe(2_000);
});

it('closes by any answer, whoever asked and when', () => {
  const early = breaker.begin();
  [1, 2, 3].forEach(fail);

  early.answered();

  expect(breaker.wait).toBe(0);
});

it('takes nobody for the probe who goes regardless', () => {
  [1, 2, 3].forEach(fail);
  now += 2_000;

  const push = breaker.begin({ regardless: true });
  push.failed(new Error('silent'));

  expect(breaker.wait).toBe(0);
  breaker.begin({ regardless: true }).answered();
  expect(breaker.isOpen).toBe(false);
});

it('never lets two go while it is open, never waits longer than 30 s, and always lets somebody go in the end', () => {
  type Step = 'begin' | 'answered' | 'failed' | 'left' | 'later';
  const steps = fc.array(fc.constantFrom<Step>('begin', 'answered', 'failed', 'left', 'later'));
  fc.assert(
    fc.property(steps, (script) => {
      now = 0;
      breaker = new CircuitBreaker(() => now);
      const under: Attempt[] = [];
      for (const step of script) {
        if (step === 'later') now += 1_500;
        else if (step === 'begin') {
          if (breaker.wait > 0) continue;
          under.push(breaker.begin());
          if (breaker.isOpen) expect(breaker.wait).toBeGreaterThan(0);
        } else under.shift()?.[step](new Error('silent'));
        expect(breaker.wait).toBeLessThanOrEqual(30_000);
      }
      for (const attempt of under) attempt.left();
      now += 30_000;
      expect(breaker.wait).toBe(0);
    }),
  );
});
