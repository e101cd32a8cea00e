import { LRUCache } from 'lru-cache';
import { join } from 'node:path';
import { pino } from 'pino';
import { describeContentIndex, digestFor } from '../../../test/contracts/content-index.contract';
import { freshFolder } from '../../../test/support/lifecycle';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import type { Via } from '../source';
import { ClientRights } from './client-rights';
import type { ContentIndex, Link } from './content-index';
import { SqliteIndex } from './sqlite-index';

const APP = 'docker.io/team/app' as CanonicalName;
const OTHER = 'docker.io/team/other' as CanonicalName;
const TAG = '1' as Tag;
const ALICE = `client.${'a'.repeat(32)}` as Via;
const BOB = `client.${'b'.repeat(32)}` as Via;
const DIGEST = digestFor('a');
const record = { digest: DIGEST, mediaType: 'application/json', size: 7, checkedAt: 1 };

function linkOf(via: Via): Link {
  return { via, mediaType: undefined };
}

async function opened() {
  const file = join(freshFolder('client-rights'), 'index.sqlite');
  const lasting = await SqliteIndex.open(file, pino({ level: 'silent' }));
  return { lasting, index: new ClientRights(lasting) as ContentIndex };
}

describeContentIndex('an index beside which clients’ rights are remembered', async () => {
  const { index } = await opened();
  return { index, close: () => index.close() };
});

describe('what a registry said to a client with a login of its own', () => {
  let index: ContentIndex;
  let lasting: ContentIndex;

  beforeEach(async () => {
    ({ index, lasting } = await opened());
    await index.add(DIGEST, 7);
  });

  afterEach(async () => {
    jest.restoreAllMocks();
    await index.close();
  });

  it('is known, and is nothing for the disk', async () => {
    await index.link(APP, DIGEST, linkOf(ALICE));
    await index.setTag(APP, TAG, ALICE, record, (await index.tag(APP, TAG, ALICE)).version);

    expect(await index.links(APP, DIGEST)).toEqual([linkOf(ALICE)]);
    expect((await index.tag(APP, TAG, ALICE)).record).toEqual(record);
    expect(await lasting.links(APP, DIGEST)).toEqual([]);
    expect((await lasting.tag(APP, TAG, ALICE)).record).toBeUndefined();
  });

  it('is that client’s, and under that name alone', async () => {
    await index.setTag(APP, TAG, ALICE, record, 0);
    await index.link(APP, DIGEST, linkOf(ALICE));

    expect((await index.tag(APP, TAG, BOB)).record).toBeUndefined();
    expect(await index.links(OTHER, DIGEST)).toEqual([]);
  });

  it('is forgotten after a minute', async () => {
    let time = 1_000;
    const aging = new ClientRights(lasting, () => time);
    await aging.link(APP, DIGEST, linkOf(ALICE));
    await aging.setTag(APP, TAG, ALICE, record, 0);
    const known = async () => [
      await aging.links(APP, DIGEST),
      (await aging.tag(APP, TAG, ALICE)).record,
    ];

    time += 59_000;
    const before = await known();
    time += 2_000;
    const after = await known();

    expect(before).toEqual([[linkOf(ALICE)], record]);
    expect(after).toEqual([[], undefined]);
  });

  it('is forgotten after a minute by the process’s own clock', async () => {
    const now = jest.spyOn(performance, 'now').mockReturnValue(1_000);
    await index.link(APP, DIGEST, linkOf(ALICE));
    await index.setTag(APP, TAG, ALICE, record, 0);

    now.mockReturnValue(61_001);

    expect(await index.links(APP, DIGEST)).toEqual([]);
    expect((await index.tag(APP, TAG, ALICE)).record).toBeUndefined();
  });

  it('is of a blob and of a manifest, each by itself, and of that as it was said last', async () => {
    const manifest = (mediaType: string) => ({ via: ALICE, mediaType });
    await index.link(APP, DIGEST, linkOf(ALICE));
    await index.link(APP, DIGEST, manifest('text/plain'));
    await index.link(APP, DIGEST, linkOf(ALICE));
    await index.link(APP, DIGEST, manifest('application/json'));

    const links = await index.links(APP, DIGEST);

    expect(links).toHaveLength(2);
    expect(links).toEqual(expect.arrayContaining([linkOf(ALICE), manifest('application/json')]));
  });

  it('is known and taken back without the disk', async () => {
    const refusing = () => Promise.reject(new Error('the disk is full'));
    await index.link(APP, DIGEST, linkOf(ALICE));
    for (const method of ['link', 'unlink', 'tag', 'setTag', 'dropTag'] as const)
      jest.spyOn(lasting, method).mockImplementation(refusing);

    await index.unlink(APP, { via: ALICE });
    await index.link(APP, DIGEST, linkOf(BOB));
    await index.unlink(APP, { via: BOB, digest: DIGEST });
    const wasSet = await index.setTag(APP, TAG, ALICE, record, 0);
    const known = (await index.tag(APP, TAG, ALICE)).record;
    await index.dropTag(APP, TAG, ALICE);

    expect(await index.links(APP, DIGEST)).toEqual([]);
    expect([wasSet, known]).toEqual([true, record]);
    expect((await index.tag(APP, TAG, ALICE)).record).toBeUndefined();
  });

  it('is taken back even where the disk does not let what lasts be', async () => {
    await index.link(APP, DIGEST, linkOf(ALICE));
    jest.spyOn(lasting, 'unlink').mockRejectedValue(new Error('the disk is full'));

    await expect(index.unlink(APP, { digest: DIGEST })).rejects.toThrow('full');

    expect(await index.links(APP, DIGEST)).toEqual([]);
  });

  it('stays for other content, whatever is taken back of one', async () => {
    const other = digestFor('other');
    await index.add(other, 1);
    for (const digest of [DIGEST, other]) await index.link(APP, digest, linkOf(ALICE));

    await index.unlink(APP, { digest: DIGEST });
    const unlinked = [await index.links(APP, DIGEST), await index.links(APP, other)];
    await index.link(APP, DIGEST, linkOf(ALICE));
    await index.remove(DIGEST);
    await index.add(DIGEST, 7);

    expect(unlinked).toEqual([[], [linkOf(ALICE)]]);
    expect(await index.links(APP, DIGEST)).toEqual([]);
    expect(await index.links(APP, other)).toEqual([linkOf(ALICE)]);
  });

  it('is taken back without looking through what others were told', async () => {
    const others = Array.from({ length: 20 }, (_, n) => digestFor(`${n}`));
    for (const digest of others) {
      await index.add(digest, 1);
      await index.link(APP, digest, linkOf(BOB));
      await index.link(OTHER, digest, linkOf(ALICE));
    }
    await index.link(APP, DIGEST, linkOf(ALICE));
    await index.link(OTHER, DIGEST, linkOf(BOB));
    const looked = jest.spyOn(LRUCache.prototype, 'peek');

    await index.unlink(APP, { via: ALICE });
    const ofReader = looked.mock.calls.length;
    await index.unlink(APP, { digest: DIGEST });

    expect([ofReader, looked.mock.calls.length]).toEqual([1, 2]);
    expect(await index.links(OTHER, DIGEST)).toEqual([linkOf(BOB)]);
  });

  it('costs nothing any more once it is taken back, or found to be too old', async () => {
    let time = 1_000;
    const aging = new ClientRights(lasting, () => time);
    const fill = () => aging.link(APP, DIGEST, linkOf(ALICE));
    const looked = jest.spyOn(LRUCache.prototype, 'peek');
    const costs = async () => {
      const before = looked.mock.calls.length;
      await aging.unlink(APP, { via: ALICE });
      return looked.mock.calls.length - before;
    };
    await fill();
    await aging.unlink(APP, { digest: DIGEST });
    const takenBack = await costs();
    await fill();
    time += 61_000;
    await aging.links(APP, DIGEST);
    const askedFor = await costs();
    await fill();
    time += 61_000;
    const old = [await costs(), await costs()];

    expect([takenBack, askedFor, ...old]).toEqual([0, 0, 1, 0]);
  });

  it('is taken back from that client alone, or from all', async () => {
    await index.link(APP, DIGEST, linkOf(ALICE));
    await index.link(APP, DIGEST, linkOf(BOB));

    await index.unlink(APP, { via: ALICE });
    const one = await index.links(APP, DIGEST);
    await index.unlink(APP, { digest: DIGEST });

    expect(one).toEqual([linkOf(BOB)]);
    expect(await index.links(APP, DIGEST)).toEqual([]);
  });

  it('stays under other names, whatever is taken back under one', async () => {
    for (const [name, via] of [
      [APP, ALICE],
      [APP, BOB],
      [OTHER, ALICE],
    ] as const)
      await index.link(name, DIGEST, linkOf(via));

    await index.unlink(APP, { via: ALICE, digest: DIGEST });
    const one = [await index.links(APP, DIGEST), await index.links(OTHER, DIGEST)];
    await index.unlink(APP);
    const all = [await index.links(APP, DIGEST), await index.links(OTHER, DIGEST)];

    expect(one).toEqual([[linkOf(BOB)], [linkOf(ALICE)]]);
    expect(all).toEqual([[], [linkOf(ALICE)]]);
  });

  it('is void where a push came between question and answer', async () => {
    const { version } = await index.tag(APP, TAG, ALICE);
    await index.forgetTag(APP, TAG);

    expect(await index.setTag(APP, TAG, ALICE, record, version)).toBe(false);
    expect((await index.tag(APP, TAG, ALICE)).record).toBeUndefined();
  });

  it.each([
    ['that tag', TAG, [false, true, true, true]],
    ['all tags of the name', undefined, [false, false, true, true]],
  ])(
    'is of tags gone for every client once %s was pushed, and of no others',
    async (_, pushed, left) => {
      const [more, further] = ['10' as Tag, `${APP}2` as CanonicalName];
      const tags = [
        [APP, TAG],
        [APP, more],
        [further, TAG],
        [OTHER, TAG],
      ] as const;
      for (const via of [ALICE, BOB])
        for (const [name, tag] of tags) await index.setTag(name, tag, via, record, 0);

      await index.forgetTag(APP, pushed);

      for (const via of [ALICE, BOB]) {
        const known = await Promise.all(
          tags.map(async ([name, tag]) => (await index.tag(name, tag, via)).record !== undefined),
        );
        expect(known).toEqual(left);
      }
    },
  );

  it('is, of a tag, dropped for that client alone', async () => {
    for (const via of [ALICE, BOB]) await index.setTag(APP, TAG, via, record, 0);

    await index.dropTag(APP, TAG, ALICE);

    expect((await index.tag(APP, TAG, ALICE)).record).toBeUndefined();
    expect((await index.tag(APP, TAG, BOB)).record).toEqual(record);
  });

  it('is gone when the tag was pushed, and when the content is', async () => {
    await index.link(APP, DIGEST, linkOf(ALICE));
    await index.setTag(APP, TAG, ALICE, record, 0);

    await index.forgetTag(APP);
    await index.remove(DIGEST);

    expect((await index.tag(APP, TAG, ALICE)).record).toBeUndefined();
    expect(await index.links(APP, DIGEST)).toEqual([]);
  });

  it('opens nothing that is not held', async () => {
    await index.link(APP, digestFor('not held'), linkOf(ALICE));

    expect(await index.links(APP, digestFor('not held'))).toEqual([]);
  });
});
