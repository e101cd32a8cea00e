import { join } from 'node:path';
import { pino } from 'pino';
import { atTheEnd, eventually, freshFolder } from '../../test/support/lifecycle';
import { registryAt } from '../../test/support/upstream-fixture';
import type { Digest } from '../oci/digest';
import type { Tag } from '../oci/reference';
import type { RepositoryName } from '../oci/repository-name';
import { heldCache } from '../../test/support/held-cache';
import { otherwise } from '../../test/support/held-room';
import { openCache, type Cache } from './cache';
import { nameOf, viaOf, type Source } from './source';
import { Tags } from './tags.service';

const LATEST = 'latest' as Tag;
const source: Source = {
  registry: registryAt('http://registry.example'),
  repository: 'team/app' as RepositoryName,
  as: 'anonymous',
};

async function room(tagTtl: number) {
  const log = pino({ level: 'silent' });
  const dataDir = freshFolder('tags');
  const space = { share: 0.5 };
  const settings = {
    dir: join(dataDir, 'cache'),
    maxSize: space,
    minFree: space,
    tagTtl,
    memory: 0,
  };
  const cache = await openCache({ cache: settings, dataDir }, log);
  atTheEnd(() => cache?.close());
  return new Tags(cache, log);
}

it('believes a 404, but none that was on its way while the name was pushed to', async () => {
  const tags = await room(1);

  const before = tags.asking(source);
  await tags.forget(nameOf(source), LATEST);
  tags.noteAbsent(source, LATEST, before);
  const late = tags.isAbsent(source, LATEST);
  tags.noteAbsent(source, LATEST, tags.asking(source));

  expect([late, tags.isAbsent(source, LATEST)]).toEqual([false, true]);
});

it('believes a 404 for ten seconds', async () => {
  const now = jest.spyOn(performance, 'now').mockReturnValue(1_000_000);
  const tags = await room(1);
  tags.noteAbsent(source, LATEST, tags.asking(source));

  now.mockReturnValue(1_009_999);
  const before = tags.isAbsent(source, LATEST);
  now.mockReturnValue(1_010_001);

  expect(before).toBe(true);
  // The memory of 404s looks at its clock once a millisecond.
  await eventually('it is asked again', () => !tags.isAbsent(source, LATEST));
  now.mockRestore();
});

it.each([
  [60_000, undefined, true],
  [60_000, 0, false],
  [0, 60_000, true],
  [0, undefined, false],
])(
  'with %d ms, and %p ms at the registry, a tag just seen is fresh: %p',
  async (all, own, fresh) => {
    const tags = await room(all);
    const at: Source = {
      ...source,
      registry: registryAt('http://registry.example', { tagTtl: own }),
    };
    const digest = `sha256:${'a'.repeat(64)}` as Digest;
    const { version } = await tags.known(at, LATEST);

    await tags.remember(at, LATEST, { digest, mediaType: 'a/b', size: 1 }, version);

    expect(await tags.known(at, LATEST)).toMatchObject({ record: { digest }, fresh });
  },
);

describe('what is known of a tag', () => {
  const digest = `sha256:${'a'.repeat(64)}` as Digest;
  const seen = { digest, mediaType: 'a/b', size: 1 };
  const at: Source = {
    ...source,
    registry: registryAt('http://registry.example', { tagTtl: 60_000 }),
  };
  const elsewhere: Source = { ...at, repository: 'team/other' as RepositoryName };
  const broken = () => Promise.reject(new Error('the disk is full'));

  async function known() {
    const { cache, log, lines } = await heldCache();
    const tags = new Tags(cache, log);
    const see = async (by = tags, where = at, tag = LATEST) =>
      by.remember(where, tag, seen, (await by.known(where, tag)).version);
    const knows = async (by = tags, where = at, tag = LATEST) =>
      (await by.known(where, tag)).record?.digest === digest;
    const over = (calls: Parameters<typeof otherwise<Cache['index']>>[1]) =>
      new Tags({ ...cache, index: otherwise(cache.index, calls) }, log);
    return { cache, tags, see, knows, over, lines };
  }

  it('is forgotten with what was pushed, for everybody, under that name', async () => {
    const { tags, see, knows } = await known();
    const other = 'other' as Tag;
    for (const where of [at, elsewhere]) await see(tags, where);
    await see(tags, at, other);

    await tags.forget(nameOf(at), LATEST);
    const after = [await knows(), await knows(tags, at, other), await knows(tags, elsewhere)];
    await tags.forget(nameOf(at));

    expect(after).toEqual([false, true, true]);
    expect([await knows(tags, at, other), await knows(tags, elsewhere)]).toEqual([false, true]);
  });

  it('is nothing that was asked for before a push', async () => {
    const { tags, knows } = await known();
    const { version } = await tags.known(at, LATEST);
    await tags.forget(nameOf(at), LATEST);

    await tags.remember(at, LATEST, seen, version);

    expect(await knows()).toBe(false);
  });

  it('is dropped for those to whom the registry said that it is no more', async () => {
    const { tags, see, knows } = await known();
    await see();

    await tags.drop(at, LATEST);

    expect(await knows()).toBe(false);
  });

  it('is asked again when it comes from the future: that is the clock’s fault', async () => {
    const { cache, tags } = await known();
    const record = { ...seen, checkedAt: Date.now() + 3_600_000 };
    const { version } = await tags.known(at, LATEST);
    await cache.index.setTag(nameOf(at), LATEST, viaOf(at), record, version);

    expect(await tags.known(at, LATEST)).toMatchObject({ record, fresh: false });
  });

  it('is nothing while the index cannot be read, and no failure', async () => {
    const { see, knows, over, lines } = await known();
    await see();

    expect(await knows(over({ tag: broken }))).toBe(false);
    expect(lines.join()).toContain('the index of the cache cannot be read');
    expect(lines.join()).toContain('the disk is full');
  });

  it('is not remembered where the index cannot be written, and no failure', async () => {
    const { tags, knows, over, see, lines } = await known();

    await see(over({ setTag: broken }));
    await over({ dropTag: broken }).drop(at, LATEST);
    await tags.remember(at, LATEST, seen, -1);

    expect(await knows()).toBe(false);
    expect(lines.filter((line) => line.includes('cannot be written'))).toHaveLength(2);
    expect(lines.filter((line) => line.includes('the disk is full'))).toHaveLength(2);
  });

  it('is nothing after a push that the index could not be told of, until it could', async () => {
    const { cache, see, knows, over } = await known();
    let away = true;
    let told = 0;
    const forgetTag: Cache['index']['forgetTag'] = (...what) => {
      if (away) return broken();
      told += 1;
      return cache.index.forgetTag(...what);
    };
    const tags = over({ forgetTag });
    for (const where of [at, elsewhere]) await see(tags, where);

    await tags.forget(nameOf(at), LATEST);
    expect([await knows(tags), await knows(tags, elsewhere)]).toEqual([false, true]);
    away = false;

    expect([await knows(tags), await knows(tags), told]).toEqual([false, false, 1]);
    await see(tags);
    expect(await knows(tags)).toBe(true);
  });

  it('is a 404 of these credentials alone, for that name, until something is pushed', async () => {
    const { tags } = await known();
    const closed = registryAt('http://registry.example', {
      credentials: [{ username: 'robot', password: 'secret' }],
    });
    const robot: Source = { ...at, registry: closed, as: 'configured' };
    const absent = () => [at, robot, elsewhere].map((where) => tags.isAbsent(where, LATEST));
    for (const where of [at, elsewhere]) tags.noteAbsent(where, LATEST, tags.asking(where));
    expect(absent()).toEqual([true, false, true]);
    expect(tags.isAbsent(at, 'other' as Tag)).toBe(false);

    await tags.forget(nameOf(at), 'other' as Tag);

    expect(absent()).toEqual([false, false, true]);
  });

  it('is nothing with CACHE=off', async () => {
    const { lines } = await known();
    const { log } = await heldCache();
    const tags = new Tags(null, log);
    tags.noteAbsent(at, LATEST, tags.asking(at));
    await tags.remember(at, LATEST, seen, 0);
    await tags.forget(nameOf(at));
    await tags.drop(at, LATEST);

    expect(await tags.known(at, LATEST)).toEqual({ record: undefined, version: -1, fresh: false });
    expect([tags.isAbsent(at, LATEST), lines]).toEqual([false, []]);
  });
});
