/** Manifests and small blobs: never trusted over their digest, and no failure of theirs is the client's. */
import { rmSync, writeFileSync } from 'node:fs';
import { contentOf } from '../../test/support/content-room';
import { heldCache } from '../../test/support/held-cache';
import { otherwise } from '../../test/support/held-room';
import { digestOf } from '../oci/digest';
import { MAX_MANIFEST, SmallContent } from './small-content';
import { StoredFile } from './store/stored-file';

const LIMIT = 1_000_000;
const content = contentOf(1000);
const { bytes, digest } = content;

function fails(code: string) {
  return () => Promise.reject(Object.assign(new Error(code), { code }));
}

describe('what is read', () => {
  it('is what was written, up to the limit', async () => {
    const { small } = await heldCache();
    expect(await small.read(digest, LIMIT)).toBeUndefined();

    expect(await small.write(digest, bytes)).toBe(true);

    expect([await small.read(digest, 1000), await small.read(digest, 999)]).toEqual([
      bytes,
      undefined,
    ]);
    expect([await small.sizeOf(digest), await small.sizeOf(contentOf(1).digest)]).toEqual([
      1000,
      undefined,
    ]);
  });

  it('is held again when it was read: what is used stays longest', async () => {
    const { small, cache } = await heldCache();
    const other = contentOf(10);
    await small.write(digest, bytes);
    await small.write(other.digest, other.bytes);
    await new Promise((resolve) => setTimeout(resolve, 5));
    await small.read(digest, LIMIT);

    const coldest = await cache.index.coldest(2);

    expect(coldest.map((held) => held.digest)).toEqual([other.digest, digest]);
  });

  it.each<[string, Buffer | undefined]>([
    ['gone', undefined],
    ['another content', contentOf(1000).bytes],
    ['cut off', bytes.subarray(0, 500)],
    ['longer', Buffer.concat([bytes, bytes])],
  ])('is nothing where the file is %s, and then it is not held any more', async (_what, found) => {
    const { small, fileOf } = await heldCache();
    await small.write(digest, bytes);
    if (found) writeFileSync(fileOf(digest), found);
    else rmSync(fileOf(digest));

    expect(await small.read(digest, LIMIT)).toBeUndefined();

    expect(await small.sizeOf(digest)).toBeUndefined();
  });

  it('is nothing where the file has grown over the limit, however small its row says it is', async () => {
    const { small, fileOf } = await heldCache();
    await small.write(digest, bytes);
    writeFileSync(fileOf(digest), Buffer.alloc(2000));

    expect(await small.read(digest, 1500)).toBeUndefined();
  });

  it('has room asked for before, and is not read where there is none', async () => {
    const { small } = await heldCache();
    await small.write(digest, bytes);
    const asked: number[] = [];
    const hold = (size: number) => {
      asked.push(size);
      return Promise.resolve(() => undefined);
    };

    expect(await small.read(digest, LIMIT, hold)).toEqual(bytes);
    await expect(small.read(digest, LIMIT, fails('no room'))).rejects.toThrow('no room');

    expect(asked).toEqual([1000]);
  });

  it('is known to be sound from then on', async () => {
    const { small, cache } = await heldCache();
    await small.write(digest, bytes);
    await small.read(digest, LIMIT);

    const stored = await cache.store.open(digest);
    await stored?.close();

    expect(cache.verification.isKnownSound(digest, stored!.stamp)).toBe(true);
  });
});

describe('what is kept in memory', () => {
  it.each([
    ['as a part of a larger one', Buffer.concat([bytes, bytes]).subarray(0, 1000)],
    ['from the pool of small ones', Buffer.from(bytes.toString('latin1').slice(0, 500), 'latin1')],
    ['as a buffer of its own', Buffer.from(new Uint8Array(600).buffer)],
  ])('has a buffer to itself, when it came %s', async (_how, came) => {
    const { small } = await heldCache({ memory: 2 * 10_000 });
    const itsDigest = digestOf(came);
    await small.write(itsDigest, came);

    const kept = await small.read(itsDigest, LIMIT);

    expect(kept).toEqual(came);
    expect(kept!.buffer.byteLength).toBe(came.length);
  });

  it('is not in hand while its reader waits for room: it may be let go meanwhile', async () => {
    const { small, cache } = await heldCache({ memory: 2 * 2_000 });
    const other = contentOf(900);
    await small.write(digest, bytes);
    const opened = jest.spyOn(cache.store, 'open');
    const waiting = async () => {
      await small.write(other.digest, other.bytes);
      return () => undefined;
    };

    const got = await small.read(digest, LIMIT, waiting);

    expect(got).toEqual(bytes);
    expect(opened).toHaveBeenCalledTimes(1);
    opened.mockRestore();
  });

  it('counts for more than its bytes, so that a great many small ones stay within the memory for them, too', async () => {
    const { small, cache } = await heldCache({ memory: 2 * 64 * 1024 });
    const contents = Array.from({ length: 300 }, (_, index) => contentOf(10 + index));
    for (const each of contents) await small.write(each.digest, each.bytes);
    const opened = jest.spyOn(cache.store, 'open');

    for (const each of contents.toReversed()) await small.read(each.digest, LIMIT);

    expect(300 - opened.mock.calls.length).toBeLessThan((64 * 1024) / 512);
    opened.mockRestore();
  });
});

describe('a disk that does not come to an end', () => {
  it('is given some megabytes to write, and no more: what comes then is not held', async () => {
    const { cache, log } = await heldCache();
    const free = Promise.withResolvers<void>();
    const put = (...given: Parameters<typeof cache.store.put>) =>
      free.promise.then(() => cache.store.put(...given));
    const small = new SmallContent({ ...cache, store: otherwise(cache.store, { put }) }, log);
    const large = Array.from({ length: 9 }, () => contentOf(MAX_MANIFEST));

    const written = large.map((each) => small.write(each.digest, each.bytes));
    expect(await written[8]).toBe(false);
    free.resolve();

    expect(await Promise.all(written)).toEqual([...Array<boolean>(8).fill(true), false]);
    expect(await small.write(large[8]!.digest, large[8]!.bytes)).toBe(true);
  });
});

describe('a disk or an index that errs', () => {
  it('that cannot be opened now says nothing of what it holds', async () => {
    const { cache, small, log, lines } = await heldCache();
    await small.write(digest, bytes);
    const store = otherwise(cache.store, { open: fails('EMFILE') });
    const broken = new SmallContent({ ...cache, store }, log);

    expect(await broken.read(digest, LIMIT)).toBeUndefined();

    expect(lines.join()).toContain('held content cannot be read');
    expect(await small.read(digest, LIMIT)).toEqual(bytes);
  });

  it.each([
    ['cannot give the bytes back holds nothing', 'EIO', undefined],
    ['fails otherwise keeps what it holds', 'EBADF', 1000],
  ])('that %s', async (_what, code, left) => {
    const { small } = await heldCache();
    await small.write(digest, bytes);
    const closed = jest.spyOn(StoredFile.prototype, 'close');
    const medium = jest.spyOn(StoredFile.prototype, 'read').mockImplementation(fails(code));
    try {
      const read = small.read(digest, LIMIT);
      if (left === undefined) expect(await read).toBeUndefined();
      else await expect(read).rejects.toThrow(code);
      expect(closed).toHaveBeenCalled();
    } finally {
      medium.mockRestore();
      closed.mockRestore();
    }

    expect(await small.sizeOf(digest)).toBe(left);
  });

  it('of which the index cannot be read is told in the log, and no failure', async () => {
    const { cache, log, lines } = await heldCache();
    const index = otherwise(cache.index, { content: fails('SQLITE_CANTOPEN') });
    const small = new SmallContent({ ...cache, index }, log);

    expect([await small.read(digest, LIMIT), await small.sizeOf(digest)]).toEqual([
      undefined,
      undefined,
    ]);
    expect(lines).toHaveLength(2);
    expect(lines.join()).toContain('the index of the cache cannot be read');
  });
});

describe('the memory', () => {
  it('serves what was read or written last without the disk, and counts it as room', async () => {
    const { small, fileOf } = await heldCache({ memory: 2 * 1_000_000 });
    await small.write(digest, bytes);
    rmSync(fileOf(digest));
    const asked: number[] = [];
    const hold = (size: number) => {
      asked.push(size);
      return Promise.resolve(() => undefined);
    };

    expect(await small.read(digest, LIMIT, hold)).toBe(bytes);

    expect(asked).toEqual([1000]);
  });

  it('keeps what was read', async () => {
    const { cache, small, log, fileOf } = await heldCache({ memory: 2 * 1_000_000 });
    await small.write(digest, bytes);
    const other = new SmallContent(cache, log);
    const first = await other.read(digest, LIMIT);
    rmSync(fileOf(digest));

    expect(await other.read(digest, LIMIT)).toBe(first);
  });

  it.each([
    [256 * 1024, true],
    [256 * 1024 + 1, false],
    [0, true],
  ])('keeps %d bytes: %p', async (size, kept) => {
    const { small, fileOf } = await heldCache({ memory: 2 * 10_000_000 });
    const some = contentOf(size);
    await small.write(some.digest, some.bytes);
    rmSync(fileOf(some.digest));

    expect(await small.read(some.digest, LIMIT)).toEqual(kept ? some.bytes : undefined);
  });

  it('is not over the index: what was taken out is nobody’s', async () => {
    const { cache, small } = await heldCache({ memory: 2 * 1_000_000 });
    await small.write(digest, bytes);
    await cache.index.remove(digest);

    expect(await small.read(digest, LIMIT)).toBeUndefined();
  });

  it('of 0 bytes keeps nothing', async () => {
    const { small, fileOf } = await heldCache({ memory: 0 });
    await small.write(digest, bytes);
    rmSync(fileOf(digest));

    expect(await small.read(digest, LIMIT)).toBeUndefined();
  });
});

describe('what cannot be held', () => {
  it('is not written where there is no room, and nothing is left behind', async () => {
    const { small, spools } = await heldCache({ maxSize: 500 });

    expect(await small.write(digest, bytes)).toBe(false);

    expect([spools(), await small.sizeOf(digest)]).toEqual([[], undefined]);
  });

  it.each(['append', 'sync'] as const)(
    'leaves nothing behind where its %s fails, gives its room back, and is told',
    async (call) => {
      const { cache, log, lines, spools } = await heldCache({ maxSize: 1500 });
      const discarded: string[] = [];
      const failing = {
        ...cache.spools,
        create: async () => {
          const spool = await cache.spools.create();
          const release = () => {
            discarded.push('released');
            spool.release();
          };
          return otherwise(spool, { [call]: fails('EIO'), release });
        },
      };
      const small = new SmallContent({ ...cache, spools: failing }, log);

      expect(await small.write(digest, bytes)).toBe(false);

      expect([discarded, spools()]).toEqual([['released'], []]);
      expect(lines.join()).toContain('content could not be held');
      expect(await cache.capacity.makeRoom(1200)).toBe(true);
      expect(small.storing).toBe(true);
    },
  );

  it('for want of room on the disk ends all storing until there is some', async () => {
    const { cache, log } = await heldCache();
    const failing = { ...cache.spools, create: fails('ENOSPC') };
    const small = new SmallContent({ ...cache, spools: failing }, log);

    expect(await small.write(digest, bytes)).toBe(false);

    expect(small.storing).toBe(false);
    expect(await small.write(digest, bytes)).toBe(false);
  });

  it('has no file that nobody could find where the index takes no row', async () => {
    const { cache, log } = await heldCache({ maxSize: 1500 });
    const index = otherwise(cache.index, { add: fails('SQLITE_READONLY') });
    const small = new SmallContent({ ...cache, index }, log);

    expect(await small.write(digest, bytes)).toBe(false);

    expect(await cache.store.open(digest)).toBeUndefined();
    expect(await cache.capacity.makeRoom(1200)).toBe(true);
  });

  it('twice is held once, and the second one’s room is given back', async () => {
    const { cache, small } = await heldCache({ maxSize: 2500 });

    expect([await small.write(digest, bytes), await small.write(digest, bytes)]).toEqual([
      true,
      true,
    ]);

    expect(await cache.index.totals()).toEqual({ contents: 1, bytes: 1000 });
    expect(await cache.capacity.makeRoom(1400)).toBe(true);
    expect(await small.sizeOf(digest)).toBe(1000);
  });
});

it('with CACHE=off nothing is held', async () => {
  const { log } = await heldCache();
  const small = new SmallContent(null, log);

  expect([small.on, small.storing, await small.write(digest, bytes)]).toEqual([
    false,
    false,
    false,
  ]);
  expect([await small.read(digest, LIMIT), await small.sizeOf(digest)]).toEqual([
    undefined,
    undefined,
  ]);
});
