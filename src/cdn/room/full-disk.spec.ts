import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { otherwise } from '../../../test/support/held-room';
import { atTheEnd, freshFolder } from '../../../test/support/lifecycle';
import { DiskStore } from '../store/disk-store';
import { codeOfFull, probe } from './full-disk';

describe('an error', () => {
  it.each<[string, unknown, string | undefined]>([
    ['of a full disk', { code: 'ENOSPC' }, 'ENOSPC'],
    ['of a quota', { code: 'EDQUOT' }, 'EDQUOT'],
    ['of an index without room', { errcode: 13 }, 'SQLITE_FULL'],
    ['of an index without room, in detail', { errcode: 13 + (3 << 8) }, 'SQLITE_FULL'],
    ['of an index that is away', { errcode: 14 }, undefined],
    ['of an index, told in text', { errcode: '13' }, undefined],
    ['of a medium', { code: 'EIO' }, undefined],
    ['that is none', undefined, undefined],
    ['that is null', null, undefined],
    ['that is a text', 'ENOSPC', undefined],
  ])('%s: of want of room is %p', (_what, error, code) => {
    expect(codeOfFull(error)).toBe(code);
  });
});

describe('a probe', () => {
  async function room() {
    const folder = freshFolder('probe');
    const store = await DiskStore.open(folder);
    atTheEnd(() => store.close());
    return { store, left: () => readdirSync(join(folder, 'spool')) };
  }

  it('writes some bytes, makes them last, and leaves nothing', async () => {
    const { store, left } = await room();
    let [written, synced] = [0, 0];
    const create = async () => {
      const spool = await store.create();
      const sync = () => {
        [written, synced] = [spool.size, synced + 1];
        return spool.sync();
      };
      return otherwise(spool, { sync });
    };

    await probe({ create });

    expect([written >= 4096, synced, left()]).toEqual([true, 1, []]);
  });

  it.each(['append', 'sync'] as const)('that cannot %s fails, and leaves nothing', async (call) => {
    const { store, left } = await room();
    const full = () => Promise.reject(new Error('full'));
    const released: boolean[] = [];
    const create = async () => {
      const spool = await store.create();
      const release = () => {
        released.push(true);
        spool.release();
      };
      return otherwise(spool, { [call]: full, release });
    };

    await expect(probe({ create })).rejects.toThrow('full');

    expect([left(), released]).toEqual([[], [true]]);
  });
});
