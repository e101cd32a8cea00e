import { join } from 'node:path';
import { pino } from 'pino';
import { heldCache } from '../../test/support/held-cache';
import { otherwise } from '../../test/support/held-room';
import { eventually, freshFolder } from '../../test/support/lifecycle';
import { registryAt } from '../../test/support/upstream-fixture';
import { ClientLogin } from '../config/principal';
import { digestOf } from '../oci/digest';
import type { RepositoryName } from '../oci/repository-name';
import { UpstreamFaults } from '../upstream/upstream-faults';
import type { Cache } from './cache';
import { ClientRights } from './index/client-rights';
import { SqliteIndex } from './index/sqlite-index';
import { Permission } from './permission';
import { nameOf, type Source } from './source';

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

describe('rights to what is held', () => {
  const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
  const CONFIGURED = { username: 'robot', password: 'secret' };
  const closed = registryAt('https://closed.example', { credentials: [CONFIGURED] });
  const robot: Source = { ...sourceAs('configured'), registry: closed };
  const stranger: Source = { ...sourceAs('anonymous'), registry: closed };
  const elsewhere: Source = { ...robot, repository: 'team/other' as RepositoryName };
  const broken = () => Promise.reject(new Error('the disk is full'));

  async function room() {
    const { cache, log: kept, lines } = await heldCache();
    await cache.index.add(DIGEST, 7);
    const faults = new UpstreamFaults();
    const permission = new Permission(cache, faults, kept);
    const grant = (source: Source, mediaType?: string, by = permission) =>
      by.grant(source, DIGEST, mediaType, by.now(source));
    const has = async (source: Source, noun: 'blob' | 'manifest' = 'blob', by = permission) =>
      (await by.linkFor(source, DIGEST, noun)) !== undefined;
    /** The same, over an index of which some calls are done otherwise. */
    const over = (calls: Parameters<typeof otherwise<Cache['index']>>[1]) =>
      new Permission({ ...cache, index: otherwise(cache.index, calls) }, faults, kept);
    return { cache, lines, faults, permission, grant, has, over };
  }

  it('are of one name, one digest and one kind', async () => {
    const { permission, grant, has } = await room();
    expect(await has(robot)).toBe(false);

    await grant(robot);

    expect([await has(robot), await has(elsewhere), await has(robot, 'manifest')]).toEqual([
      true,
      false,
      false,
    ]);
    const other = digestOf(Buffer.from('other'));
    expect(await permission.linkFor(robot, other, 'blob')).toBeUndefined();
  });

  it('to a manifest are with the type it was served by, and are none to a blob', async () => {
    const { permission, grant, has } = await room();

    await grant(robot, IMAGE);

    expect(await permission.linkFor(robot, DIGEST, 'manifest')).toMatchObject({ mediaType: IMAGE });
    expect(await has(robot)).toBe(false);
  });

  it('of the gate’s own account are no stranger’s, and a stranger’s are everybody’s', async () => {
    const { grant, has } = await room();
    await grant(robot);
    const before = await has(stranger);

    await grant(stranger);

    expect([before, await has(stranger), await has(robot)]).toEqual([false, true, true]);
  });

  it('that were taken back while the upstream was asked are not given', async () => {
    const { permission, has } = await room();
    const asked = permission.now(robot);
    await permission.refused(robot);

    await permission.grant(robot, DIGEST, undefined, asked);

    expect([permission.stands(asked), await has(robot)]).toEqual([false, false]);
  });

  it('that are taken back while they are written are not given', async () => {
    const { cache, over, has } = await room();
    const permission: Permission = over({
      link: async (...link) => {
        await permission.deleted(link[0], DIGEST);
        await cache.index.link(...link);
      },
    });

    await permission.grant(robot, DIGEST, undefined, permission.now(robot));

    expect(await has(robot)).toBe(false);
  });

  it('go with a refusal, for those who were refused, and under that name', async () => {
    const { permission, grant, has } = await room();
    for (const source of [robot, elsewhere, stranger]) await grant(source);

    await permission.refused(robot);
    await permission.refused(stranger);

    expect([await has(robot), await has(stranger), await has(elsewhere)]).toEqual([
      false,
      false,
      true,
    ]);
  });

  it('go with what is deleted, for everybody, and under that name', async () => {
    const { permission, grant, has } = await room();
    for (const source of [robot, elsewhere, stranger]) await grant(source);
    const asked = permission.now(stranger);

    await permission.deleted(nameOf(robot), DIGEST);

    expect([await has(robot), await has(stranger), await has(elsewhere)]).toEqual([
      false,
      false,
      true,
    ]);
    expect(permission.stands(asked)).toBe(false);
  });

  it('that cannot be written are told in the log, and no failure', async () => {
    const { over, grant, has, lines } = await room();

    await grant(robot, undefined, over({ link: broken }));

    expect(await has(robot)).toBe(false);
    expect(lines.join()).toContain('the index of the cache cannot be written');
  });

  it('that cannot be read are none', async () => {
    const { over, grant, has, lines } = await room();
    await grant(robot);

    expect(await has(robot, 'blob', over({ links: broken }))).toBe(false);
    expect(await has(robot, 'blob', over({ suspended: broken }))).toBe(false);

    expect(lines.join()).toContain('the index of the cache cannot be read');
  });

  it('that are taken back while the index cannot be written are none, then and after', async () => {
    const { over, grant, has, cache, lines } = await room();
    let away = true;
    const unlink: Cache['index']['unlink'] = (...what) =>
      away ? broken() : cache.index.unlink(...what);
    const permission = over({ unlink });
    await grant(robot, undefined, permission);
    await grant(elsewhere, undefined, permission);

    await permission.deleted(nameOf(robot), DIGEST);
    const meanwhile = [robot, elsewhere].map((source) => has(source, 'blob', permission));
    expect(await Promise.all(meanwhile)).toEqual([false, true]);
    away = false;
    await has(robot, 'blob', permission);

    expect([await has(robot), await has(elsewhere)]).toEqual([false, true]);
    expect(lines.join()).toContain('cannot be written');
  });

  it('of what is deleted while the index cannot be written do not come back: the content is gone', async () => {
    const { over, cache } = await room();
    const { bytes, digest } = { bytes: Buffer.from('content'), digest: DIGEST };
    const spool = await cache.spools.create();
    await spool.append([bytes]);
    await cache.store.put(digest, spool);
    spool.release();

    const permission = over({ unlink: broken });
    await permission.refused(robot);
    const kept = await cache.store.open(digest);
    await kept?.close();
    await permission.deleted(nameOf(robot), digest);

    expect([kept?.size, await cache.store.open(digest)]).toEqual([7, undefined]);
  });

  it('are nobody’s once more was taken back than can be remembered', async () => {
    const { over, grant, has } = await room();
    const permission = over({ unlink: broken });
    await grant(robot);
    const take = (n: number) => permission.refused({ ...robot, repository: `a/${n}` as never });
    for (let n = 0; n < 1000; n += 1) await take(n);
    const before = await has(robot, 'blob', permission);

    await take(1000);

    expect([before, await has(robot, 'blob', permission)]).toEqual([true, false]);
  });

  describe('while the registry refuses the gate’s own account', () => {
    it('are those of strangers alone, until it is taken again', async () => {
      const { faults, grant, has } = await room();
      await grant(robot);
      await grant({ ...stranger, repository: elsewhere.repository });

      faults.noteRefused(closed, CONFIGURED);
      const refused = [await has(robot), await has(elsewhere)];
      faults.noteAccepted(closed, CONFIGURED);

      expect([refused, await has(robot)]).toEqual([[false, true], true]);
    });

    it('are so after a restart', async () => {
      const { faults, grant, has, over } = await room();
      await grant(robot);
      faults.noteRefused(closed, CONFIGURED);
      await has(robot);

      const restarted = over({});
      const before = await has(robot, 'blob', restarted);
      faults.noteAccepted(closed, CONFIGURED);
      await has(robot, 'blob', restarted);

      expect([before, await has(robot, 'blob', over({}))]).toEqual([false, true]);
    });

    it('of another registry are as they were', async () => {
      const { faults, grant, has } = await room();
      await grant(robot);

      faults.noteRefused(
        registryAt('https://other.example', { credentials: [CONFIGURED] }),
        CONFIGURED,
      );

      expect(await has(robot)).toBe(true);
    });

    it('are so though it cannot be written, and it is written when that can be', async () => {
      const { cache, faults, grant, has, over, lines } = await room();
      let away = true;
      const suspend: Cache['index']['suspend'] = (...what) =>
        away ? broken() : cache.index.suspend(...what);
      const permission = over({ suspend });
      await grant(robot);
      faults.noteRefused(closed, CONFIGURED);

      expect(await has(robot, 'blob', permission)).toBe(false);
      away = false;
      await has(robot, 'blob', permission);

      await eventually('it is written', async () => (await cache.index.suspended()).length === 1);
      expect(lines.join()).toContain('cannot be written');
    });

    it('are read again where they could not be', async () => {
      const { cache, grant, has, over } = await room();
      let away = true;
      const permission = over({ suspended: () => (away ? broken() : cache.index.suspended()) });
      await grant(robot);
      expect(await has(robot, 'blob', permission)).toBe(false);

      away = false;

      expect(await has(robot, 'blob', permission)).toBe(true);
    });
  });

  it('are none with CACHE=off, and nothing fails', async () => {
    const { grant, has, faults } = await room();
    const permission = new Permission(null, faults, log);

    await grant(robot, undefined, permission);
    await permission.refused(robot);
    faults.noteRefused(closed, CONFIGURED);

    expect(await has(robot, 'blob', permission)).toBe(false);
  });
});
