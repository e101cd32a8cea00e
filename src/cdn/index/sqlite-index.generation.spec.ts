/** Whoever remembers what the index said knows by its generation for how long that holds. */
import { join } from 'node:path';
import { pino } from 'pino';
import { digestFor } from '../../../test/contracts/content-index.contract';
import { atTheEnd, freshFolder } from '../../../test/support/lifecycle';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import type { Via } from '../source';
import { ClientRights } from './client-rights';
import type { ContentIndex, TagRecord } from './content-index';
import { SqliteIndex } from './sqlite-index';
import { IndexDatabase } from './sqlite-index.database';
import { UnusableIndex } from './sqlite-index.schema';

const [A, B] = [digestFor('a'), digestFor('b')];
const APP = 'docker.io/library/app' as CanonicalName;
const VIA = 'anonymous.0123456789abcdef' as Via;
const CLIENT = 'client.0123456789abcdef' as Via;
const LATEST = 'latest' as Tag;
const RECORD: TagRecord = { digest: A, mediaType: 'text/plain', size: 1, checkedAt: 5 };
const LINK = { via: VIA, mediaType: undefined };

async function room() {
  const folder = freshFolder('generation');
  const file = join(folder, 'index.sqlite');
  const sqlite = await SqliteIndex.open(file, pino({ level: 'silent' }));
  const index = new ClientRights(sqlite);
  atTheEnd(() => index.close().catch(() => undefined));
  await index.add(A, 7);
  await index.link(APP, A, LINK);
  const { version } = await index.tag(APP, LATEST, VIA);
  await index.setTag(APP, LATEST, VIA, RECORD, version);
  return { sqlite, index };
}

function alone() {
  const file = join(freshFolder('generation'), 'index.sqlite');
  const database = new IndexDatabase(file, pino({ level: 'silent' }));
  atTheEnd(() => database.close());
  return { database };
}

describe('the generation of an index', () => {
  it.each<[string, (index: ContentIndex) => Promise<unknown>]>([
    ['content', (index) => index.content(A)],
    ['content that is not there', (index) => index.content(B)],
    ['all content', (index) => index.list(undefined, 10)],
    ['links', (index) => index.links(APP, A)],
    ['what is linked', (index) => index.linked(APP, undefined, 10)],
    ['whether it is', (index) => index.isLinked(A)],
    ['repositories', (index) => index.repositories(undefined, 10)],
    ['a tag', (index) => index.tag(APP, LATEST, VIA)],
    ['a tag that is not there', (index) => index.tag(APP, 'other' as Tag, VIA)],
    ['who is suspended', (index) => index.suspended()],
    ['what is coldest', (index) => index.coldest(10)],
    ['totals', (index) => index.totals()],
    [
      'more than it remembers',
      async (index) => {
        for (let n = 0; n < 20_001; n += 1) await index.tag(APP, `t${n}` as Tag, VIA);
      },
    ],
  ])('stays while it is read: %s', async (_, read) => {
    const { index, sqlite } = await room();
    const before = [index.generation, sqlite.generation];

    await read(index);

    expect([index.generation, sqlite.generation]).toEqual(before);
    expect(before[0]).toBe(before[1]);
  });

  it.each<[string, (index: ContentIndex) => Promise<unknown>]>([
    ['content', (index) => index.add(B, 7)],
    ['content that is known', (index) => index.add(A, 7)],
    ['that content is gone', (index) => index.remove(A)],
    ['a link', (index) => index.link(APP, A, { ...LINK, mediaType: 'a/b' })],
    ['that a link is gone', (index) => index.unlink(APP, { digest: A })],
    ['that those of a reader are', (index) => index.unlink(APP, { via: VIA })],
    ['that all of a name are', (index) => index.unlink(APP)],
    ['a tag', (index) => index.setTag(APP, LATEST, VIA, { ...RECORD, digest: B }, 1)],
    ['that a tag was forgotten', (index) => index.forgetTag(APP, LATEST)],
    ['that all of a name were', (index) => index.forgetTag(APP)],
    ['that a tag is no more', (index) => index.dropTag(APP, LATEST, VIA)],
    ['that a registry refuses the gate', (index) => index.suspend('reg.example', true)],
  ])('is another one from the very call that writes: %s', async (_, write) => {
    const { index } = await room();
    const before = index.generation;

    const writing = write(index);
    const meanwhile = index.generation;
    await writing;

    expect(meanwhile).toBeGreaterThan(before!);
  });

  it('is another one when uses are written', async () => {
    const { index } = await room();
    const before = index.generation;

    index.touch(A);
    const atOnce = index.generation;
    await index.coldest(1);

    expect(atOnce).toBe(before);
    expect(index.generation).toBeGreaterThan(before!);
  });

  it('is another one after a write that failed: some of it may have been read', async () => {
    const { database } = alone();
    await database.read(() => undefined);
    const before = database.generation;

    const writing = database.write(() => {
      throw new Error('on second thoughts');
    });

    await expect(writing).rejects.toThrow('on second thoughts');
    expect(database.generation).toBeGreaterThan(before);
  });

  it('is another one once the file is, and once it is closed', async () => {
    const { database } = alone();
    const before = database.generation;
    let damaged = true;

    await database.read(() => {
      if (!damaged) return;
      damaged = false;
      throw new UnusableIndex('a page is not what it was');
    });
    const anew = database.generation;
    await database.close();

    expect(anew).toBeGreaterThan(before);
    expect(database.generation).toBeGreaterThan(anew);
  });

  it('says nothing of what clients were told by logins of their own', async () => {
    const { index } = await room();
    const before = index.generation;

    await index.link(APP, A, { via: CLIENT, mediaType: 'a/b' });
    await index.unlink(APP, { via: CLIENT });

    expect(index.generation).toBe(before);
  });
});
