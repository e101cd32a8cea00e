/** What one call to the tables does: it is bounded, so that others have their turn before the next. */
import { join } from 'node:path';
import { pino } from 'pino';
import { digestFor } from '../../../test/contracts/content-index.contract';
import { freshFolder } from '../../../test/support/lifecycle';
import type { Digest } from '../../oci/digest';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import type { Via } from '../source';
import type { TagRecord } from './content-index';
import { IndexDatabase } from './sqlite-index.database';
import { FIRST_TAG } from './sqlite-index.tags';

const A = digestFor('a');
const APP = 'docker.io/library/app' as CanonicalName;
const OTHER = 'docker.io/library/other' as CanonicalName;
const VIA = 'anonymous.0123456789abcdef' as Via;
const LATEST = 'latest' as Tag;
const STABLE = 'stable' as Tag;
const BLOB_LINK = { via: VIA, mediaType: undefined };
const HELD: TagRecord = { digest: A, mediaType: 'text/plain', size: 1, checkedAt: 5 };
const UNHELD: TagRecord = { ...HELD, digest: digestFor('not held') };

let database: IndexDatabase;

beforeEach(() => {
  const file = join(freshFolder('index-rows'), 'index.sqlite');
  database = new IndexDatabase(file, pino({ level: 'silent' }));
});

afterEach(() => database.close());

function tagOf(each: number): Tag {
  return `t${String(each).padStart(4, '0')}` as Tag;
}

/** So many tags of a name, in their order. */
function setTags(name: CanonicalName, count: number, recordOf: (each: number) => TagRecord) {
  return database.write(({ tags }) => {
    for (let each = 0; each < count; each += 1)
      tags.set(name, tagOf(each), VIA, recordOf(each), tags.read(name, tagOf(each), VIA).version);
  });
}

async function isSet(name: CanonicalName, tag: Tag): Promise<boolean> {
  return database.read(({ tags }) => tags.read(name, tag, VIA).record !== undefined);
}

/** So many contents of one byte, linked under the name, in their order. */
async function hold(count: number): Promise<readonly Digest[]> {
  const digests = Array.from({ length: count }, (_, each) => digestFor(`${each}`)).sort();
  await database.write(({ contents, links }) => {
    for (const digest of digests) {
      contents.add(digest, 1);
      links.add(APP, digest, BLOB_LINK);
    }
  });
  return digests;
}

describe('links', () => {
  it('of a name are removed a thousand contents at a time', async () => {
    const digests = await hold(1500);

    const first = await database.write(({ links }) => links.removeChunk(APP, undefined, undefined));
    const left = await database.read(({ links }) => links.digests(APP, undefined, 9999));
    const second = await database.write(({ links }) => links.removeChunk(APP, first, undefined));

    expect(first).toBe(digests[999]);
    expect(left).toEqual(digests.slice(1000));
    expect(second).toBeUndefined();
    expect(await database.read(({ links }) => links.digests(APP, undefined, 9999))).toEqual([]);
  });

  it('of content are removed a thousand at a time, and it with the last of them', async () => {
    await database.write(({ contents, links }) => {
      contents.add(A, 1);
      for (let each = 0; each < 1001; each += 1)
        links.add(`docker.io/n${each}` as CanonicalName, A, BLOB_LINK);
    });
    const remove = () =>
      database.write(({ contents }) => [contents.remove(A), contents.one(A) !== undefined]);

    expect([await remove(), await remove()]).toEqual([
      [false, true],
      [true, false],
    ]);
  });

  it('are summed up a thousand contents at a time, to the end', async () => {
    const digests = await hold(1002);
    const sumBehind = (after?: Digest) => database.read(({ links }) => links.sum(APP, after));

    const first = await sumBehind();
    const second = await sumBehind(first.last);
    const third = await sumBehind(second.last);

    expect(first).toMatchObject({ contents: 1000, bytes: 1000, last: digests[999] });
    expect(second).toMatchObject({ contents: 2, bytes: 2, last: digests[1001] });
    expect(third).toEqual({ contents: 0, bytes: 0, usedAt: 0, last: undefined });
  });

  it('say whether there are any, and under which names, whatever these begin with', async () => {
    const name = '127.0.0.1:5000/team/app' as CanonicalName;
    await database.write(({ contents }) => contents.add(A, 1));
    const before = await database.read(({ links }) => links.isLinked(A));

    await database.write(({ links }) => links.add(name, A, BLOB_LINK));

    expect(before).toBe(false);
    expect(await database.read(({ links }) => links.isLinked(A))).toBe(true);
    expect(await database.read(({ links }) => links.nameAfter(undefined))).toBe(name);
    expect(await database.read(({ links }) => links.nameAfter(name))).toBeUndefined();
  });
});

describe('tags', () => {
  it('S6: are not set under a version that has not been handed out', async () => {
    const wasSet = await database.write(({ tags }) => {
      const { version } = tags.read(APP, LATEST, VIA);
      return tags.set(APP, LATEST, VIA, HELD, version + 1);
    });

    expect(wasSet).toBe(false);
    expect(await isSet(APP, LATEST)).toBe(false);
  });

  it.each([
    [999, [true, true]],
    [1000, [false, true]],
    [1001, [false, true]],
  ])('that are void, %d of them, are removed a thousand at a time', async (count, expected) => {
    await setTags(APP, count, () => HELD);
    await setTags(OTHER, 1, () => HELD);
    const version = await database.write(({ tags }) => tags.forget(APP, undefined));
    const remove = () => database.write(({ tags }) => tags.removeVoid(APP, version));

    expect([await remove(), await remove()]).toEqual(expected);
    expect(await isSet(OTHER, tagOf(0))).toBe(true);
  });

  it('that lead to nothing held are removed from a thousand at a time, in their order', async () => {
    await database.write(({ contents }) => contents.add(A, 1));
    const isHeld = (each: number) => each % 2 === 0;
    await setTags(APP, 1003, (each) => (isHeld(each) ? HELD : UNHELD));
    const count = async () => {
      const set: boolean[] = [];
      for (let each = 0; each < 1003; each += 1) set.push(await isSet(APP, tagOf(each)));
      return set.filter(Boolean).length;
    };

    const first = await database.write(({ tags }) => tags.removeUnheld(FIRST_TAG, 6));
    const between = await count();
    const second = await database.write(({ tags }) => tags.removeUnheld(first!, 6));

    expect(first).toEqual([APP, tagOf(999), VIA]);
    expect(between).toBe(503);
    expect(second).toBeUndefined();
    expect(await count()).toBe(502);
    expect(await isSet(APP, tagOf(1002))).toBe(true);
  });

  it('that were forgotten are told a hundred at a time, the oldest first', async () => {
    await database.write(({ tags }) => {
      for (let each = 0; each < 150; each += 1) tags.forget(APP, tagOf(each));
      tags.forget(OTHER, undefined);
    });
    const told = () => database.read(({ tags }) => tags.forgottenBefore(Date.now() + 1));

    const first = await told();
    await database.write(({ tags }) => tags.dropForgotten(first));
    const second = await told();

    expect([first.length, second.length]).toEqual([100, 51]);
    expect(second.filter(({ whole }) => whole)).toMatchObject([{ name: OTHER }]);
  });

  it('S6: one that was forgotten does not come back when the memory of that goes', async () => {
    await database.write(({ tags }) => {
      for (const tag of [LATEST, STABLE])
        tags.set(APP, tag, VIA, HELD, tags.read(APP, tag, VIA).version);
      tags.forget(APP, LATEST);
      tags.dropForgotten(tags.forgottenBefore(Date.now() + 1));
    });

    expect([await isSet(APP, LATEST), await isSet(APP, STABLE)]).toEqual([false, true]);
  });
});
