import type { Space } from '../../config/settings';
import type { ContentIndex } from '../index/content-index';
import type { ContentStore } from '../store/content-store';
import { Limits } from './limits';

const MIB = 1024 * 1024;
const DISK = { free: 400, total: 1000 };

function limits(maxSize: Space, minFree: Space) {
  let asked = 0;
  const answers: (() => Promise<typeof DISK>)[] = [];
  const free = () => {
    asked += 1;
    return (answers.shift() ?? (() => Promise.resolve(DISK)))();
  };
  const store = { free } as unknown as ContentStore;
  const index = {
    totals: () => Promise.resolve({ contents: 3, bytes: 77 }),
  } as unknown as ContentIndex;
  return { limits: new Limits({ maxSize, minFree }, store, index), answers, asked: () => asked };
}

describe('what has to go before more fits', () => {
  it.each<[string, Space, Space, number, number, number]>([
    ['is nothing while there is room', { bytes: 200 }, { bytes: 100 }, 50, 100, -50],
    ['is what is beyond CACHE_MAX_SIZE', { bytes: 200 }, { bytes: 100 }, 150, 100, 50],
    ['is what is wanting on the disk', { bytes: 900 }, { bytes: 380 }, 50, 100, 30],
    ['is the greater of both', { bytes: 110 }, { bytes: 380 }, 50, 100, 40],
    ['goes by a share of what is held and free', { share: 0.5 }, { bytes: 0 }, 10, 300, -40],
    ['leaves a share of all the disk', { bytes: 900 }, { share: 0.395 }, 15, 0, 10],
  ])('%s', (_what, maxSize, minFree, more, held, lack) => {
    expect(limits(maxSize, minFree).limits.lack(more, held, DISK)).toBe(lack);
  });

  it('tells the most that may be held once that is known', () => {
    const { limits: some } = limits({ share: 0.5 }, { bytes: 0 });
    expect(some.most).toBeUndefined();

    some.lack(0, 100, DISK);

    expect(some.most).toBe(250);
  });

  it('of a disk that was full, is some more: 64 MiB, or a hundredth of a small one', () => {
    const { limits: some } = limits({ bytes: 1 }, { bytes: 1 });

    expect(some.margin({ free: 0, total: 100_000 * MIB })).toBe(64 * MIB);
    expect(some.margin({ free: 0, total: 1000 * MIB })).toBe(10 * MIB);
  });
});

describe('what is known of the disk', () => {
  it('is as it was a second ago at most, unless it is asked for as it is now', async () => {
    const { limits: some, asked } = limits({ bytes: 1 }, { bytes: 1 });
    const now = performance.now.bind(performance);
    const clock = jest.spyOn(performance, 'now');
    try {
      clock.mockReturnValue(now());
      await Promise.all([some.disk(), some.disk()]);
      clock.mockReturnValue(now() + 900);
      expect(await some.disk()).toEqual(DISK);
      expect(asked()).toBe(1);
      await some.diskNow();
      expect(asked()).toBe(2);
      clock.mockReturnValue(now() + 3000);
      await some.disk();
      expect(asked()).toBe(3);
    } finally {
      clock.mockRestore();
    }
  });

  it('is asked for again where it could not be told', async () => {
    const { limits: some, answers, asked } = limits({ bytes: 1 }, { bytes: 1 });
    answers.push(() => Promise.reject(new Error('away')));

    await expect(some.disk()).rejects.toThrow('away');

    expect(await some.disk()).toEqual(DISK);
    expect(asked()).toBe(2);
  });

  it('is beside what is held', async () => {
    expect(await limits({ bytes: 1 }, { bytes: 1 }).limits.held()).toBe(77);
  });
});
