import fc from 'fast-check';
import { ReadBuffers } from './read-buffers';

const KIB = 1024;
const MIB = 1024 * KIB;

describe('ReadBuffers', () => {
  it('lends large buffers to few readers, and small ones to many', () => {
    const buffers = new ReadBuffers();

    const lent = Array.from({ length: 500 }, () => buffers.take());

    expect(lent[0]?.bytes.length).toBe(512 * KIB);
    expect(lent.at(-1)?.bytes.length).toBe(64 * KIB);
    expect(buffers.lent).toBe(500);
    expect(buffers.out).toBeLessThan(80 * MIB);
  });

  it('lends no more than is wanted', () => {
    const buffers = new ReadBuffers();

    expect(buffers.take(1).bytes.length).toBe(64 * KIB);
    expect(buffers.take(64 * KIB).bytes.length).toBe(64 * KIB);
    expect(buffers.take(100 * KIB).bytes.length).toBe(128 * KIB);
    expect(buffers.take(128 * KIB).bytes.length).toBe(128 * KIB);
  });

  it('lends small ones to many, however little they hold: each may want more', () => {
    const buffers = new ReadBuffers();
    for (let n = 0; n < 200; n += 1) buffers.take(1);

    // 48 MiB among 201.
    expect(buffers.take().bytes.length).toBe(128 * KIB);
  });

  it('lends nobody more than an eighth of what is left', () => {
    const buffers = new ReadBuffers();

    const lent = Array.from({ length: 90 }, () => buffers.take().bytes.length);

    // With 88 of them out, 4 MiB of 48 are left.
    expect(lent.slice(0, 89)).toEqual(Array(89).fill(512 * KIB));
    expect(lent[89]).toBe(256 * KIB);
  });

  it('keeps no more than 8 MiB of what is given back, each time', () => {
    const buffers = new ReadBuffers();
    let before = new Set<Buffer>();
    for (const again of [0, 16, 16]) {
      const lent = Array.from({ length: 20 }, () => buffers.take());
      expect(lent.filter(({ bytes }) => before.has(bytes))).toHaveLength(again);
      for (const buffer of lent) buffer.give();
      before = new Set(lent.map(({ bytes }) => bytes));
    }
  });

  it('keeps those of the size that is lent now: large ones of quieter times make way', () => {
    const buffers = new ReadBuffers();
    const large = Array.from({ length: 20 }, () => buffers.take());
    for (let n = 0; n < 500; n += 1) buffers.take();
    for (const buffer of large) buffer.give();
    const fast = Array.from({ length: 20 }, () => buffers.take());

    for (const buffer of fast) buffer.give();
    const next = Array.from({ length: 20 }, () => buffers.take());

    const before = new Set(fast.map(({ bytes }) => bytes));
    expect(next.filter(({ bytes }) => before.has(bytes))).toHaveLength(20);
  });

  it('lends again what was given back, and only that', () => {
    const buffers = new ReadBuffers();
    const given = buffers.take();
    const dropped = buffers.take();

    given.give();
    dropped.drop();
    const next = [buffers.take(), buffers.take()].map(({ bytes }) => bytes);

    expect(next[0]).toBe(given.bytes);
    expect(next[1]).not.toBe(dropped.bytes);
  });

  it('never lends one buffer twice at a time, and counts what is out', () => {
    const step = fc.record({ wanted: fc.integer({ min: 1, max: MIB }), end: fc.nat() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const buffers = new ReadBuffers();
        const out: ReturnType<ReadBuffers['take']>[] = [];
        for (const { wanted, end } of steps) {
          out.push(buffers.take(wanted));
          if (end % 3 === 0) continue;
          const [ended] = out.splice(end % out.length, 1);
          // The second call must be without effect.
          if (end % 3 === 1) ended?.give();
          else ended?.drop();
          ended?.give();
        }
        expect(new Set(out.map(({ bytes }) => bytes)).size).toBe(out.length);
        expect(buffers.lent).toBe(out.length);
        expect(buffers.out).toBe(out.reduce((sum, { bytes }) => sum + bytes.length, 0));
      }),
      { numRuns: 50 },
    );
  });
});

describe('reading into a buffer', () => {
  /** Reads that end when they are told to. */
  function reading() {
    const buffers = new ReadBuffers();
    const begun: PromiseWithResolvers<number>[] = [];
    const read = () => {
      const result = Promise.withResolvers<number>();
      begun.push(result);
      return result.promise;
    };
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    return { buffers, begun, read, turn };
  }

  it('lends what was read, in a buffer that can be given back and is used again', async () => {
    const buffers = new ReadBuffers();
    const read = async (into: Buffer) => into.write('some bytes');

    const first = await buffers.filled(100, read);
    expect(String(first.bytes)).toBe('some bytes');
    expect([buffers.lent, buffers.out]).toEqual([1, 64 * KIB]);
    first.give();
    expect(buffers.lent).toBe(0);

    const wanted = jest.fn(read);
    const second = await buffers.filled(70, wanted);
    expect(wanted.mock.calls[0]![0]).toHaveLength(70);
    expect(second.bytes.buffer).toBe(first.bytes.buffer);
  });

  it('is done for 32 at once, and for the others in the order in which they came', async () => {
    const { buffers, begun, read, turn } = reading();
    const order: number[] = [];
    const all = Array.from({ length: 35 }, async (_, each) => {
      const filled = await buffers.filled(MIB, read);
      order.push(each);
      return filled;
    });
    await turn();
    expect([begun.length, buffers.lent]).toEqual([32, 32]);

    begun[5]!.resolve(1);
    await turn();
    expect([begun.length, order]).toEqual([33, [5]]);

    for (const [at, { resolve }] of begun.entries()) if (at !== 5) resolve(at);
    await turn();
    for (const { resolve } of begun.slice(33)) resolve(1);
    await Promise.all(all);
    expect(order.slice(-2)).toEqual([33, 34]);
    // All turns are free again.
    const after = Array.from({ length: 33 }, () => buffers.filled(1, read));
    await turn();
    expect(begun).toHaveLength(35 + 32);
    for (const { resolve } of begun) resolve(1);
    await turn();
    begun.at(-1)!.resolve(1);
    await Promise.all(after);
  });

  it('that fails gives its buffer back, and its turn to the next', async () => {
    const { buffers, begun, read, turn } = reading();
    const all = Array.from({ length: 33 }, () => buffers.filled(1, read));
    all[0]!.catch(() => undefined);
    await turn();

    begun[0]!.reject(new Error('EIO'));

    await expect(all[0]).rejects.toThrow('EIO');
    await turn();
    expect([begun.length, buffers.lent]).toEqual([33, 32]);
    for (const { resolve } of begun) resolve(1);
    await Promise.all(all.slice(1));
  });
});
