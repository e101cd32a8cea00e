import fc from 'fast-check';
import { TokenBucketStorage } from './token-bucket.storage';

const LIMIT = 500;
const TTL = 10_000;

function bucketsAt(clock: { now: number }, max?: number) {
  const storage = new TokenBucketStorage({ now: () => clock.now, max });
  return {
    hit: (key = 'a', limit = LIMIT, ttl = TTL, name = 'address') =>
      storage.increment(key, ttl, limit, ttl, name),
    peek: (key = 'a', limit = LIMIT, ttl = TTL, name = 'address') =>
      storage.peek(key, ttl, limit, name),
  };
}

describe('TokenBucketStorage', () => {
  it('lets a whole burst through, and says when the next token is due', async () => {
    const { hit } = bucketsAt({ now: 7 });
    for (let n = 1; n <= LIMIT; n++)
      expect(await hit()).toMatchObject({ isBlocked: false, totalHits: n });
    expect(await hit()).toEqual({
      totalHits: LIMIT,
      timeToExpire: 10,
      isBlocked: true,
      timeToBlockExpire: 1,
    });
  });

  it('then goes on at the rate, and refused hits cost nothing', async () => {
    const clock = { now: 0 };
    const { hit } = bucketsAt(clock);
    for (let n = 0; n < LIMIT + 1000; n++) await hit();
    clock.now += 20;
    expect((await hit()).isBlocked).toBe(false);
    expect((await hit()).isBlocked).toBe(true);
    clock.now += TTL;
    for (let n = 0; n < LIMIT; n++) expect((await hit()).isBlocked).toBe(false);
  });

  it('counts the wait in whole seconds, rounded up', async () => {
    const clock = { now: 0 };
    const { hit } = bucketsAt(clock);
    for (let n = 0; n < 10; n++) await hit('a', 10, 60_000);
    expect((await hit('a', 10, 60_000)).timeToBlockExpire).toBe(6);
    clock.now += 1500;
    expect((await hit('a', 10, 60_000)).timeToBlockExpire).toBe(5);
  });

  it('can be looked at without a charge', async () => {
    const { hit, peek } = bucketsAt({ now: 0 });
    for (let n = 0; n < 5; n++) expect((await peek('a', 1)).isBlocked).toBe(false);
    await hit('a', 1);
    expect(await peek('a', 1)).toEqual(await hit('a', 1));
    expect((await peek('a', 1)).isBlocked).toBe(true);
  });

  it('says and takes the same at once as when it is waited for', async () => {
    const clock = { now: 0 };
    const storage = new TokenBucketStorage({ now: () => clock.now });
    const bucket = ['a', TTL, 2, 'address'] as const;

    for (const wait of [0, 0, 0, TTL / 2, 0, TTL]) {
      clock.now += wait;
      const looked = storage.now.peek(...bucket);
      expect(await storage.peek(...bucket)).toEqual(looked);
      expect(storage.now.increment(...bucket)).toEqual(looked);
    }
    expect((await storage.increment('a', TTL, 2, TTL, 'address')).isBlocked).toBe(false);
    expect(storage.now.peek(...bucket).isBlocked).toBe(true);
  });

  it('keeps clients and throttles apart', async () => {
    const { hit } = bucketsAt({ now: 0 });
    await hit('a', 1);
    expect((await hit('b', 1)).isBlocked).toBe(false);
    expect((await hit('a', 1, TTL, 'login')).isBlocked).toBe(false);
    expect((await hit('a', 1)).isBlocked).toBe(true);
  });

  it('is bounded: a flood of one throttle forgets only buckets of that throttle', async () => {
    const { hit, peek } = bucketsAt({ now: 0 }, 100);
    await hit('a', 1, TTL, 'login');
    await hit('a', 1);
    for (let n = 0; n < 100; n++) await hit(`flood-${n}`);
    expect((await peek('a', 1)).isBlocked).toBe(false);
    expect((await peek('a', 1, TTL, 'login')).isBlocked).toBe(true);
  });

  it('never admits more than the burst and the rate, and never fewer once it waited as told', async () => {
    const steps = fc.array(
      fc.record({ wait: fc.integer({ min: 0, max: 3000 }), hits: fc.integer({ min: 1, max: 30 }) }),
      { maxLength: 30 },
    );
    const rate = {
      limit: fc.integer({ min: 1, max: 40 }),
      ttl: fc.integer({ min: 1, max: 20_000 }),
    };
    await fc.assert(
      fc.asyncProperty(steps, fc.record(rate), async (sequence, { limit, ttl }) => {
        const clock = { now: 0 };
        const { hit } = bucketsAt(clock);
        let admitted = 0;
        for (const { wait, hits } of sequence) {
          clock.now += wait;
          for (let n = 0; n < hits; n++) {
            const state = await hit('a', limit, ttl);
            if (!state.isBlocked) admitted += 1;
            else expect(state.timeToBlockExpire).toBeGreaterThanOrEqual(1);
          }
          expect(admitted).toBeLessThanOrEqual(limit + (clock.now * limit) / ttl + 1e-3);
        }
        const last = await hit('a', limit, ttl);
        if (!last.isBlocked) return;
        clock.now += last.timeToBlockExpire * 1000;
        expect((await hit('a', limit, ttl)).isBlocked).toBe(false);
      }),
    );
  });
});
