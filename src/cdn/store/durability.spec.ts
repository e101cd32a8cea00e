import { readdirSync, readlinkSync, statSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { freshFolder } from '../../../test/support/lifecycle';
import { DiskStore } from './disk-store';
import { makeFolder, syncFolder, Turns } from './durability';

describe('Turns', () => {
  it('lets only so many run at once, in the order in which they came', async () => {
    const turns = new Turns(2);
    const order: number[] = [];
    let [running, most] = [0, 0];
    const work = (number: number) => async () => {
      order.push(number);
      most = Math.max(most, ++running);
      await new Promise(setImmediate);
      running--;
      return number;
    };

    const numbers = Array.from({ length: 20 }, (_, number) => number);
    const results = await Promise.all(numbers.map((number) => turns.run(work(number))));

    expect(results).toEqual(numbers);
    expect(order).toEqual(numbers);
    expect(most).toBe(2);
  });

  it('hands the turn on when work fails', async () => {
    const turns = new Turns(1);
    const failing = turns.run(() => Promise.reject(new Error('no')));
    const next = turns.run(() => Promise.resolve('done'));

    await expect(failing).rejects.toThrow('no');
    expect(await next).toBe('done');
    expect(await turns.run(() => Promise.resolve('again'))).toBe('again');
  });
});

describe('makeFolder', () => {
  it('makes what is missing above it too, for the gate alone', async () => {
    const folder = freshFolder('folders');

    await makeFolder(join(folder, 'a/b/c'));
    await makeFolder(join(folder, 'a/b/c'));

    for (const path of ['a', 'a/b', 'a/b/c']) {
      expect(statSync(join(folder, path)).mode & 0o777).toBe(0o700);
    }
  });
});

describe('what is made or moved', () => {
  /** The paths of what was made to last, in order, while the work was done. */
  async function synced(work: () => Promise<unknown>): Promise<string[]> {
    const file = await open('/');
    const handles = Object.getPrototypeOf(file) as FileHandle;
    await file.close();
    const paths: string[] = [];
    const sync = jest.spyOn(handles, 'sync').mockImplementation(function (this: FileHandle) {
      paths.push(readlinkSync(`/proc/self/fd/${this.fd}`));
      return Promise.resolve();
    });
    try {
      await work();
      return paths;
    } finally {
      sync.mockRestore();
    }
  }

  it('lasts: each folder that holds a new one is synced, and no other', async () => {
    const folder = freshFolder('folders');
    const path = join(folder, 'a/b/c');

    expect(await synced(() => makeFolder(path))).toEqual([
      join(folder, 'a/b'),
      join(folder, 'a'),
      folder,
    ]);
    expect(await synced(() => makeFolder(path))).toEqual([]);
    expect(await synced(() => makeFolder(join(path, 'd')))).toEqual([path]);
  });

  it('lasts in a store that is taken: an earlier gate may have ended before that was sure', async () => {
    const folder = freshFolder('folders');

    const paths = await synced(async () => {
      const store = await DiskStore.open(folder);
      await store.close();
    });

    expect(paths).toEqual(
      ['blobs/sha256', 'blobs/sha512', 'blobs', ''].map((name) =>
        join(folder, name).replace(/\/$/, ''),
      ),
    );
  });

  it('leaves no folder open', async () => {
    const folder = freshFolder('folders');

    await syncFolder(folder);

    const paths = readdirSync('/proc/self/fd').flatMap((fd) => linkOf(`/proc/self/fd/${fd}`));
    expect(paths).not.toContain(folder);
  });
});

/** Where it leads; nowhere where it is gone already. */
function linkOf(path: string): string[] {
  try {
    return [readlinkSync(path)];
  } catch {
    return [];
  }
}

describe('syncFolder', () => {
  it('says so when there is none', async () => {
    await expect(syncFolder('/nonexistent')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
