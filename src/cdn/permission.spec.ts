import { join } from 'node:path';
import { pino } from 'pino';
import { freshFolder } from '../../test/support/lifecycle';
import { registryAt } from '../../test/support/upstream-fixture';
import { ClientLogin } from '../config/principal';
import { digestOf } from '../oci/digest';
import type { RepositoryName } from '../oci/repository-name';
import { UpstreamFaults } from '../upstream/upstream-faults';
import type { Cache } from './cache';
import { ClientRights } from './index/client-rights';
import { SqliteIndex } from './index/sqlite-index';
import { Permission } from './permission';
import type { Source } from './source';

const DIGEST = digestOf(Buffer.from('content'));
const log = pino({ level: 'silent' });
const registry = registryAt('https://reg.example');

function sourceAs(as: Source['as']): Source {
  return { registry, repository: 'team/app' as RepositoryName, as };
}

const nobody = sourceAs('anonymous');
const ann = sourceAs(new ClientLogin('reg.example', 'Bearer of-ann'));
const liar = sourceAs(new ClientLogin('reg.example', 'Bearer made-up'));
const showsNothing = sourceAs(new ClientLogin('reg.example', undefined));

describe('a login of a client’s own that is refused', () => {
  let index: ClientRights;
  let permission: Permission;

  beforeEach(async () => {
    const file = join(freshFolder('permission'), 'index.sqlite');
    index = new ClientRights(await SqliteIndex.open(file, log));
    await index.add(DIGEST, 7);
    permission = new Permission({ index } as unknown as Cache, new UpstreamFaults(), log);
  });

  afterEach(() => index.close());

  it.each([
    ['one that was taken', ann],
    ['none at all, where the registry gave without', showsNothing],
  ])('loses what it was allowed: %s', async (_what, source) => {
    await permission.grant(source, DIGEST, undefined, permission.now(source));
    const before = await permission.linkFor(source, DIGEST, 'blob');

    await permission.refused(source);

    expect(before).toBeDefined();
    expect(await permission.linkFor(source, DIGEST, 'blob')).toBeUndefined();
  });

  it('has what is given to nobody in particular, though it shows nothing itself', async () => {
    await permission.grant(nobody, DIGEST, undefined, permission.now(nobody));

    expect(await permission.linkFor(showsNothing, DIGEST, 'blob')).toBeDefined();
  });

  it.each([
    ['one that is made up', liar],
    ['one that shows nothing', showsNothing],
  ])('takes nothing from others, nor from what they are being told: %s', async (_what, source) => {
    await permission.grant(nobody, DIGEST, undefined, permission.now(nobody));
    await permission.grant(ann, DIGEST, undefined, permission.now(ann));
    const asked = permission.now(ann);

    await permission.refused(source);

    expect(permission.stands(asked)).toBe(true);
    expect(await permission.linkFor(ann, DIGEST, 'blob')).toBeDefined();
    expect(await permission.linkFor(nobody, DIGEST, 'blob')).toBeDefined();
  });
});
