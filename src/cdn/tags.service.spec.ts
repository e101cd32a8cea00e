import { join } from 'node:path';
import { pino } from 'pino';
import { atTheEnd, freshFolder } from '../../test/support/lifecycle';
import { registryAt } from '../../test/support/upstream-fixture';
import type { Digest } from '../oci/digest';
import type { Tag } from '../oci/reference';
import type { RepositoryName } from '../oci/repository-name';
import { openCache } from './cache';
import { nameOf, type Source } from './source';
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
