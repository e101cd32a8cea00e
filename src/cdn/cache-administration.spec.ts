import { randomBytes } from 'node:crypto';
import { readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import { atTheEnd, freshFolder } from '../../test/support/lifecycle';
import { digestOf, type Digest } from '../oci/digest';
import type { Tag } from '../oci/reference';
import type { CanonicalName } from '../oci/repository-name';
import { CacheAdministration, type AdministeredCache } from './cache-administration';
import { CacheCounters } from './cache-counters';
import { DiskStore } from './store/disk-store';
import type { Via } from './source';
import { SqliteIndex } from './index/sqlite-index';
import { Verification } from './store/verification';

const VIA = 'anonymous.0123456789abcdef' as Via;
const NGINX = 'docker.io/library/nginx' as CanonicalName;
const APP = '127.0.0.1:5000/team/app' as CanonicalName;
const LATEST = 'latest' as Tag;

/** A real store and a real index, with what an operator does to them. */
async function open(settings: Partial<AdministeredCache['settings']> = {}) {
  const log = pino({ level: 'silent' });
  const folder = freshFolder('administration');
  const store = await DiskStore.open(join(folder, 'cache'));
  const index = await SqliteIndex.open(join(folder, 'index.sqlite'), log);
  atTheEnd(async () => {
    await index.close();
    await store.close();
  });
  const cache = {
    settings: { maxSize: { bytes: 1000 }, minFree: { share: 0.5 }, ...settings },
    store,
    index,
    capacity: { mayHold: () => true, fault: undefined, evicted: 7 },
    downloads: { all: [], mismatches: 3 },
    verification: new Verification(store, index, log),
  };
  const administration = new CacheAdministration(cache, new CacheCounters());
  /** Holds random bytes, linked to these names. */
  const hold = async (bytes: number, ...names: CanonicalName[]): Promise<Digest> => {
    const content = randomBytes(bytes);
    const digest = digestOf(content);
    const spool = await store.create();
    await spool.append([content]);
    await store.put(digest, spool);
    spool.release();
    await index.add(digest, bytes);
    for (const name of names) await index.link(name, digest, { via: VIA, mediaType: undefined });
    return digest;
  };
  /** Knows the name's tag. */
  const tag = async (name: CanonicalName, digest: Digest) => {
    const { version } = await index.tag(name, LATEST, VIA);
    const record = { digest, mediaType: 'a/b', size: 100, checkedAt: Date.now() };
    await index.setTag(name, LATEST, VIA, record, version);
  };
  const isTagged = async (name: CanonicalName) =>
    (await index.tag(name, LATEST, VIA)).record !== undefined;
  return { administration, store, index, hold, tag, isTagged, folder, cache };
}

describe('the administration of the cache', () => {
  it('shows what is held, the limits in bytes, and what was counted', async () => {
    const { administration, hold, store } = await open();
    await hold(100, NGINX);
    const { total } = await store.free();

    const overview = await administration.overview();

    expect(overview).toMatchObject({
      storing: true,
      fault: undefined,
      held: { contents: 1, bytes: 100 },
      limits: { maxSize: 1000, minFree: Math.floor(total / 2), maxAge: undefined },
      mismatches: 3,
      damaged: 0,
      evicted: 7,
      fetches: [],
    });
    expect(overview.counts.requests).toBe(0);
  });

  it('shows what it can while the index cannot be read, and says so', async () => {
    const { administration, cache } = await open({ maxSize: { share: 0.9 } });
    cache.index.totals = () => Promise.reject(new Error('database is locked'));

    const overview = await administration.overview();

    expect([overview.held, overview.limits.maxSize]).toEqual([undefined, undefined]);
    expect(overview.fault).toBe('the index of the cache cannot be read; the log says why');
    expect(overview.free).toBeGreaterThan(0);
  });

  it('shows a share of the disk in bytes: of what is free and what is held, and of all of it', async () => {
    const { administration, hold, cache } = await open({ maxSize: { share: 0.9 }, maxAge: 5 });
    await hold(100, NGINX);
    cache.store.free = () => Promise.resolve({ free: 901, total: 5001 });

    const { limits, free } = await administration.overview();

    expect([limits, free]).toEqual([{ maxSize: 900, minFree: 2500, maxAge: 5 }, 901]);
  });

  it('shows what it can while the disk does not say how much is free', async () => {
    const { administration, hold, cache } = await open({ maxSize: { share: 0.9 } });
    await hold(100, NGINX);
    cache.store.free = () => Promise.reject(new Error('EIO'));

    const { limits, free, held, fault } = await administration.overview();

    expect([limits, free]).toEqual([
      { maxSize: undefined, minFree: undefined, maxAge: undefined },
      undefined,
    ]);
    expect([held, fault]).toEqual([{ contents: 1, bytes: 100 }, undefined]);
  });

  it('shows why nothing is stored, before that the index cannot be read', async () => {
    const { administration, cache } = await open({ minFree: { bytes: 7 } });
    Object.assign(cache, { capacity: { mayHold: () => false, fault: 'it is full', evicted: 0 } });
    cache.index.totals = () => Promise.reject(new Error('database is locked'));

    const { storing, fault, limits } = await administration.overview();

    expect([storing, fault, limits.minFree]).toEqual([false, 'it is full', 7]);
  });

  it('takes out everything, files without an entry and entries without a file among them', async () => {
    const { administration, hold, tag, isTagged, index, store, folder } = await open();
    for (let n = 0; n < 300; n += 1) await hold(10, NGINX);
    const shared = await hold(10, NGINX, APP);
    const alone = await hold(10);
    await tag(APP, shared);
    await index.remove(alone);
    await index.add(`sha256:${'e'.repeat(64)}` as Digest, 5);
    const open1 = await store.open(shared);

    expect(await administration.clear()).toEqual({ contents: 302, bytes: 3020 });

    expect(await index.totals()).toEqual({ contents: 0, bytes: 0 });
    expect(await index.repositories(undefined, 10)).toEqual([]);
    expect(await store.list(undefined, 10)).toEqual([]);
    expect(await isTagged(APP)).toBe(false);
    expect(await open1?.read(Buffer.alloc(100))).toBe(10);
    await open1?.close();
    expect(readdirSync(join(folder, 'cache', 'spool'))).toEqual([]);
    expect(await administration.clear()).toEqual({ contents: 0, bytes: 0 });
  });

  it('lets others work while it takes out much', async () => {
    const { administration, hold } = await open();
    for (let n = 0; n < 600; n += 1) await hold(1, NGINX);
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 1);

    await administration.clear();
    clearInterval(ticking);

    expect(turns).toBeGreaterThan(2);
  });

  it('takes a repository out, and leaves other people what they share with it', async () => {
    const { administration, hold, tag, isTagged, index, store } = await open();
    const own = await hold(100, NGINX);
    const shared = await hold(10, NGINX, APP);
    const other = await hold(1, APP);
    await tag(NGINX, own);
    await tag(APP, shared);

    expect(await administration.removeRepository(NGINX)).toEqual({ contents: 1, bytes: 100 });

    expect(await index.linked(NGINX, undefined, 10)).toEqual([]);
    expect([await isTagged(NGINX), await isTagged(APP)]).toEqual([false, true]);
    expect((await index.linked(APP, undefined, 10)).length).toBe(2);
    const held = (await store.list(undefined, 10)).map(({ digest }) => digest);
    expect(held.sort()).toEqual([shared, other].sort());
    expect(await administration.removeRepository(NGINX)).toBeUndefined();
  });

  it('forgets the tags of a repository of which nothing is held', async () => {
    const { administration, tag, isTagged } = await open();
    await tag(APP, `sha256:${'e'.repeat(64)}` as Digest);

    expect(await administration.removeRepository(APP)).toBeUndefined();
    expect(await isTagged(APP)).toBe(false);
  });

  it('takes one content out, under all its names', async () => {
    const { administration, hold, index, store } = await open();
    const digest = await hold(10, NGINX, APP);

    expect(await administration.removeContent(digest)).toBe(true);

    expect(await index.isLinked(digest)).toBe(false);
    expect(await store.open(digest)).toBeUndefined();
    expect(await administration.removeContent(digest)).toBe(false);
  });

  it('serves nothing by an entry whose file could not be removed', async () => {
    const { administration, hold, index, cache } = await open();
    const digest = await hold(10, NGINX);
    cache.store.delete = () => Promise.reject(new Error('EROFS'));

    await expect(administration.removeContent(digest)).rejects.toThrow('EROFS');

    expect(await index.content(digest)).toBeUndefined();
  });

  it('hashes all anew, tells how far it is, and removes what is damaged', async () => {
    const { administration, hold, folder, store } = await open();
    const sound = await hold(1000, NGINX);
    const damaged = await hold(1000, NGINX);
    const other = await hold(2000, NGINX);
    const place = (digest: Digest) => {
      const hex = digest.slice(7);
      return join(folder, 'cache/blobs/sha256', hex.slice(0, 2), hex);
    };
    renameSync(place(other), place(damaged));
    const seen: number[] = [];

    await administration.verifyAll(new AbortController().signal, ({ contents }) =>
      seen.push(contents),
    );

    expect(seen.at(-1)).toBe(3);
    const held = (await store.list(undefined, 10)).map(({ digest }) => digest);
    expect(held).toEqual([sound]);
    expect((await administration.overview()).damaged).toBe(1);
  });
});
