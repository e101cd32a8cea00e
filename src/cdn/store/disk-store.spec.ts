import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import {
  describeContentStore,
  drained,
  put,
  sample,
  spooled,
} from '../../../test/contracts/content-store.contract';
import { otherwise } from '../../../test/support/held-room';
import { freshFolder } from '../../../test/support/lifecycle';
import type { Digest } from '../../oci/digest';
import { DiskStore } from './disk-store';
import type { Spool } from './spool';

const NOBODY = 65_534;

describeContentStore('DiskStore', async () => {
  const store = await DiskStore.open(freshFolder('store'));
  return { store, spools: store, close: () => store.close() };
});

describe('DiskStore', () => {
  let folder: string;
  let store: DiskStore;
  beforeEach(async () => {
    folder = join(freshFolder('store'), 'cache');
    store = await DiskStore.open(folder);
  });
  afterEach(() => store.close());

  const made = () => ({ store, spools: store });
  const spool = () => join(folder, 'spool');
  function placeOf(digest: Digest): string {
    const [algorithm, hex] = digest.split(':') as [string, string];
    return join(folder, 'blobs', algorithm, hex.slice(0, 2), hex);
  }
  const modeOf = (path: string) => (statSync(path).mode & 0o777).toString(8);

  it('keeps content under its digest, for the gate alone', async () => {
    const content = sample(1000);

    await put(made(), content);

    const place = placeOf(content.digest);
    expect(readFileSync(place).equals(content.bytes)).toBe(true);
    expect(modeOf(place)).toBe('600');
    for (let path = dirname(place); path !== dirname(folder); path = dirname(path)) {
      expect(modeOf(path)).toBe('700');
    }
    expect(modeOf(spool())).toBe('700');
    expect(modeOf(join(folder, 'cache.lock'))).toBe('600');
    expect(readdirSync(spool())).toEqual([]);
  });

  it('keeps what is on its way in for the gate alone, under names that nobody can foresee', async () => {
    const spools = [await store.create(), await store.create()];

    const names = readdirSync(spool());
    expect(new Set(names).size).toBe(2);
    for (const name of names) {
      expect(name).toMatch(/^[0-9a-f]{32}$/);
      expect(modeOf(join(spool(), name))).toBe('600');
    }
    for (const made of spools) {
      await made.discard();
      made.release();
    }
    expect(readdirSync(spool())).toEqual([]);
  });

  it('makes no path of anything but a digest', async () => {
    const text = 'sha256:../../../../etc/passwd' as Digest;

    await expect(store.open(text)).rejects.toThrow('not a digest');
    await expect(store.delete(text)).rejects.toThrow('not a digest');
    const half = await spooled(store, Buffer.from('x'));
    await expect(store.put(text, half)).rejects.toThrow('not a digest');
    half.release();
    expect(readdirSync(spool())).toEqual([]);
  });

  it('replaces what is held by what was just verified', async () => {
    const content = sample(1000);
    await put(made(), content);
    writeFileSync(placeOf(content.digest), Buffer.alloc(1000));

    await put(made(), content);

    expect((await drained(await store.open(content.digest))).equals(content.bytes)).toBe(true);
  });

  it('gives other bytes another stamp', async () => {
    const content = sample(1000);
    await put(made(), content);
    const before = await store.open(content.digest);
    await before?.close();

    writeFileSync(placeOf(content.digest), Buffer.alloc(999));

    const after = await store.open(content.digest);
    await after?.close();
    expect(after?.stamp).not.toBe(before?.stamp);
  });

  it('ends a read where a file was cut meanwhile', async () => {
    const content = sample(1000);
    await put(made(), content);
    const opened = await store.open(content.digest);

    writeFileSync(placeOf(content.digest), content.bytes.subarray(0, 10));

    expect(opened?.size).toBe(1000);
    expect(await drained(opened)).toHaveLength(10);
  });

  it.each<[string, (place: string) => unknown]>([
    ['a folder', (place) => mkdirSync(place)],
    ['a link to another file', (place) => symlinkSync('/etc/passwd', place)],
    ['a link to nowhere', (place) => symlinkSync('/nonexistent', place)],
    ['a pipe', (place) => execFileSync('sh', ['-c', 'mkfifo "$0"', place])],
  ])('does not take %s for content', async (_, plant) => {
    const { digest } = sample(10);
    mkdirSync(dirname(placeOf(digest)), { recursive: true });
    plant(placeOf(digest));

    expect(await store.open(digest)).toBeUndefined();
    expect(await store.list(undefined, 10)).toEqual([]);
    expect(await store.delete(digest)).toBe(false);
  });

  it('does not list what nobody put there', async () => {
    const content = sample(10);
    await put(made(), content);
    const place = placeOf(content.digest);
    const root = dirname(dirname(place));
    const elsewhere = join(root, place.endsWith('00') ? 'ff' : '00');
    mkdirSync(elsewhere, { recursive: true });
    mkdirSync(join(root, 'lost+found'));
    writeFileSync(join(root, 'aa.txt'), '');
    writeFileSync(join(dirname(place), 'README'), '');
    writeFileSync(join(dirname(place), content.digest.slice(7).toUpperCase()), '');
    writeFileSync(join(elsewhere, content.digest.slice(7)), '');

    expect(await store.list(undefined, 10)).toEqual([{ digest: content.digest, size: 10 }]);
  });

  it('shows content only once its bytes last', async () => {
    const { digest, bytes } = sample(1000);
    const half = await spooled(store, bytes);
    let heldBefore: boolean | undefined;
    const watched = otherwise<Spool>(half, {
      async sync() {
        heldBefore = existsSync(placeOf(digest));
        await half.sync();
      },
    });

    await store.put(digest, watched);

    expect(heldBefore).toBe(false);
    expect(existsSync(placeOf(digest))).toBe(true);
    half.release();
  });

  it.each(['ENOSPC', 'EDQUOT', 'EIO'])(
    'holds nothing whose bytes do not last: %s',
    async (code) => {
      const { digest, bytes } = sample(1000);
      const half = await spooled(store, bytes);
      const sync = () => Promise.reject(Object.assign(new Error(`${code}: fdatasync`), { code }));

      await expect(store.put(digest, otherwise<Spool>(half, { sync }))).rejects.toMatchObject({
        code,
      });

      expect(await store.open(digest)).toBeUndefined();
      expect(readdirSync(spool())).toEqual([]);
      half.release();
    },
  );

  it('leaves nothing behind when it cannot put', async () => {
    const content = sample(1000);
    mkdirSync(placeOf(content.digest), { recursive: true });

    await expect(put(made(), content)).rejects.toMatchObject({ code: 'EISDIR' });

    expect(readdirSync(spool())).toEqual([]);
  });

  it('goes on when the cache was emptied by hand', async () => {
    const [first, second] = [sample(10), sample(10)];
    await put(made(), first);
    rmSync(join(folder, 'blobs'), { recursive: true });
    rmSync(spool(), { recursive: true });

    expect(await store.open(first.digest)).toBeUndefined();
    expect(await store.list(undefined, 10)).toEqual([]);
    await put(made(), first);
    await put(made(), second);

    expect((await drained(await store.open(first.digest))).equals(first.bytes)).toBe(true);
    expect(await store.list(undefined, 10)).toHaveLength(2);
    expect(modeOf(spool())).toBe('700');
  });

  it('holds after it was opened anew what was put before', async () => {
    const content = sample(1000);
    await put(made(), content);
    await store.close();

    store = await DiskStore.open(folder);

    expect((await drained(await store.open(content.digest))).equals(content.bytes)).toBe(true);
  });

  it('removes what was left half-written, and only that', async () => {
    const left = await spooled(store, Buffer.from('half'));
    left.release();
    const others = ['mail', `${'a'.repeat(31)}`, 'b'.repeat(32)];
    writeFileSync(join(spool(), others[0]!), 'x');
    writeFileSync(join(spool(), others[1]!), 'x');
    mkdirSync(join(spool(), others[2]!));
    await store.close();

    store = await DiskStore.open(folder);

    expect(readdirSync(spool()).sort()).toEqual([...others].sort());
  });

  it('has the folder for itself until it is closed', async () => {
    const content = await spooled(store, Buffer.from('half'));

    const refused = DiskStore.open(folder);

    await expect(refused).rejects.toThrow(
      `CACHE_DIR=${folder} is used by another gate; stop that one, or set CACHE_DIR`,
    );
    // What the other one writes is not swept.
    expect(existsSync(content.path)).toBe(true);
    await content.discard();
    content.release();
    await store.close();
    store = await DiskStore.open(folder);
  });
});

describe('a CACHE_DIR', () => {
  it('that is a file is named, with the remedy', async () => {
    const file = join(freshFolder('store'), 'file');
    writeFileSync(file, '');

    await expect(DiskStore.open(file)).rejects.toThrow(/CACHE_DIR=.*ENOTDIR.*or set CACHE_DIR/);
  });

  it('that holds folders of somebody else is named, with who runs and what to type', async () => {
    const folder = freshFolder('store');
    const store = await DiskStore.open(folder);
    await store.close();
    const uid = process.geteuid?.() === 0 ? NOBODY : process.geteuid?.();
    if (uid === NOBODY) chownSync(folder, NOBODY, NOBODY);
    chmodSync(join(folder, 'blobs'), 0o500);

    const opening =
      uid === NOBODY ? asNobody(() => DiskStore.open(folder)) : DiskStore.open(folder);

    const { message } = await opening.then(
      () => new Error('opened'),
      (error: Error) => error,
    );
    expect(message).toContain(`CACHE_DIR=${folder} cannot be used`);
    expect(message).toContain('EACCES');
    expect(message).toContain(`runs as uid ${uid}`);
    expect(message).toContain(`type: chown -R ${uid} ${folder}, or set CACHE_DIR`);
    chmodSync(join(folder, 'blobs'), 0o700);
  });
});

/** Root may write everywhere. What happens before the first wait happens as nobody. */
function asNobody<T>(run: () => T): T {
  process.seteuid?.(NOBODY);
  try {
    return run();
  } finally {
    process.seteuid?.(0);
  }
}
