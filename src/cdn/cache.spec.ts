import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { atTheEnd, eventually, freshFolder } from '../../test/support/lifecycle';
import { contentOf } from '../../test/support/content-room';
import { openCache, type Cache } from './cache';

const log = pino({ level: 'silent' });

function settingsIn(dataDir: string, maxAge?: number) {
  const [maxSize, minFree] = [{ bytes: 1_000_000 }, { bytes: 1 }];
  const age = maxAge === undefined ? {} : { maxAge };
  const cache = { dir: join(dataDir, 'cache'), maxSize, minFree, tagTtl: 0, memory: 0, ...age };
  return { cache, dataDir };
}

async function opened(dataDir: string, maxAge?: number): Promise<Cache> {
  const cache = await openCache(settingsIn(dataDir, maxAge), log);
  if (!cache) throw new Error('there is no cache');
  return cache;
}

/** A file that is held, of which the index does not know. */
async function put({ spools, store }: Cache, { bytes, digest }: ReturnType<typeof contentOf>) {
  const spool = await spools.create();
  await spool.append([bytes]);
  await store.put(digest, spool);
  spool.release();
}

it('is none with CACHE=off', async () => {
  expect(await openCache({ cache: undefined, dataDir: '/nonexistent' }, log)).toBeNull();
});

it('finds by itself what the index lost, once it is opened', async () => {
  const folder = freshFolder('cache');
  const content = contentOf(1000);
  const first = await opened(folder);
  await put(first, content);
  await first.close();

  const cache = await opened(folder);
  atTheEnd(() => cache.close());

  const found = await eventually('it is found', () => cache.index.content(content.digest));
  expect(found.size).toBe(1000);
});

it('looks after what is too old, from its opening on', async () => {
  const folder = freshFolder('cache');
  const content = contentOf(1000);
  const first = await opened(folder);
  await put(first, content);
  await first.index.add(content.digest, 1000);
  await first.close();

  const cache = await opened(folder, 1);
  atTheEnd(() => cache.close());

  await eventually('it is evicted', async () => {
    return (await cache.index.content(content.digest)) === undefined;
  });
  expect(cache.capacity.evicted).toBe(1);
});

it('is for one gate at a time, until it is closed', async () => {
  const folder = freshFolder('cache');
  const first = await opened(folder);

  await expect(opened(folder)).rejects.toThrow('used by another gate');
  await first.close();

  const second = await opened(folder);
  await second.close();
});

it('in a folder that is none is told by its name', async () => {
  const folder = freshFolder('cache');
  writeFileSync(join(folder, 'cache'), 'a file');

  await expect(opened(folder)).rejects.toThrow(`CACHE_DIR=${join(folder, 'cache')} cannot be used`);
});

it('gives nothing up that is written when it is closed', async () => {
  const folder = freshFolder('cache');
  const [one, two] = [contentOf(10), contentOf(10)];
  const first = await opened(folder);
  for (const content of [one, two]) {
    await put(first, content);
    await first.index.add(content.digest, 10);
  }
  await new Promise((resolve) => setTimeout(resolve, 5));
  first.index.touch(one.digest);
  await first.close();

  const cache = await opened(folder);
  atTheEnd(() => cache.close());

  const coldest = await cache.index.coldest(2);
  expect(coldest.map(({ digest }) => digest)).toEqual([two.digest, one.digest]);
});
