import { join } from 'node:path';
import { pino } from 'pino';
import { freshFolder } from '../../test/support/lifecycle';
import { registryAt } from '../../test/support/upstream-fixture';
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

it('believes a 404, but none that was on its way while the name was pushed to', async () => {
  const log = pino({ level: 'silent' });
  const dataDir = freshFolder('tags');
  const space = { share: 0.5 };
  const settings = {
    dir: join(dataDir, 'cache'),
    maxSize: space,
    minFree: space,
    tagTtl: 1,
    memory: 0,
  };
  const cache = await openCache({ cache: settings, dataDir }, log);
  try {
    const tags = new Tags(cache, log);

    const before = tags.asking(source);
    await tags.forget(nameOf(source), LATEST);
    tags.noteAbsent(source, LATEST, before);
    const late = tags.isAbsent(source, LATEST);
    tags.noteAbsent(source, LATEST, tags.asking(source));

    expect([late, tags.isAbsent(source, LATEST)]).toEqual([false, true]);
  } finally {
    await cache?.close();
  }
});
