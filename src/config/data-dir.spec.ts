import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkDataDir, lockDataDir, prepareDataDir } from './data-dir';
import type { Settings } from './settings';

const NOBODY = 65_534;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tidegate-data-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs as somebody who does not own the folder, where the spec runs as root, to whom everything is writable. */
function asNobody<T>(run: () => T): T {
  if (process.geteuid?.() !== 0) return run();
  process.seteuid?.(NOBODY);
  try {
    return run();
  } finally {
    process.seteuid?.(0);
  }
}

describe('prepareDataDir', () => {
  it('makes a folder for the gate alone, and leaves nothing in it', () => {
    const dataDir = join(folder, 'a/b');

    prepareDataDir({ dataDir });

    expect(statSync(dataDir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  it('leaves a folder that is there as it is', () => {
    writeFileSync(join(folder, 'htpasswd'), '');
    chmodSync(folder, 0o755);

    prepareDataDir({ dataDir: folder });

    expect(statSync(folder).mode & 0o777).toBe(0o755);
    expect(readdirSync(folder)).toEqual(['htpasswd']);
  });

  it('says who, which folder and what to type when it is not writable', () => {
    const dataDir = join(folder, 'data');
    mkdirSync(dataDir);
    chmodSync(dataDir, 0o555);
    chmodSync(folder, 0o555);
    const uid = process.geteuid?.() === 0 ? NOBODY : process.geteuid?.();
    const prepare = (): void => asNobody(() => prepareDataDir({ dataDir }));

    expect(prepare).toThrow(`DATA_DIR=${dataDir} is not writable (EACCES)`);
    expect(prepare).toThrow(`runs as uid ${uid}`);
    expect(prepare).toThrow(`chown -R ${uid} ${dataDir}`);
    expect(prepare).toThrow('or set DATA_DIR');
    chmodSync(folder, 0o755);
  });

  it('says so when a file is in the way', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');

    expect(() => prepareDataDir({ dataDir: file })).toThrow('a file where a folder should be');
    expect(() => prepareDataDir({ dataDir: join(file, 'data') })).toThrow(
      'a file where a folder should be',
    );
  });
});

describe("the cache's folder", () => {
  it('is made for the gate alone, and nothing is left in it', () => {
    const dir = join(folder, 'data/cache');

    prepareDataDir({ dataDir: join(folder, 'data'), cache: { dir } });

    expect(statSync(dir).mode & 0o777).toBe(0o700);
    expect(readdirSync(dir)).toEqual([]);
  });

  it.each([
    ['made', prepareDataDir],
    ['foretold', checkDataDir],
  ])('is named when a file is in its way, as it is %s', (_when, run) => {
    const dir = join(folder, 'file');
    writeFileSync(dir, '');

    expect(() => run({ dataDir: folder, cache: { dir: join(dir, 'cache') } })).toThrow(
      /^CACHE_DIR=.* is not writable \(ENOTDIR\): there is a file where a folder should be; set CACHE_DIR/,
    );
  });

  it('says who, which folder and what to type when it is not writable', () => {
    const dir = join(folder, 'cache');
    mkdirSync(dir);
    chmodSync(dir, 0o555);
    const dataDir = mkdtempSync(join(folder, 'data-'));
    chmodSync(dataDir, 0o777);
    chmodSync(folder, 0o755);

    expect(() => asNobody(() => prepareDataDir({ dataDir, cache: { dir } }))).toThrow(
      new RegExp(
        `^CACHE_DIR=${dir} is not writable \\(EACCES\\).*chown -R .* ${dir} .*set CACHE_DIR`,
      ),
    );
  });
});

describe('checkDataDir', () => {
  it('takes a folder that can be made or written, and makes nothing', () => {
    checkDataDir({ dataDir: folder });
    checkDataDir({ dataDir: join(folder, 'a/b') });

    expect(readdirSync(folder)).toEqual([]);
  });

  it('refuses what prepareDataDir will refuse, in the same words', () => {
    const file = join(folder, 'file');
    writeFileSync(file, '');

    for (const dataDir of [join(file, 'data'), join(file, 'a/b')]) {
      expect(() => checkDataDir({ dataDir })).toThrow(
        `DATA_DIR=${dataDir} is not writable (ENOTDIR): there is a file where a folder should be`,
      );
    }
  });
});

describe('lockDataDir', () => {
  const settings = (authMode: Settings['authMode'] = 'accounts') => ({
    dataDir: folder,
    drainTimeout: 0,
    drainDelay: 0,
    authMode,
  });
  function listener() {
    const messages: string[] = [];
    return { messages, info: (message: string) => messages.push(message) };
  }

  it('takes a free folder without a word', async () => {
    const log = listener();

    const lock = await lockDataDir(settings(), log);

    expect(log.messages).toEqual([]);
    lock.release();
  });

  it('waits for a gate that ends, and says so once', async () => {
    const first = await lockDataDir(settings(), listener());
    const log = listener();
    const second = lockDataDir({ ...settings(), drainTimeout: 30_000 }, log);
    expect(log.messages).toEqual([`another gate uses ${folder}; waiting up to 40 s for it to end`]);

    first.release();

    (await second).release();
    expect(log.messages).toHaveLength(1);
  });

  it('gives up when the other gate stays, and names folder and remedy', async () => {
    const first = await lockDataDir(settings(), listener());

    const refused = lockDataDir(settings(), listener(), 50);

    await expect(refused).rejects.toThrow(
      `DATA_DIR=${folder} is still used by another gate; stop that one, or set DATA_DIR`,
    );
    first.release();
  });

  it('says what several replicas need, where accounts keep it to one', async () => {
    const first = await lockDataDir(settings(), listener());

    await expect(lockDataDir(settings(), listener(), 50)).rejects.toThrow(
      /several gates .* need AUTH_MODE=relay, passthrough or open, the same TOKEN_SECRET, and a folder each$/,
    );
    await expect(lockDataDir(settings('relay'), listener(), 50)).rejects.toThrow(
      /to a folder of this one's own$/,
    );
    first.release();
  });
});
