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

  afterEach(() => index.close());

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
