/** What every content index keeps, whatever it is made of. */
import fc from 'fast-check';
import type { ContentIndex, Link, TagRecord } from '../../src/cdn/index/content-index';
import type { Via } from '../../src/cdn/source';
import { digestOf, type Digest } from '../../src/oci/digest';
import type { Tag } from '../../src/oci/reference';
import type { CanonicalName } from '../../src/oci/repository-name';

/** An empty index. `close` ends it and what it stands on. */
export type MakeContentIndex = () => Promise<{ index: ContentIndex; close(): Promise<void> }>;

const [A, B, C] = ['a', 'b', 'c'].map(digestFor) as [Digest, Digest, Digest];
const APP = 'docker.io/library/app' as CanonicalName;
const OTHER = 'ghcr.io/org/other' as CanonicalName;
const ANONYMOUS = 'anonymous.0123456789abcdef' as Via;
const CONFIGURED = 'configured.0123456789abcdef' as Via;
const LATEST = 'latest' as Tag;
const STABLE = 'stable' as Tag;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const BLOB_LINK: Link = { via: ANONYMOUS, mediaType: undefined };
const MANIFEST_LINK: Link = { via: ANONYMOUS, mediaType: MANIFEST };

export function digestFor(text: string): Digest {
  return digestOf(Buffer.from(text));
}

function recordOf(digest: Digest): TagRecord {
  return { digest, mediaType: MANIFEST, size: 7, checkedAt: 1_700_000_000_000 };
}

/** Times have the clock's own grain: what is to come later waits for its next tick. */
async function laterThan(time: number): Promise<void> {
  while (Date.now() <= time) await new Promise((resolve) => setImmediate(resolve));
}

async function add(index: ContentIndex, ...digests: Digest[]): Promise<void> {
  for (const digest of digests) {
    await index.add(digest, 10);
    await laterThan(Date.now());
  }
}

/** To be called by the spec of each index. */
export function describeContentIndex(name: string, make: MakeContentIndex): void {
  describe(`${name} as a content index`, () => {
    let index: ContentIndex;
    let close: () => Promise<void>;

    beforeEach(async () => {
      ({ index, close } = await make());
    });
    afterEach(() => close());

    describe('registries that refuse the gate’s own credentials', () => {
      it('are remembered until they take them again', async () => {
        await index.suspend('ghcr.io', true);
        await index.suspend('ghcr.io', true);
        await index.suspend('quay.io', true);
        const both = await index.suspended();
        await index.suspend('ghcr.io', false);
        await index.suspend('docker.io', false);

        expect([...both].sort()).toEqual(['ghcr.io', 'quay.io']);
        expect(await index.suspended()).toEqual(['quay.io']);
      });
    });

    it('drops a tag for the credentials that it is dropped for alone', async () => {
      for (const via of [ANONYMOUS, CONFIGURED]) {
        const { version } = await index.tag(APP, LATEST, via);
        await index.setTag(APP, LATEST, via, recordOf(A), version);
      }

      await index.dropTag(APP, LATEST, ANONYMOUS);

      expect((await index.tag(APP, LATEST, ANONYMOUS)).record).toBeUndefined();
      expect((await index.tag(APP, LATEST, CONFIGURED)).record).toEqual(recordOf(A));
    });

    describe('what is held', () => {
      it('is known by its size and its last use', async () => {
        const before = Date.now();

        await index.add(A, 42);

        const content = await index.content(A);
        expect(content).toEqual({ digest: A, size: 42, usedAt: expect.any(Number) });
        expect(content?.usedAt).toBeGreaterThanOrEqual(before);
        expect(await index.content(B)).toBeUndefined();
      });

      it('is new once, and again where it was removed', async () => {
        expect(await index.add(A, 1)).toBe(true);
        expect(await index.add(A, 1)).toBe(false);
        await index.remove(A);
        expect(await index.add(A, 1)).toBe(true);
      });

      it('is added again with another size, and keeps its links', async () => {
        await index.add(A, 1);
        await index.link(APP, A, BLOB_LINK);

        expect(await index.add(A, 2)).toBe(true);

        expect((await index.content(A))?.size).toBe(2);
        expect(await index.links(APP, A)).toEqual([BLOB_LINK]);
        expect(await index.totals()).toEqual({ contents: 1, bytes: 2 });
      });

      it('is summed up, whatever comes and goes', async () => {
        await index.add(A, 1);
        await index.add(B, 2 ** 40);
        await index.add(C, 0);
        await index.remove(A);
        await index.remove(A);

        expect(await index.totals()).toEqual({ contents: 2, bytes: 2 ** 40 });
      });

      it.each([-1, Number.NaN, 1.5])('has no size of %d', async (size) => {
        await expect(index.add(A, size)).rejects.toThrow();
        expect(await index.content(A)).toBeUndefined();
      });

      it('is listed in the order of digests, page by page, each once', async () => {
        const digests = Array.from({ length: 25 }, (_, each) => digestFor(`${each}`));
        for (const digest of digests) await index.add(digest, 1);

        const pages: Digest[][] = [];
        for (let after: Digest | undefined; ;) {
          const page = (await index.list(after, 10)).map(({ digest }) => digest);
          pages.push(page);
          if (page.length < 10) break;
          after = page.at(-1);
        }

        expect(pages.map((page) => page.length)).toEqual([10, 10, 5]);
        expect(pages.flat()).toEqual(digests.sort());
      });

      it('is listed on from behind a digest that is gone', async () => {
        const digests = [A, B, C].sort();
        await add(index, ...digests);
        await index.remove(digests[1]!);

        const rest = await index.list(digests[1], 10);

        expect(rest.map(({ digest }) => digest)).toEqual([digests[2]]);
      });
    });

    describe('links', () => {
      it('are one for each of credentials and kinds, under that name alone', async () => {
        await index.add(A, 1);

        await index.link(APP, A, BLOB_LINK);
        await index.link(APP, A, MANIFEST_LINK);
        await index.link(APP, A, { via: CONFIGURED, mediaType: undefined });
        await index.link(APP, A, BLOB_LINK);

        const links = await index.links(APP, A);
        expect(links).toHaveLength(3);
        expect(links).toEqual(
          expect.arrayContaining([
            BLOB_LINK,
            MANIFEST_LINK,
            { via: CONFIGURED, mediaType: undefined },
          ]),
        );
        expect(await index.links(OTHER, A)).toEqual([]);
        expect(await index.links(APP, B)).toEqual([]);
      });

      it('have the media type that was said last', async () => {
        await index.add(A, 1);
        await index.link(APP, A, MANIFEST_LINK);

        await index.link(APP, A, { via: ANONYMOUS, mediaType: 'text/plain' });

        expect(await index.links(APP, A)).toEqual([{ via: ANONYMOUS, mediaType: 'text/plain' }]);
      });

      it('S9: do not come about for what is not held, nor with it later', async () => {
        await index.link(APP, A, BLOB_LINK);
        await index.add(A, 1);

        expect(await index.links(APP, A)).toEqual([]);
        expect(await index.isLinked(A)).toBe(false);
      });

      it('S9: go with the content, and do not come back with it', async () => {
        await add(index, A, B);
        for (const name of [APP, OTHER])
          for (const digest of [A, B]) await index.link(name, digest, BLOB_LINK);

        await index.remove(A);
        const held = [await index.linked(APP, undefined, 10), await index.isLinked(A)];
        await index.add(A, 1);

        expect(held).toEqual([[B], false]);
        expect(await index.links(APP, A)).toEqual([]);
        expect(await index.links(OTHER, A)).toEqual([]);
        expect(await index.links(APP, B)).toEqual([BLOB_LINK]);
      });

      it.each([
        ['of the digest', { digest: A }, [[], [CONFIGURED, ANONYMOUS]]],
        ['of the credentials', { via: CONFIGURED }, [[ANONYMOUS], [ANONYMOUS]]],
        ['of both', { digest: A, via: CONFIGURED }, [[ANONYMOUS], [CONFIGURED, ANONYMOUS]]],
        ['of the name', undefined, [[], []]],
        ['of the name', { digest: undefined, via: undefined }, [[], []]],
      ])('%s are taken back, and no others', async (_, only, expected) => {
        await add(index, A, B);
        for (const name of [APP, OTHER])
          for (const digest of [A, B])
            for (const via of [ANONYMOUS, CONFIGURED])
              await index.link(name, digest, { via, mediaType: undefined });

        await index.unlink(APP, only);

        const left = [await index.links(APP, A), await index.links(APP, B)];
        expect(left.map((links) => links.map(({ via }) => via).sort())).toEqual(
          expected.map((vias) => [...vias].sort()),
        );
        expect(await index.links(OTHER, A)).toHaveLength(2);
        expect(await index.content(A)).toBeDefined();
      });

      it('of a name with thousands of contents, and of content with thousands of names, go all', async () => {
        const digests = Array.from({ length: 2500 }, (_, each) => digestFor(`${each}`));
        await Promise.all(digests.map((digest) => index.add(digest, 1)));
        await Promise.all(digests.map((digest) => index.link(APP, digest, BLOB_LINK)));
        await Promise.all(digests.map((_, each) => index.link(nth(each), digests[0]!, BLOB_LINK)));

        await index.remove(digests[0]!);
        const [repository] = await index.repositories(undefined, 10);
        await index.unlink(APP);

        expect(repository).toMatchObject({ name: APP, contents: 2499, bytes: 2499 });
        expect(await index.linked(APP, undefined, 10)).toEqual([]);
        expect(await index.repositories(undefined, 10)).toEqual([]);
      });

      it('are listed in the order of digests, page by page, each digest once', async () => {
        const digests = Array.from({ length: 12 }, (_, each) => digestFor(`${each}`)).sort();
        for (const digest of digests) {
          await index.add(digest, 1);
          await index.link(APP, digest, BLOB_LINK);
          await index.link(APP, digest, MANIFEST_LINK);
        }

        const first = await index.linked(APP, undefined, 5);
        const second = await index.linked(APP, first.at(-1), 5);
        const third = await index.linked(APP, second.at(-1), 5);

        expect([first, second, third].map((page) => page.length)).toEqual([5, 5, 2]);
        expect([...first, ...second, ...third]).toEqual(digests);
      });
    });

    describe('repositories', () => {
      it('are in the order of names, page by page, with what is held for each', async () => {
        const names = Array.from({ length: 7 }, (_, each) => nth(each)).sort();
        await index.add(A, 3);
        await laterThan(Date.now());
        await index.add(B, 4);
        for (const name of names) {
          await index.link(name, A, BLOB_LINK);
          await index.link(name, A, MANIFEST_LINK);
        }
        await index.link(names[6]!, B, BLOB_LINK);

        const first = await index.repositories(undefined, 4);
        const second = await index.repositories(first.at(-1)?.name, 4);

        const usedAt = (await index.content(A))?.usedAt;
        expect([...first, ...second]).toEqual([
          ...names.slice(0, 6).map((name) => ({ name, contents: 1, bytes: 3, usedAt })),
          { name: names[6], contents: 2, bytes: 7, usedAt: (await index.content(B))?.usedAt },
        ]);
        expect(first).toHaveLength(4);
      });

      it('with nothing held are none', async () => {
        await index.add(A, 1);
        await index.link(APP, A, BLOB_LINK);
        const { version } = await index.tag(OTHER, LATEST, ANONYMOUS);
        await index.setTag(OTHER, LATEST, ANONYMOUS, recordOf(A), version);

        await index.remove(A);

        expect(await index.repositories(undefined, 10)).toEqual([]);
      });
    });

    describe('tags', () => {
      it('are kept for each of the credentials, with or without their content', async () => {
        const { version } = await index.tag(APP, LATEST, ANONYMOUS);

        const wasSet = await index.setTag(APP, LATEST, ANONYMOUS, recordOf(A), version);

        expect(wasSet).toBe(true);
        expect((await index.tag(APP, LATEST, ANONYMOUS)).record).toEqual(recordOf(A));
        expect((await index.tag(APP, LATEST, CONFIGURED)).record).toBeUndefined();
        expect((await index.tag(APP, STABLE, ANONYMOUS)).record).toBeUndefined();
        expect((await index.tag(OTHER, LATEST, ANONYMOUS)).record).toBeUndefined();
      });

      it('are set anew with the version that is read now', async () => {
        await setNow(A);

        const wasSet = await setNow(B);

        expect(wasSet).toBe(true);
        expect((await index.tag(APP, LATEST, ANONYMOUS)).record?.digest).toBe(B);
      });

      it('are set by one only of those who read the same version', async () => {
        await setNow(A);
        const { version } = await index.tag(APP, LATEST, ANONYMOUS);

        const wereSet = await Promise.all(
          [B, C].map((digest) => index.setTag(APP, LATEST, ANONYMOUS, recordOf(digest), version)),
        );

        expect(wereSet.sort()).toEqual([false, true]);
      });

      it('are not in the way of other tags and other credentials', async () => {
        const { version } = await index.tag(APP, LATEST, ANONYMOUS);
        const other = await index.tag(APP, LATEST, CONFIGURED);
        const stable = await index.tag(APP, STABLE, ANONYMOUS);

        await index.forgetTag(APP, STABLE);
        const wereSet = [
          await index.setTag(APP, LATEST, ANONYMOUS, recordOf(A), version),
          await index.setTag(APP, LATEST, CONFIGURED, recordOf(A), other.version),
          await index.setTag(APP, STABLE, ANONYMOUS, recordOf(A), stable.version),
        ];

        expect(wereSet).toEqual([true, true, false]);
      });

      it.each([
        ['that tag', LATEST],
        ['all tags of the name', undefined],
      ])('S6: are not brought back by who read before %s was forgotten', async (_, forgotten) => {
        const unset = await index.tag(APP, STABLE, ANONYMOUS);
        await setNow(A);
        const read = await index.tag(APP, LATEST, ANONYMOUS);
        const without = await index.tag(APP, LATEST, CONFIGURED);

        await index.forgetTag(APP, forgotten);
        const wereSet = [
          await index.setTag(APP, LATEST, ANONYMOUS, recordOf(A), read.version),
          await index.setTag(APP, LATEST, CONFIGURED, recordOf(A), without.version),
        ];
        const stableWasSet = await index.setTag(APP, STABLE, ANONYMOUS, recordOf(A), unset.version);

        expect(wereSet).toEqual([false, false]);
        expect(stableWasSet).toBe(forgotten !== undefined);
        expect((await index.tag(APP, LATEST, ANONYMOUS)).record).toBeUndefined();
        expect(await setNow(B)).toBe(true);
        expect((await index.tag(APP, LATEST, ANONYMOUS)).record?.digest).toBe(B);
      });

      it('forgotten by the thousand are all gone, and those of other names are there', async () => {
        const tags = Array.from({ length: 2500 }, (_, each) => `t${each}` as Tag);
        for (const tag of tags) await setNow(A, tag);
        const { version } = await index.tag(OTHER, LATEST, ANONYMOUS);
        await index.setTag(OTHER, LATEST, ANONYMOUS, recordOf(A), version);

        await index.forgetTag(APP);

        const entries = await Promise.all(tags.map((tag) => index.tag(APP, tag, ANONYMOUS)));
        expect(entries.filter(({ record }) => record)).toEqual([]);
        expect((await index.tag(OTHER, LATEST, ANONYMOUS)).record).toBeDefined();
      });

      it('forgotten while many set them are what was set after it, or nothing', async () => {
        const before = await Promise.all(
          Array.from({ length: 20 }, () => index.tag(APP, LATEST, ANONYMOUS)),
        );

        const wereSet = await Promise.all([
          ...before
            .slice(0, 10)
            .map(({ version }) => index.setTag(APP, LATEST, ANONYMOUS, recordOf(A), version)),
          index.forgetTag(APP, LATEST).then(() => false),
          ...before
            .slice(10)
            .map(({ version }) => index.setTag(APP, LATEST, ANONYMOUS, recordOf(A), version)),
        ]);

        expect(wereSet.filter(Boolean).length).toBeLessThanOrEqual(1);
        expect((await index.tag(APP, LATEST, ANONYMOUS)).record).toBeUndefined();
      });

      it('S6: whatever is read, set and forgotten in turn, no read from before a change sets it', async () => {
        const step = fc.oneof(
          fc.record({ do: fc.constant('read' as const), tag: fc.integer({ min: 0, max: 1 }) }),
          fc.record({ do: fc.constant('set' as const), read: fc.nat() }),
          fc.record({
            do: fc.constant('forget' as const),
            tag: fc.option(fc.integer({ min: 0, max: 1 })),
          }),
        );
        let run = 0;

        await fc.assert(
          fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (steps) => {
            const name = nth((run += 1));
            const tags = [LATEST, STABLE];
            const changes = [0, 0];
            const held: (Digest | undefined)[] = [undefined, undefined];
            const reads: { tag: number; version: number; changes: number }[] = [];
            for (const [at, each] of steps.entries()) {
              if (each.do === 'read') {
                const { version, record } = await index.tag(name, tags[each.tag]!, ANONYMOUS);
                expect(record?.digest).toBe(held[each.tag]);
                reads.push({ tag: each.tag, version, changes: changes[each.tag]! });
              } else if (each.do === 'set' && reads.length > 0) {
                const read = reads[each.read % reads.length]!;
                const digest = digestFor(`${at}`);
                const tag = tags[read.tag]!;
                const record = recordOf(digest);
                const wasSet = await index.setTag(name, tag, ANONYMOUS, record, read.version);
                expect(wasSet).toBe(read.changes === changes[read.tag]);
                if (wasSet) {
                  held[read.tag] = digest;
                  changes[read.tag]! += 1;
                }
              } else if (each.do === 'forget') {
                await index.forgetTag(name, each.tag === null ? undefined : tags[each.tag]);
                for (const tag of each.tag === null ? [0, 1] : [each.tag]) {
                  held[tag] = undefined;
                  changes[tag]! += 1;
                }
              }
            }
          }),
          { numRuns: 60 },
        );
      });

      async function setNow(digest: Digest, tag = LATEST): Promise<boolean> {
        const { version } = await index.tag(APP, tag, ANONYMOUS);
        return index.setTag(APP, tag, ANONYMOUS, recordOf(digest), version);
      }
    });

    describe('use', () => {
      it('decides what is coldest', async () => {
        await add(index, A, B, C);
        index.touch(A);

        expect(await coldest(10)).toEqual([B, C, A]);
        expect(await coldest(1)).toEqual([B]);
      });

      it('is not made earlier by adding again, nor noted for what is not held', async () => {
        await add(index, A, B);
        await index.add(A, 11);
        index.touch(C);

        expect(await coldest(10)).toEqual([A, B]);
        expect(await index.content(C)).toBeUndefined();
      });

      it('before a time picks what is older, and nothing else', async () => {
        await add(index, A, B);
        const { usedAt } = (await index.content(B))!;

        expect(await coldest(10, usedAt)).toEqual([A]);
        expect(await coldest(10, usedAt + 1)).toEqual([A, B]);
        expect(await coldest(10, 0)).toEqual([]);
      });

      it('of thousands at once is noted for each', async () => {
        const digests = Array.from({ length: 1200 }, (_, each) => digestFor(`${each}`));
        await add(index, A);
        await Promise.all(digests.map((digest) => index.add(digest, 1)));
        await add(index, B);

        for (const digest of [A, ...digests]) index.touch(digest);

        expect(await coldest(1)).toEqual([B]);
      });

      async function coldest(limit: number, before?: number): Promise<Digest[]> {
        return (await index.coldest(limit, before)).map(({ digest }) => digest);
      }
    });

    describe('at once', () => {
      it('removing, linking and adding the same digest leaves links only to what is held', async () => {
        for (let round = 0; round < 20; round += 1) {
          await index.add(A, 1);
          await Promise.all([
            index.link(APP, A, BLOB_LINK),
            index.remove(A),
            index.link(OTHER, A, BLOB_LINK),
          ]);
          expect(await index.content(A)).toBeUndefined();
          expect(await index.isLinked(A)).toBe(false);
        }
        expect(await index.totals()).toEqual({ contents: 0, bytes: 0 });
      });

      it('adding what others add counts it once', async () => {
        await Promise.all(Array.from({ length: 50 }, () => index.add(A, 5)));

        expect(await index.totals()).toEqual({ contents: 1, bytes: 5 });
      });
    });
  });
}

function nth(each: number): CanonicalName {
  return `docker.io/library/n${each}` as CanonicalName;
}
