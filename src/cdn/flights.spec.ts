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

  it('tells all of a failure', async () => {
    const flights = new Flights<number>();
    const gate = Promise.withResolvers<number>();
    const asked = [1, 2].map(() => flights.join('a', never, () => gate.promise));

    gate.reject(new Error('no'));

    for (const one of asked) await expect(one).rejects.toThrow('no');
  });
});
