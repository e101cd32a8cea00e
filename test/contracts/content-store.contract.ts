/** What every content store must do, wherever it keeps its bytes. */
import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import type { ContentStore, StoredContent } from '../../src/cdn/store/content-store';
import type { Spool, Spools } from '../../src/cdn/store/spool';
import { digestOf, parseDigest, type Digest } from '../../src/oci/digest';

/** A store that is empty, and what it takes content from. */
export interface StoreUnderTest {
  readonly store: ContentStore;
  readonly spools: Spools;
  close(): Promise<void>;
}

/** Digest and bytes of content that nobody had before. */
export interface Sample {
  readonly digest: Digest;
  readonly bytes: Buffer;
}

const MIB = 1024 * 1024;
/** More than one call of the operating system writes. */
const MANY_CHUNKS = 3000;

/** Content of random bytes. */
export function sample(size: number): Sample {
  const bytes = randomBytes(size);
  return { digest: digestOf(bytes), bytes };
}

/** A spool with these bytes, which the caller has to release. */
export async function spooled(spools: Spools, bytes: Uint8Array): Promise<Spool> {
  const spool = await spools.create();
  await spool.append([bytes]);
  return spool;
}

/** Puts the content as a writer does that has verified it. */
export async function put(
  { store, spools }: Pick<StoreUnderTest, 'store' | 'spools'>,
  { digest, bytes }: Sample,
): Promise<void> {
  const spool = await spooled(spools, bytes);
  try {
    await store.put(digest, spool);
  } finally {
    spool.release();
  }
}

/** All that is left of what was opened, read in pieces of that size, and closed. */
export async function drained(
  content: StoredContent | undefined,
  piece = 64 * 1024,
): Promise<Buffer> {
  if (!content) throw new Error('not held');
  const parts: Buffer[] = [];
  try {
    for (;;) {
      const into = Buffer.alloc(piece);
      const count = await content.read(into);
      if (count === 0) return Buffer.concat(parts);
      parts.push(into.subarray(0, count));
    }
  } finally {
    await content.close();
  }
}

/** What was written to the spool so far. */
async function writtenTo(spool: Spool): Promise<Buffer> {
  const into = Buffer.alloc(spool.size);
  for (let position = 0; position < into.length;) {
    position += await spool.read(into.subarray(position), position);
  }
  return into;
}

/** Runs the contract against the stores that `make` makes, each of them empty. */
export function describeContentStore(name: string, make: () => Promise<StoreUnderTest>): void {
  let made: StoreUnderTest;
  let store: ContentStore;
  let spools: Spools;
  beforeEach(async () => {
    made = await make();
    ({ store, spools } = made);
  });
  afterEach(() => made.close());

  const contentOf = async ({ digest }: Sample, from?: number, to?: number) =>
    drained(await store.open(digest, from, to));

  describe(`${name}: content`, () => {
    it.each([0, 1, 511, 64 * 1024, 3 * MIB + 1])(
      'of %d bytes comes back as it was',
      async (size) => {
        const content = sample(size);

        await put(made, content);

        const opened = await store.open(content.digest);
        expect(opened?.size).toBe(size);
        expect((await drained(opened)).equals(content.bytes)).toBe(true);
      },
    );

    it('may be named by sha512', async () => {
      const bytes = randomBytes(1000);
      const digest = parseDigest(`sha512:${createHash('sha512').update(bytes).digest('hex')}`)!;

      await put(made, { digest, bytes });

      expect((await drained(await store.open(digest))).equals(bytes)).toBe(true);
      expect(await store.list(undefined, 10)).toEqual([{ digest, size: 1000 }]);
      expect(await store.delete(digest)).toBe(true);
    });

    it('that was never put is not held', async () => {
      const { digest } = sample(10);

      expect(await store.open(digest)).toBeUndefined();
      expect(await store.delete(digest)).toBe(false);
      expect(await store.list(undefined, 10)).toEqual([]);
    });

    it('is not held before it is put, however much of it is spooled', async () => {
      const { digest, bytes } = sample(1000);
      const spool = await spooled(spools, bytes);

      expect(await store.open(digest)).toBeUndefined();
      expect(await store.list(undefined, 10)).toEqual([]);
      await spool.discard();
      spool.release();
    });

    it('put twice is held once', async () => {
      const content = sample(1000);

      await put(made, content);
      await put(made, content);

      expect(await store.list(undefined, 10)).toHaveLength(1);
      expect((await contentOf(content)).equals(content.bytes)).toBe(true);
      expect(await store.delete(content.digest)).toBe(true);
      expect(await store.open(content.digest)).toBeUndefined();
    });

    it('put by many at once is held once, and others beside it', async () => {
      const [same, ...others] = [1000, ...Array.from({ length: 20 }, (_, n) => n * 1000)].map(
        sample,
      );
      const puts = [...Array.from({ length: 10 }, () => same!), ...others];

      await Promise.all(puts.map((content) => put(made, content)));

      for (const content of puts) {
        expect((await contentOf(content)).equals(content.bytes)).toBe(true);
      }
      expect(await store.list(undefined, 100)).toHaveLength(21);
    });

    it('has the same stamp as long as it is the same', async () => {
      const content = sample(1000);
      await put(made, content);
      const stampOf = async () => {
        const opened = await store.open(content.digest);
        await opened?.close();
        return opened?.stamp;
      };

      const first = await stampOf();

      expect(first).toBeDefined();
      expect(await stampOf()).toBe(first);
    });

    it('is read to its end by whoever has it open when it is deleted', async () => {
      const content = sample(MIB);
      await put(made, content);
      const opened = await store.open(content.digest);
      const first = Buffer.alloc(10);
      await opened?.read(first);

      expect(await store.delete(content.digest)).toBe(true);

      expect(await store.open(content.digest)).toBeUndefined();
      expect(await store.delete(content.digest)).toBe(false);
      expect(Buffer.concat([first, await drained(opened)]).equals(content.bytes)).toBe(true);
    });

    it('can be put again after it was deleted', async () => {
      const content = sample(1000);
      await put(made, content);
      await store.delete(content.digest);

      await put(made, content);

      expect((await contentOf(content)).equals(content.bytes)).toBe(true);
    });
  });

  describe(`${name}: a part of content`, () => {
    it('is what the whole has there, whatever the part and the pieces in which it is read', async () => {
      const content = sample(10_000);
      await put(made, content);
      const position = fc.nat(12_000);

      await fc.assert(
        fc.asyncProperty(position, position, fc.integer({ min: 1, max: 5000 }), async (a, b, n) => {
          const [from, to] = [Math.min(a, b), Math.max(a, b)];

          const opened = await store.open(content.digest, from, to);

          expect(opened?.size).toBe(10_000);
          const expected = content.bytes.subarray(from, to);
          expect((await drained(opened, n)).equals(expected)).toBe(true);
        }),
        { numRuns: 50 },
      );
    });

    it('may begin at the end, or behind it, and then is empty', async () => {
      const content = sample(100);
      await put(made, content);

      expect(await contentOf(content, 100)).toHaveLength(0);
      expect(await contentOf(content, 5000)).toHaveLength(0);
      expect(await contentOf(content, 40)).toHaveLength(60);
      expect(await contentOf(content, 40, 40)).toHaveLength(0);
    });

    it.each([
      [-1, undefined],
      [0.5, undefined],
      [Number.NaN, undefined],
      [2 ** 53, undefined],
      [0, Number.POSITIVE_INFINITY],
      [10, 9],
      [0, -1],
    ])('from %p to %p is none', async (from, to) => {
      const content = sample(100);
      await put(made, content);

      await expect(store.open(content.digest, from, to)).rejects.toThrow(RangeError);
    });
  });

  describe(`${name}: the list`, () => {
    it('is in the order of the digests, in pages of any length', async () => {
      const contents = Array.from({ length: 30 }, (_, n) => sample(n));
      await Promise.all(contents.map((content) => put(made, content)));
      const expected = contents
        .map(({ digest, bytes }) => ({ digest, size: bytes.length }))
        .sort((a, b) => (a.digest < b.digest ? -1 : 1));

      for (const limit of [1, 7, 30, 1000]) {
        const listed = [];
        for (let after: Digest | undefined; ; after = listed.at(-1)?.digest) {
          const page = await store.list(after, limit);
          expect(page.length).toBeLessThanOrEqual(limit);
          if (page.length === 0) break;
          listed.push(...page);
        }
        expect(listed).toEqual(expected);
      }
    });

    it('begins behind any digest, whether it is held or not', async () => {
      const contents = Array.from({ length: 20 }, () => sample(10));
      await Promise.all(contents.map((content) => put(made, content)));
      const held = contents.map(({ digest }) => digest).sort();
      const edges = [
        `sha256:${'0'.repeat(64)}`,
        `sha256:${'f'.repeat(64)}`,
        `sha512:${'0'.repeat(128)}`,
      ];
      const strangers = Array.from({ length: 20 }, () => sample(10).digest);

      for (const after of [...edges.map((text) => parseDigest(text)!), ...strangers, ...held]) {
        const listed = await store.list(after, 100);
        expect(listed.map(({ digest }) => digest)).toEqual(held.filter((digest) => digest > after));
      }
    });

    it.each([0, -1, 0.5, Number.NaN])('takes no limit of %p', async (limit) => {
      await expect(store.list(undefined, limit)).rejects.toThrow(RangeError);
    });
  });

  describe(`${name}: room`, () => {
    it('is told in bytes', async () => {
      const { free, total } = await store.free();

      expect(free).toBeGreaterThan(0);
      expect(total).toBeGreaterThanOrEqual(free);
    });
  });

  describe(`${name}: a spool`, () => {
    it('is empty at first', async () => {
      const spool = await spools.create();

      expect(spool.size).toBe(0);
      expect(await spool.read(Buffer.alloc(10), 0)).toBe(0);
      await spool.discard();
      spool.release();
    });

    it('holds what was appended, in order, however it was cut', async () => {
      const chunk = fc.uint8Array({ maxLength: 300 });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.array(chunk), { maxLength: 5 }), async (appends) => {
          const spool = await spools.create();

          for (const chunks of appends) await spool.append(chunks);

          const expected = Buffer.concat(appends.flat());
          expect(spool.size).toBe(expected.length);
          expect((await writtenTo(spool)).equals(expected)).toBe(true);
          await spool.discard();
          spool.release();
        }),
        { numRuns: 30 },
      );
    });

    it('takes thousands of chunks at once', async () => {
      const bytes = randomBytes(MANY_CHUNKS * 7);
      const spool = await spools.create();

      await spool.append(
        Array.from({ length: MANY_CHUNKS }, (_, n) => bytes.subarray(n * 7, n * 7 + 7)),
      );

      expect((await writtenTo(spool)).equals(bytes)).toBe(true);
      await spool.discard();
      spool.release();
    });

    it('is read at any place while it grows, up to what is written', async () => {
      const { bytes } = sample(MIB);
      const spool = await spools.create();
      const parts: Buffer[] = [];
      const follow = async () => {
        for (let position = 0; position < bytes.length;) {
          const into = Buffer.alloc(10_000);
          const count = await spool.read(into, position);
          expect(position + count).toBeLessThanOrEqual(spool.size);
          parts.push(into.subarray(0, count));
          position += count;
          if (count === 0) await new Promise(setImmediate);
        }
      };

      const following = follow();
      for (let at = 0; at < bytes.length; at += 65_536) {
        await spool.append([bytes.subarray(at, at + 65_536)]);
      }
      await following;

      expect(Buffer.concat(parts).equals(bytes)).toBe(true);
      expect(await spool.read(Buffer.alloc(10), bytes.length)).toBe(0);
      expect(await spool.read(Buffer.alloc(10), bytes.length + 1000)).toBe(0);
      await spool.discard();
      spool.release();
    });

    it.each([-1, 0.5, Number.NaN])('has no position %p', async (position) => {
      const spool = await spooled(spools, Buffer.from('text'));

      await expect(spool.read(Buffer.alloc(10), position)).rejects.toThrow(RangeError);
      await spool.discard();
      spool.release();
    });

    it.each<[string, (spool: Spool, content: Sample) => Promise<void>]>([
      ['the store took it', (spool, { digest }) => store.put(digest, spool)],
      ['it was discarded', (spool) => spool.discard()],
      [
        'the store took it and deleted what it took',
        async (spool, { digest }) => {
          await store.put(digest, spool);
          await store.delete(digest);
        },
      ],
    ])('stays readable for those who retain it after %s', async (_, end) => {
      const content = sample(MIB);
      const spool = await spooled(spools, content.bytes);
      spool.retain();

      await end(spool, content);
      spool.release();

      expect((await writtenTo(spool)).equals(content.bytes)).toBe(true);
      spool.release();
    });

    it('that the store took may be discarded, and the content stays', async () => {
      const content = sample(1000);
      const spool = await spooled(spools, content.bytes);
      await store.put(content.digest, spool);

      await spool.discard();
      await spool.discard();
      spool.release();

      expect((await contentOf(content)).equals(content.bytes)).toBe(true);
    });

    it('cannot be used any more by those who have released it', async () => {
      const spool = await spooled(spools, Buffer.from('text'));
      await spool.discard();
      spool.release();

      await expect(spool.append([Buffer.from('more')])).rejects.toThrow();
      await expect(spool.read(Buffer.alloc(4), 0)).rejects.toThrow();
      expect(() => spool.retain()).toThrow('closed');
      expect(() => spool.release()).toThrow('too often');
    });

    it('that is gone cannot be put, and nothing is held', async () => {
      const { digest, bytes } = sample(1000);
      const spool = await spooled(spools, bytes);
      await spool.discard();

      await expect(store.put(digest, spool)).rejects.toThrow();

      expect(await store.open(digest)).toBeUndefined();
      spool.release();
    });
  });
}
