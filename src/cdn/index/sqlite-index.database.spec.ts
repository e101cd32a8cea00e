/** When the index's file is waited for, opened again or made anew, and what is left beside it. */
import fs, {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import timers, { setImmediate as turn } from 'node:timers/promises';
import { digestFor } from '../../../test/contracts/content-index.contract';
import { atTheEnd, freshFolder } from '../../../test/support/lifecycle';
import { createLog } from '../../journal/log';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import type { Via } from '../source';
import { IndexDatabase, type Tables } from './sqlite-index.database';
import { UnusableIndex } from './sqlite-index.schema';

const A = digestFor('a');
const APP = 'docker.io/library/app' as CanonicalName;
const VIA = 'anonymous.0123456789abcdef' as Via;
const LATEST = 'latest' as Tag;
const RECORD = { digest: A, mediaType: 'text/plain', size: 1, checkedAt: 5 };

const FULL = 13;
const BUSY = 5;
const READONLY = 8;
const READONLY_DIRECTORY = READONLY | (6 << 8);
const CANTOPEN = 14;

function room(within = '') {
  const folder = freshFolder('index-database');
  const file = join(folder, within, 'index.sqlite');
  const told: Record<string, unknown>[] = [];
  const write = (line: string) => void told.push(JSON.parse(line) as Record<string, unknown>);
  const log = createLog({ logLevel: 'debug' }, { write });
  const database = new IndexDatabase(file, log);
  atTheEnd(() => database.close());
  const aside = () =>
    readdirSync(folder)
      .filter((entry) => entry.includes('.damaged-'))
      .map((entry) => join(folder, entry));
  return { folder, file, told, log, database, aside };
}

const itself = (tables: Tables) => tables;

/** Work that finds damage the first time. */
function damagedOnce<T>(work: (tables: Tables) => T): (tables: Tables) => T {
  let found = false;
  return (tables) => {
    if (found) return work(tables);
    found = true;
    throw new UnusableIndex('a page is not what it was');
  };
}

function failing(errcode: number | undefined) {
  return () => {
    throw Object.assign(new Error('SQLite says no'), { errcode });
  };
}

afterEach(() => jest.restoreAllMocks());

describe('a file that another connection writes to', () => {
  it('is waited for', async () => {
    const { file, database } = room();
    await database.read(itself);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    let pauses = 0;
    jest.spyOn(timers, 'setTimeout').mockImplementation(async () => {
      pauses += 1;
      if (pauses === 3) other.exec('COMMIT');
      await turn();
      return undefined as never;
    });

    await database.write(({ contents }) => contents.add(A, 1));
    other.close();

    expect(pauses).toBe(3);
    expect(await database.read(({ contents }) => contents.one(A))).toMatchObject({ size: 1 });
  });

  it('is not waited for without end', async () => {
    const { file, database, aside } = room();
    await database.read(itself);
    const other = new DatabaseSync(file);
    other.exec('BEGIN IMMEDIATE');
    const pause = jest
      .spyOn(timers, 'setTimeout')
      .mockImplementation(() => turn() as unknown as Promise<never>);

    const write = database.write(({ contents }) => contents.add(A, 1));

    await expect(write).rejects.toMatchObject({ errcode: BUSY });
    other.close();
    expect(pause).toHaveBeenCalledTimes(399);
    expect(aside()).toEqual([]);
    expect(await database.write(({ contents }) => contents.add(A, 1))).toBe(true);
  });
});

describe('a file that cannot be opened', () => {
  it('is tried again after a second, and not with each call', async () => {
    const { folder, database } = room('missing');
    const now = jest.spyOn(performance, 'now').mockReturnValue(50_000);
    await expect(database.read(itself)).rejects.toMatchObject({ code: 'ENOENT' });
    mkdirSync(join(folder, 'missing'));

    await expect(database.read(itself)).rejects.toThrow('the index of the cache is not open');
    now.mockReturnValue(50_999);
    await expect(database.read(itself)).rejects.toThrow('the index of the cache is not open');
    now.mockReturnValue(51_000);

    expect(await database.read(({ contents }) => contents.totals())).toEqual({
      contents: 0,
      bytes: 0,
    });
  });
});

describe('a connection', () => {
  it.each([
    ['is opened anew', 'that can only read', READONLY, 1001, true],
    ['is opened anew', 'whose folder is read-only', READONLY_DIRECTORY, 1001, true],
    ['is opened anew', 'whose files cannot be opened', CANTOPEN, 1001, true],
    ['stays', 'that was opened just now', READONLY, 1000, false],
    ['stays', 'that was opened just now', CANTOPEN, 1000, false],
    ['stays', 'to a full disk', FULL, 1001, false],
    ['stays', 'whose fault is not SQLite’s', undefined, 1001, false],
  ])('%s: one %s (%s) after %d ms', async (_does, _what, errcode, age, anew) => {
    const { database, aside } = room();
    const now = jest.spyOn(performance, 'now').mockReturnValue(50_000);
    const before = await database.read(itself);
    now.mockReturnValue(50_000 + age);

    await expect(database.read(failing(errcode))).rejects.toThrow('SQLite says no');

    expect((await database.read(itself)) !== before).toBe(anew);
    expect(aside()).toEqual([]);
  });
});

describe('a file that is damaged', () => {
  it('is kept under the time it was found at, and said to be', async () => {
    const { file, database, told, aside } = room();
    await database.write(({ contents }) => contents.add(A, 1));

    const totals = await database.read(damagedOnce(({ contents }) => contents.totals()));

    const [kept] = aside();
    expect(totals).toEqual({ contents: 0, bytes: 0 });
    expect(kept?.slice(file.length)).toMatch(/^\.damaged-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z$/);
    expect(told).toMatchObject([{ file, kept, err: { message: 'a page is not what it was' } }]);
  });

  it('is made anew once for one call, however damaged the new one seems', async () => {
    const { database, told, aside } = room();
    const damaged = () => {
      throw new UnusableIndex('there is always something');
    };

    await expect(database.read(damaged)).rejects.toThrow('there is always something');

    expect(told).toHaveLength(1);
    expect(aside()).toHaveLength(1);
  });

  it('leaves nothing of its log to the new one, even while others have it open', async () => {
    const { file, database } = room();
    await database.write(({ contents }) => contents.add(A, 1));
    const other = new DatabaseSync(file, { readOnly: true });
    other.prepare('SELECT * FROM content').all();
    const files = () => ['', '-wal', '-shm'].map((suffix) => statSync(file + suffix).ino);
    const before = files();

    const held = await database.read(damagedOnce(({ contents }) => contents.one(A)));
    const after = files();
    other.close();

    expect(held).toBeUndefined();
    for (const [at, inode] of after.entries()) expect(inode).not.toBe(before[at]);
    expect(await database.write(({ contents }) => contents.add(A, 2))).toBe(true);
  });

  it('is not kept open', async () => {
    const { file, database, aside } = room();
    writeFileSync(file, '');
    const foreign = new DatabaseSync(file);
    foreign.exec('PRAGMA user_version = 99');
    foreign.close();

    await database.read(itself);

    const [kept] = aside();
    expect(kept).toBeDefined();
    expect(openFiles()).not.toContain(kept);
  });

  it.each([
    ['of a version to come, and without tables', 'PRAGMA user_version = 99'],
    ['another program’s', 'CREATE TABLE notes (text)'],
    ['an index that lacks a table', 'PRAGMA user_version = 1; CREATE TABLE content (digest)'],
  ])('is known by its tables and its version: %s', async (_what, sql) => {
    const { file, database, told, aside } = room();
    const foreign = new DatabaseSync(file);
    foreign.exec(sql);
    foreign.close();

    await database.write(({ contents }) => contents.add(A, 1));

    expect(aside()).toHaveLength(1);
    expect(told).toMatchObject([
      { err: { message: 'not an index of version 1, or not a whole one' } },
    ]);
  });

  it.each([
    [
      'has lost its state',
      'DELETE FROM state',
      ({ contents }: Tables) => contents.totals(),
      'the index has lost its totals',
    ],
    [
      'has lost its state',
      'DELETE FROM state',
      ({ tags }: Tables) => tags.read(APP, LATEST, VIA).record,
      'the index has lost its versions',
    ],
    [
      'names what is no digest',
      "INSERT INTO content VALUES ('../../etc/passwd', 1, 1)",
      ({ contents }: Tables) => contents.list(undefined, 10),
      'the index names a digest that is none',
    ],
  ])('is known when it is read: one that %s', async (_what, sql, work, why) => {
    const { file, database, told, aside } = room();
    await database.read(itself);
    const other = new DatabaseSync(file);
    other.exec(sql);
    other.close();

    await database.read<unknown>(work);

    expect(aside()).toHaveLength(1);
    expect(told).toMatchObject([{ err: { message: why } }]);
  });

  it.each([
    ['its clock goes on', 0],
    ['its clock was set back', 3_600_000],
  ])('S6: takes no version with it that is handed out again: %s', async (_how, back) => {
    const { database } = room();
    const clock = Date.now();
    const read = await database.write(({ tags }) => {
      for (let n = 0; n < 3; n += 1) tags.forget(APP, LATEST);
      return tags.read(APP, LATEST, VIA);
    });
    jest.spyOn(Date, 'now').mockReturnValue(clock - back);

    const anew = await database.read(damagedOnce(({ tags }) => tags.read(APP, LATEST, VIA)));
    const wasSet = await database.write(({ tags }) => {
      tags.forget(APP, LATEST);
      return tags.set(APP, LATEST, VIA, RECORD, read.version);
    });

    expect(read.version).toBeGreaterThanOrEqual(clock * 1024);
    expect(anew.version).toBeGreaterThan(read.version);
    expect(wasSet).toBe(false);
  });
});

describe('who may read the file', () => {
  it('S30: is the gate alone, of the log too that a crash left open to others', async () => {
    const [crashed, { file, database }] = [room(), room()];
    await crashed.database.write(({ contents }) => contents.add(A, 1));
    const suffixes = ['', '-wal', '-shm'];
    for (const suffix of suffixes) {
      copyFileSync(crashed.file + suffix, file + suffix);
      chmodSync(file + suffix, 0o644);
    }

    const held = await database.read(({ contents }) => contents.one(A));

    expect(held).toMatchObject({ size: 1 });
    expect(suffixes.map((suffix) => statSync(file + suffix).mode & 0o777)).toEqual([
      0o600, 0o600, 0o600,
    ]);
  });

  it.each([
    ['on a disk that is read-only is SQLite’s to read', 'EROFS', true],
    ['that belongs to somebody else is not trusted', 'EPERM', false],
  ])('S30: a file %s', async (_what, code, opens) => {
    const { file, database } = room();
    writeFileSync(file, '');
    jest.spyOn(fs, 'chmodSync').mockImplementation(() => {
      throw Object.assign(new Error('no mode for it'), { code });
    });

    const totals = database.read(({ contents }) => contents.totals());

    if (opens) expect(await totals).toEqual({ contents: 0, bytes: 0 });
    else await expect(totals).rejects.toMatchObject({ code });
  });
});

it('each text of SQL is prepared once', async () => {
  const { database } = room();
  const prepared = jest.spyOn(DatabaseSync.prototype, 'prepare');
  await database.read(({ contents }) => contents.one(A));
  const before = prepared.mock.calls.length;

  await database.read(({ contents }) => contents.one(A));

  expect(before).toBeGreaterThan(0);
  expect(prepared).toHaveBeenCalledTimes(before);
});

/** The paths of the files that this process has open. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((descriptor) => {
    try {
      return [readlinkSync(`/proc/self/fd/${descriptor}`)];
    } catch {
      return [];
    }
  });
}
