import { getEventListeners } from 'node:events';
import { Flights } from './flights';

const never = new AbortController().signal;

describe('Flights', () => {
  it('starts once for all who ask the same', async () => {
    const flights = new Flights<number>();
    const gate = Promise.withResolvers<number>();
    let starts = 0;
    const start = () => ((starts += 1), gate.promise);

    const asked = [1, 2, 3].map(() => flights.join('a', never, start));
    gate.resolve(7);

    const got = await Promise.all(asked);
    expect(starts).toBe(1);
    expect(got.map(({ value, joined }) => [value, joined])).toEqual([
      [7, false],
      [7, true],
      [7, true],
    ]);
  });

  it('starts anew once it is over, and for another key', async () => {
    const flights = new Flights<number>();
    let starts = 0;
    const start = () => Promise.resolve((starts += 1));

    await flights.join('a', never, start);
    await flights.join('a', never, start);
    await flights.join('b', never, start);

    expect(starts).toBe(3);
  });

  it('goes on for the others when one leaves, and ends when all have left', async () => {
    const flights = new Flights<number>();
    let given!: AbortSignal;
    const start = (signal: AbortSignal) => {
      given = signal;
      return new Promise<number>((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(new Error('ended'))),
      );
    };
    const [one, other] = [new AbortController(), new AbortController()];
    const first = flights.join('a', one.signal, start);
    const second = flights.join('a', other.signal, start);

    one.abort(new Error('left'));
    await expect(first).rejects.toThrow('left');
    expect(given.aborted).toBe(false);
    other.abort(new Error('left too'));
    await expect(second).rejects.toThrow('left too');

    expect(given.aborted).toBe(true);
  });

  it('does not let anybody join what was given up or forgotten', async () => {
    const flights = new Flights<number>();
    const hang = () => new Promise<number>(() => undefined);
    const one = new AbortController();
    const first = flights.join('a', one.signal, hang);
    one.abort();
    await expect(first).rejects.toThrow();
    const stays = new AbortController();
    const pending = flights.join('b', stays.signal, hang);
    flights.forget((key) => key === 'b');

    const a = await flights.join('a', never, () => Promise.resolve(1));
    const b = await flights.join('b', never, () => Promise.resolve(2));

    expect([a, b].map(({ joined }) => joined)).toEqual([false, false]);
    stays.abort();
    await expect(pending).rejects.toThrow();
  });

  it('may be joined until what it brought is settled, well or not', async () => {
    const flights = new Flights<number>();
    const settled = Promise.withResolvers<void>();
    const join = (key: string, value: number) =>
      flights.join(
        key,
        never,
        () => Promise.resolve(value),
        () => settled.promise,
      );

    const first = await join('a', 1);
    const second = await join('a', 2);
    settled.reject(new Error('not held'));
    await new Promise((resolve) => setImmediate(resolve));
    const third = await join('a', 3);

    expect([first, second, third]).toEqual([
      { value: 1, joined: false },
      { value: 1, joined: true },
      { value: 3, joined: false },
    ]);
  });

  it('is not started for one who has left already', async () => {
    const flights = new Flights<number>();
    const start = jest.fn(() => Promise.resolve(1));

    const asked = flights.join('a', AbortSignal.abort(new Error('left')), start);

    await expect(asked).rejects.toThrow('left');
    expect(start).not.toHaveBeenCalled();
  });

  it('is given up for nobody once it has landed, and lets go of those who waited', async () => {
    const flights = new Flights<number>();
    const settled = Promise.withResolvers<void>();
    let given!: AbortSignal;
    const start = (signal: AbortSignal) => {
      given = signal;
      return Promise.resolve(1);
    };
    const { signal } = new AbortController();

    await flights.join('a', signal, start, () => settled.promise);
    const { joined } = await flights.join('a', signal, start);
    settled.resolve();

    expect([joined, given.aborted]).toEqual([true, false]);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });

  it('that was forgotten leaves the one begun after it be', async () => {
    const flights = new Flights<number>();
    const [one, other] = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
    const first = flights.join('a', never, () => one.promise);
    flights.forget(() => true);
    const second = flights.join('a', never, () => other.promise);

    one.resolve(1);
    await first;
    await new Promise((resolve) => setImmediate(resolve));
    const third = flights.join('a', never, () => Promise.resolve(3));
    other.resolve(2);

    expect(await second).toEqual({ value: 2, joined: false });
    expect(await third).toEqual({ value: 2, joined: true });
  });

  it('tells all of a failure', async () => {
    const flights = new Flights<number>();
    const gate = Promise.withResolvers<number>();
    const asked = [1, 2].map(() => flights.join('a', never, () => gate.promise));

    gate.reject(new Error('no'));

    for (const one of asked) await expect(one).rejects.toThrow('no');
  });
});
