import { statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { drained, put, sample, type Sample } from '../../../test/contracts/content-store.contract';
import { otherwise } from '../../../test/support/held-room';
import { atTheEnd, eventually, freshFolder } from '../../../test/support/lifecycle';
import { describeUnless } from '../../../test/support/means';
import { noSmallDisk, SmallDisk } from '../../../test/support/small-disk';
import { createLog } from '../../journal/log';
import type { Digest } from '../../oci/digest';
import { Capacity, type Pace } from './capacity';
import type { ContentIndex } from '../index/content-index';
import { DiskStore } from '../store/disk-store';
import { SqliteIndex } from '../index/sqlite-index';

const KIB = 1024;
const MIB = KIB * KIB;
const NO_MIN = { bytes: 0 };
const FULL = Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
/** Quick enough for a test, and slow enough to be seen in between. */
const PACE: Pace = { check: 50, probe: 50 };

/** A cache in that folder, with its capacity. */
class Room {
  readonly lines: string[] = [];
  readonly log = createLog({ logLevel: 'debug' }, { write: (line) => void this.lines.push(line) });
  store!: DiskStore;
  index!: SqliteIndex;

  static async open(folder = freshFolder('capacity')): Promise<Room> {
    const room = new Room();
    room.store = await DiskStore.open(join(folder, 'cache'));
    room.index = await SqliteIndex.open(join(folder, 'index.sqlite'), room.log);
    atTheEnd(() => room.index.close());
    atTheEnd(() => room.store.close());
    return room;
  }

  capacity(
    settings: Partial<ConstructorParameters<typeof Capacity>[0]>,
    { index = this.index, store = this.store }: { index?: ContentIndex; store?: DiskStore } = {},
  ): Capacity {
    const all = { maxSize: { bytes: 10 * KIB }, minFree: NO_MIN, ...settings };
    const capacity = new Capacity(all, store, index, this.log, PACE);
    atTheEnd(() => capacity.stop());
    return capacity;
  }

  /** Holds so many contents of that size, each used later than the one before. */
  async hold(count: number, size: number): Promise<Sample[]> {
    const samples = Array.from({ length: count }, () => sample(size));
    for (const one of samples) {
      await put({ store: this.store, spools: this.store }, one);
      await this.index.add(one.digest, size);
      const now = Date.now();
      while (Date.now() === now) await turn();
    }
    return samples;
  }

  /** Which of them are held; store and index always agree. */
  async held(samples: readonly Sample[]): Promise<boolean[]> {
    return Promise.all(
      samples.map(async ({ digest }) => {
        const stored = await this.isStored(digest);
        expect((await this.index.content(digest)) !== undefined).toBe(stored);
        return stored;
      }),
    );
  }

  async isStored(digest: Digest): Promise<boolean> {
    const content = await this.store.open(digest);
    await content?.close();
    return content !== undefined;
  }
}

describe('room for more', () => {
  it('is there while what is held leaves it, and costs nothing', async () => {
    const room = await Room.open();
    const samples = await room.hold(5, KIB);
    const capacity = room.capacity({});

    expect(await capacity.makeRoom(5 * KIB)).toBe(true);

    expect(await room.held(samples)).toEqual([true, true, true, true, true]);
    expect(capacity.evicted).toBe(0);
  });

  it('is made of what is coldest, and of no more than it takes', async () => {
    const room = await Room.open();
    const samples = await room.hold(10, KIB);
    room.index.touch(samples[0]!.digest);
    const capacity = room.capacity({});

    expect(await capacity.makeRoom(2.5 * KIB)).toBe(true);

    const expected = samples.map((_, each) => each === 0 || each > 3);
    expect(await room.held(samples)).toEqual(expected);
    expect(capacity.evicted).toBe(3);
  });

  it('is not made for what would never fit, and nothing goes for it', async () => {
    const room = await Room.open();
    const samples = await room.hold(2, KIB);
    const capacity = room.capacity({});

    const answers = [10 * KIB + 1, -1, Number.NaN, Infinity].map((bytes) =>
      capacity.makeRoom(bytes),
    );

    expect(await Promise.all(answers)).toEqual([false, false, false, false]);
    expect(await room.held(samples)).toEqual([true, true]);
    expect(await capacity.makeRoom(10 * KIB)).toBe(true);
  });

  it('is promised once, however many ask at the same moment', async () => {
    const room = await Room.open();
    const samples = await room.hold(4, KIB);
    const capacity = room.capacity({});

    const answers = await Promise.all(Array.from({ length: 30 }, () => capacity.makeRoom(KIB)));

    expect(answers.filter(Boolean)).toHaveLength(10);
    expect(await room.held(samples)).toEqual([false, false, false, false]);
  });

  it('counts no more as promised once the content is held, or given back', async () => {
    const room = await Room.open();
    const capacity = room.capacity({});
    for (let each = 0; each < 5; each += 1) {
      expect(await capacity.makeRoom(KIB)).toBe(true);
      await room.hold(1, KIB);
    }
    expect(await capacity.makeRoom(5 * KIB)).toBe(true);

    expect(await capacity.makeRoom(10 * KIB)).toBe(false);
    capacity.giveBack(5 * KIB);

    expect(await capacity.makeRoom(5 * KIB)).toBe(true);
    expect(capacity.evicted).toBe(0);
  });

  it('lets who reads what is evicted read to its end', async () => {
    const room = await Room.open();
    const [content] = await room.hold(1, 8 * KIB);
    const reader = await room.store.open(content!.digest);
    const capacity = room.capacity({});

    expect(await capacity.makeRoom(8 * KIB)).toBe(true);

    expect(await room.isStored(content!.digest)).toBe(false);
    expect((await drained(reader)).equals(content!.bytes)).toBe(true);
  });

  it('never throws: without an answer of the index, or of the store, nothing is stored', async () => {
    const room = await Room.open();
    const fail = () => Promise.reject(new Error('out of order'));
    const capacities = [
      room.capacity({}, { index: otherwise<ContentIndex>(room.index, { totals: fail }) }),
      room.capacity({}, { store: otherwise<DiskStore>(room.store, { free: fail }) }),
    ];

    for (const capacity of capacities) {
      capacity.start();
      expect(await capacity.makeRoom(1)).toBe(false);
      expect(await capacity.makeRoom(1)).toBe(false);
    }

    // Told once each, however often it happens.
    expect(room.lines.filter((line) => line.includes('out of order'))).toHaveLength(2);
  });

  it('passes over what cannot be evicted, however much of it is coldest', async () => {
    const room = await Room.open();
    const stuck = Array.from({ length: 120 }, () => sample(16).digest);
    await Promise.all(stuck.map((digest) => room.index.add(digest, 10)));
    const samples = await room.hold(4, KIB);
    const store = otherwise<DiskStore>(room.store, {
      delete: (digest) =>
        stuck.includes(digest)
          ? Promise.reject(new Error('not permitted'))
          : room.store.delete(digest),
    });
    const capacity = room.capacity({ maxSize: { bytes: 4 * KIB + 1200 } }, { store });

    expect(await capacity.makeRoom(2 * KIB)).toBe(true);

    expect(await room.held(samples)).toEqual([false, false, true, true]);
    expect(capacity.evicted).toBe(2);
    expect(room.lines.filter((line) => line.includes('not permitted'))).toHaveLength(1);
  });

  it('keeps what was stored again in the middle of its eviction', async () => {
    const room = await Room.open();
    const samples = await room.hold(10, KIB);
    const [first] = samples;
    const index = otherwise<ContentIndex>(room.index, {
      remove: async (digest) => {
        if (digest === first?.digest) {
          await put({ store: room.store, spools: room.store }, first);
          await room.index.add(digest, KIB);
        }
        await room.index.remove(digest);
      },
    });

    await room.capacity({}, { index }).makeRoom(KIB);

    // `held` fails where store and index differ.
    expect((await room.held(samples))[0]).toBe(true);
  });

  it('is no more when it has stopped', async () => {
    const room = await Room.open();
    const capacity = room.capacity({});
    capacity.start();

    await capacity.stop();

    expect(await capacity.makeRoom(1)).toBe(false);
  });
});

describe('what is known at once', () => {
  it('is that anything may be held until the limit is known, and then no more than that', async () => {
    const room = await Room.open();
    const capacity = room.capacity({});
    expect(capacity.mayHold(1e12)).toBe(true);

    await capacity.makeRoom(1);

    expect([capacity.mayHold(10 * KIB), capacity.mayHold(10 * KIB + 1)]).toEqual([true, false]);
  });

  it('is that nothing is held while the disk is full, and what helps; said once', async () => {
    const room = await Room.open();
    const capacity = room.capacity({});
    expect([capacity.storing, capacity.fault]).toEqual([true, undefined]);
    const slow = new Capacity(
      { maxSize: { bytes: 1 }, minFree: NO_MIN },
      room.store,
      room.index,
      room.log,
    );
    atTheEnd(() => slow.stop());

    slow.noteFull(FULL);
    slow.noteFull(FULL);
    slow.noteFull(Object.assign(new Error('other'), { code: 'EDQUOT' }));

    const fault =
      "the cache's disk is full (ENOSPC): free some room or lower CACHE_MAX_SIZE; pulls go on uncached";
    expect([slow.storing, slow.fault, slow.mayHold(0)]).toEqual([false, fault, false]);
    expect(room.lines.filter((line) => line.includes('disk is full'))).toHaveLength(1);
    expect(room.lines.join()).toContain('ENOSPC');
    expect(await slow.makeRoom(0)).toBe(false);
  });

  it('is told once a minute where it cannot be looked after', async () => {
    const room = await Room.open();
    const totals = () => Promise.reject(new Error('away'));
    const capacity = room.capacity({}, { index: otherwise(room.index, { totals }) });

    for (let n = 0; n < 3; n += 1) expect(await capacity.makeRoom(1)).toBe(false);
    expect(room.lines).toHaveLength(1);
    expect(room.lines[0]).toContain('away');
    expect(room.lines[0]).toContain('cannot look after its size');

    const later = performance.now() + 60_001;
    const clock = jest.spyOn(performance, 'now').mockReturnValue(later);
    await capacity.makeRoom(1);
    clock.mockRestore();
    expect(room.lines).toHaveLength(2);
  });
});

describe('looking after size and age', () => {
  it('evicts what was not used for too long, from the start on', async () => {
    const room = await Room.open();
    const samples = await room.hold(120, 10);
    const young = samples.at(-1)!;
    const { usedAt } = (await room.index.content(young.digest))!;
    await eventually('they are old enough', () => Date.now() > usedAt + 1000);
    room.index.touch(young.digest);

    const capacity = room.capacity({ maxAge: 1000, maxSize: { bytes: MIB } });
    capacity.start();

    await eventually('they are gone', () => capacity.evicted === 119);
    expect(await room.isStored(young.digest)).toBe(true);
    expect(await room.index.totals()).toEqual({ contents: 1, bytes: 10 });
  });

  it('evicts what is too much, again and again', async () => {
    const room = await Room.open();
    const before = await room.hold(12, KIB);
    const capacity = room.capacity({});
    capacity.start();
    await eventually('two are gone', () => capacity.evicted === 2);

    await room.hold(3, KIB);

    await eventually('three more are gone', () => capacity.evicted === 5);
    expect((await room.held(before)).filter(Boolean)).toHaveLength(7);
    expect((await room.index.totals()).bytes).toBe(10 * KIB);
  });

  it('stops in the middle when it is told to', async () => {
    const room = await Room.open();
    // Rows alone are evicted as well, and are made sooner.
    for (let each = 0; each < 500; each += 1) await room.index.add(sample(16).digest, 10);
    const capacity = room.capacity({ maxSize: { bytes: 0 } });
    capacity.start();
    while (capacity.evicted === 0) await turn();

    await capacity.stop();
    const { contents } = await room.index.totals();

    expect(contents).toBeGreaterThan(0);
    expect(contents).toBe(500 - capacity.evicted);
  });
});

describeUnless(noSmallDisk(), 'on a disk (as root, on a tmpfs)', () => {
  it('a share of it is what may be held', async () => {
    const room = await Room.open(new SmallDisk(8 * MIB).folder);
    const samples = await room.hold(4, MIB);
    const capacity = room.capacity({ maxSize: { share: 0.5 } });

    expect(await capacity.makeRoom(MIB)).toBe(true);

    expect(await room.held(samples)).toEqual([false, false, true, true]);
    expect(await capacity.makeRoom(5 * MIB)).toBe(false);
  });

  it('what is to be left free is left, whoever takes it', async () => {
    const disk = new SmallDisk(8 * MIB);
    const room = await Room.open(disk.folder);
    const samples = await room.hold(4, MIB);
    const capacity = room.capacity({ maxSize: { bytes: 100 * MIB }, minFree: { share: 0.25 } });

    expect(await capacity.makeRoom(2 * MIB)).toBe(true);
    expect(await room.held(samples)).toEqual([false, true, true, true]);

    disk.fill();
    capacity.start();
    await eventually('it gives back what it can', () => capacity.evicted === 3);
    expect(capacity.storing).toBe(true);
  });

  it('F19: with too little free by others’ doing it says so, until there is room', async () => {
    const disk = new SmallDisk(8 * MIB);
    const room = await Room.open(disk.folder);
    const capacity = room.capacity({ maxSize: { share: 1 }, minFree: { share: 0.25 } });
    disk.fill();
    capacity.start();

    const fault = await eventually('it is said', () => capacity.fault);
    expect(fault).toContain('CACHE_MIN_FREE');
    expect(await capacity.makeRoom(1)).toBe(false);

    disk.clear();
    await eventually('it is over', () => capacity.fault === undefined);
    expect(room.lines.filter((line) => line.includes('CACHE_MIN_FREE'))).toHaveLength(1);
  });

  it('F19: that is full nothing is stored, until by itself there is room', async () => {
    const disk = new SmallDisk(8 * MIB);
    const room = await Room.open(disk.folder);
    const capacity = room.capacity({ maxSize: { share: 1 } });
    disk.fill();
    const spool = await room.store.create();
    const failure = await spool.append([Buffer.alloc(MIB)]).catch((error: unknown) => error);
    await spool.discard();
    spool.release();

    capacity.noteFull(failure);
    capacity.noteFull(failure);

    expect(capacity.storing).toBe(false);
    expect(capacity.fault).toContain('the cache');
    expect(capacity.fault).toContain('ENOSPC');
    expect(await capacity.makeRoom(1)).toBe(false);
    disk.clear();
    await eventually('it stores again', () => capacity.storing);
    expect(capacity.fault).toBeUndefined();
    expect(await capacity.makeRoom(MIB)).toBe(true);
    expect(room.lines.filter((line) => line.includes('is full'))).toHaveLength(1);
    expect(room.lines.filter((line) => line.includes('held again'))).toHaveLength(1);
  });

  it('F19: that it filled itself it clears itself', async () => {
    const disk = new SmallDisk(8 * MIB);
    const room = await Room.open(disk.folder);
    const samples = await room.hold(6, MIB);
    disk.fill();
    const capacity = room.capacity({ maxSize: { share: 1 } });

    capacity.noteFull(FULL);

    await eventually('it stores again', () => capacity.storing);
    expect((await room.held(samples)).filter((held) => !held)).toHaveLength(1);
    await room.hold(1, 512 * KIB);
  });

  it('F19: too full to open the index it makes room, and finds the rest again', async () => {
    const disk = new SmallDisk(8 * MIB);
    const before = await Room.open(disk.folder);
    const samples = await before.hold(6, MIB);
    await before.index.close();
    await before.store.close();
    disk.fill();
    const room = await Room.open(disk.folder);
    await expect(room.index.totals()).rejects.toThrow();

    const capacity = room.capacity({ maxSize: { share: 1 } });
    capacity.start();

    const known = () => room.index.totals().catch(() => undefined);
    await eventually('the index opens', known);
    const stored = await Promise.all(samples.map(({ digest }) => room.isStored(digest)));
    expect(stored.filter((held) => !held)).toHaveLength(1);
    expect(statSync(disk.folder).isDirectory()).toBe(true);
    expect(await eventually('there is room', () => capacity.makeRoom(1))).toBe(true);
  });

  it('other errors than of room turn nothing off', async () => {
    const room = await Room.open();
    const capacity = room.capacity({});

    for (const error of [undefined, new Error('x'), { code: 'EIO' }, { errcode: 11 }])
      capacity.noteFull(error);

    expect(capacity.storing).toBe(true);
    capacity.noteFull({ code: 'ERR_SQLITE_ERROR', errcode: 13 });
    expect(capacity.fault).toContain('SQLITE_FULL');
  });

  it('F19: that takes no byte though some are free, as with a quota, gives up what is held step by step', async () => {
    const room = await Room.open();
    const samples = await room.hold(3, KIB);
    const stored = () => Promise.all(samples.map(({ digest }) => room.isStored(digest)));
    const store = otherwise<DiskStore>(room.store, {
      create: async () => {
        if (!(await stored()).includes(true)) return room.store.create();
        throw Object.assign(new Error('quota'), { code: 'EDQUOT' });
      },
    });
    const capacity = room.capacity({}, { store });

    capacity.noteFull({ code: 'EDQUOT' });

    await eventually('it stores again', () => capacity.storing);
    expect(await room.held(samples)).toEqual([false, false, false]);
  });
});
