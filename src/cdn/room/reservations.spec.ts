import { Reservations } from './reservations';

const LIFETIME = 600_000;

function onClock() {
  const clock = { now: 0 };
  return { clock, promised: new Reservations(() => clock.now) };
}

describe('promised bytes', () => {
  it('count until they are held, or given back', () => {
    const { promised } = onClock();
    promised.add(100);
    promised.add(50);
    expect(promised.total).toBe(150);

    promised.noteStored(120);
    expect(promised.total).toBe(30);
    promised.giveBack(10);
    expect(promised.total).toBe(20);
  });

  it('are kept by the growth of what is held, and by nothing else', () => {
    const { promised } = onClock();
    promised.add(100);

    for (const stored of [40, 40, 30, 40]) promised.noteStored(stored);

    expect(promised.total).toBe(50);
  });

  it('are never fewer than none', () => {
    const { promised } = onClock();
    promised.add(100);

    promised.giveBack(1000);
    promised.noteStored(1000);
    expect(promised.total).toBe(0);

    promised.add(10);
    expect(promised.total).toBe(10);
  });

  it('count no more after ten minutes', () => {
    const { clock, promised } = onClock();
    promised.add(100);
    clock.now = 1;
    promised.add(50);

    clock.now = LIFETIME - 1;
    expect(promised.total).toBe(150);
    clock.now = LIFETIME;
    expect(promised.total).toBe(50);
    clock.now = LIFETIME + 1;
    expect(promised.total).toBe(0);
  });

  it('are kept the oldest first, in part or several at once', () => {
    const { clock, promised } = onClock();
    for (clock.now = 0; clock.now < 4; clock.now += 1) promised.add(10);

    promised.noteStored(25);

    clock.now = LIFETIME + 1;
    expect(promised.total).toBe(15);
    clock.now = LIFETIME + 2;
    expect(promised.total).toBe(10);
  });

  it('are given back the latest first, in part or several at once', () => {
    const { clock, promised } = onClock();
    for (clock.now = 0; clock.now < 4; clock.now += 1) promised.add(10);

    promised.giveBack(25);

    clock.now = LIFETIME - 1;
    expect(promised.total).toBe(15);
    clock.now = LIFETIME;
    expect(promised.total).toBe(5);
    clock.now = LIFETIME + 1;
    expect(promised.total).toBe(0);
  });

  it('are on a clock of the process that never goes back', () => {
    const promised = new Reservations();

    promised.add(10);

    expect(promised.total).toBe(10);
  });
});
