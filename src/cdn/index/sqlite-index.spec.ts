import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describeContentIndex, digestFor } from '../../../test/contracts/content-index.contract';
import { eventually, freshFolder } from '../../../test/support/lifecycle';
import { describeUnless } from '../../../test/support/means';
import { noSmallDisk, SmallDisk } from '../../../test/support/small-disk';
import { createLog } from '../../journal/log';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import { Checkpoints } from './checkpoints';
import type { TagRecord } from './content-index';
import type { Via } from '../source';
import { SqliteIndex } from './sqlite-index';
import { IndexDatabase } from './sqlite-index.database';
import { TagSweep } from './tag-sweep';

const A = digestFor('a');
const APP = 'docker.io/library/app' as CanonicalName;
const VIA = 'anonymous.0123456789abcdef' as Via;
const LATEST = 'latest' as Tag;
const RECORD: TagRecord = { digest: A, mediaType: 'text/plain', size: 1, checkedAt: 5 };
const HOUR = 3_600_000;
const MIB = 1024 * 1024;

const folder = freshFolder('index');
let made = 0;

function freshFile(): string {
  return join(folder, `index-${(made += 1)}.sqlite`);
}

function logInto(lines: string[]) {
  return createLog({ logLevel: 'debug' }, { write: (line) => void lines.push(line) });
}

async function open(file: string, lines: string[] = []): Promise<SqliteIndex> {
  return SqliteIndex.open(file, logInto(lines));
}

function damagedBeside(file: string): string[] {
  return readdirSync(folder)
    .map((entry) => join(folder, entry))
    .filter((path) => path.startsWith(`${file}.damaged-`));
}

describeContentIndex('SqliteIndex', async () => {
  const index = await open(freshFile());
  return { index, close: () => index.close() };
});

describe('SqliteIndex', () => {
  it('remembers everything over a restart', async () => {
    const file = freshFile();
    const before = await open(file);
    await before.add(A, 3);
    await before.link(APP, A, { via: VIA, mediaType: undefined });
    const { version } = await before.tag(APP, LATEST, VIA);
    await before.setTag(APP, LATEST, VIA, RECORD, version);
    const usedAt = (await before.content(A))!.usedAt;
    await eventually('the clock ticks', () => Date.now() > usedAt);
    before.touch(A);
    await before.close();

    const after = await open(file);

    expect((await after.content(A))?.usedAt).toBeGreaterThan(usedAt);
    expect(await after.links(APP, A)).toHaveLength(1);
    expect((await after.tag(APP, LATEST, VIA)).record).toEqual(RECORD);
    expect(await after.totals()).toEqual({ contents: 1, bytes: 3 });
    await after.close();
    expect(existsSync(`${file}-wal`)).toBe(false);
  });

  it('S6: hands out versions that a restart does not hand out again', async () => {
    const file = freshFile();
    const before = await open(file);
    const { version } = await before.tag(APP, LATEST, VIA);
    await before.forgetTag(APP);
    await before.close();

    const after = await open(file);

    expect(await after.setTag(APP, LATEST, VIA, RECORD, version)).toBe(false);
    await after.close();
  });

  it('S30: is readable for the gate alone, whatever it was before', async () => {
    const file = freshFile();
    const first = await open(file);
    await first.add(A, 1);
    const modes = ['', '-wal', '-shm'].map((suffix) => statSync(file + suffix).mode & 0o777);
    await first.close();
    chmodSync(file, 0o644);
    const second = await open(file);
    await second.close();

    expect(modes).toEqual([0o600, 0o600, 0o600]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it('writes uses by itself, without being asked what is coldest', async () => {
    const index = await open(freshFile());
    await index.add(A, 1);
    const usedAt = (await index.content(A))!.usedAt;
    await eventually('the clock ticks', () => Date.now() > usedAt);

    index.touch(A);

    const written = async () => (await index.content(A))!.usedAt > usedAt;
    expect(await eventually('it is written', written)).toBe(true);
    await index.close();
  });

  it('rejects once it is closed, and may be closed again', async () => {
    const index = await open(freshFile());
    await index.close();
    index.touch(A);

    await expect(index.content(A)).rejects.toThrow('closed');
    await index.close();
  });

  it('lets others have their turn while it takes back the rights of a large repository', async () => {
    const index = await open(freshFile());
    const digests = Array.from({ length: 5000 }, (_, each) => digestFor(`${each}`));
    for (const digest of digests) await index.add(digest, 1);
    for (const digest of digests) await index.link(APP, digest, { via: VIA, mediaType: undefined });
    let turns = 0;
    const count = () => {
      turns += 1;
      next = setImmediate(count);
    };
    let next = setImmediate(count);

    await index.unlink(APP);
    clearImmediate(next);

    expect(turns).toBeGreaterThanOrEqual(4);
    await index.close();
  });
});

describe('an index that is damaged', () => {
  it.each([
    ['no database', (file: string) => writeFileSync(file, 'x'.repeat(10_000))],
    ['cut off', (file: string) => truncateSync(file, 5000)],
    ['of a version to come', (file: string) => setVersion(file, 99)],
    ['somebody else’s', (file: string) => exec(file, 'DROP TABLE tag; CREATE TABLE tags (a)')],
    ['without its state', (file: string) => exec(file, 'DELETE FROM state')],
    [
      'with a digest that is a path',
      (file: string) => exec(file, "UPDATE content SET digest = '../../etc/passwd'"),
    ],
  ])('because it is %s is moved aside and made anew', async (_, damage) => {
    const file = freshFile();
    const before = await open(file);
    await before.add(A, 1);
    await before.close();
    damage(file);
    const lines: string[] = [];

    const index = await open(file, lines);
    const found = [
      ...(await index.list(undefined, 10)),
      (await index.tag(APP, LATEST, VIA)).record,
    ];
    await index.add(A, 2);

    expect(found).toEqual([undefined]);
    expect(await index.totals()).toEqual({ contents: 1, bytes: 2 });
    expect(damagedBeside(file)).toHaveLength(1);
    expect(lines.join('')).toContain('was made anew');
    await index.close();
  });

  it('while it runs is found out, moved aside, and goes on empty', async () => {
    const file = freshFile();
    const lines: string[] = [];
    const before = await open(file);
    for (let each = 0; each < 3000; each += 1) await before.add(digestFor(`${each}`), 1);
    await before.close();
    const index = await open(file, lines);
    const read = await index.tag(APP, LATEST, VIA);
    // Everything behind the first page: the tables themselves.
    const bytes = readFileSync(file);
    bytes.fill(0xa5, 4096);
    writeFileSync(file, bytes);

    const list = await index.list(undefined, 5000);
    await index.add(A, 2);

    expect(list).toEqual([]);
    expect(await index.totals()).toEqual({ contents: 1, bytes: 2 });
    expect(damagedBeside(file)).toHaveLength(1);
    expect(lines.filter((line) => line.includes('was made anew'))).toHaveLength(1);
    // What was forgotten meanwhile is forgotten with the old one.
    expect(await index.setTag(APP, LATEST, VIA, RECORD, read.version)).toBe(false);
    await index.close();
  });

  it('a second time leaves only the newest aside', async () => {
    const file = freshFile();
    writeFileSync(file, 'first'.repeat(1000));
    await (await open(file)).close();
    const [first] = damagedBeside(file);
    await eventually('the clock ticks', () => !first?.includes(new Date().toISOString().slice(17)));
    writeFileSync(file, 'second'.repeat(1000));

    await (await open(file)).close();

    const [second, ...more] = damagedBeside(file);
    expect(more).toEqual([]);
    expect(readFileSync(second!, 'utf8')).toMatch(/^second/);
  });

  it('F1: that cannot be opened lets the gate start, rejects, and works once it can be', async () => {
    const inside = join(folder, 'not-there-yet');
    const lines: string[] = [];
    const index = await open(join(inside, 'index.sqlite'), lines);
    const early = index.totals();
    await expect(early).rejects.toThrow();

    mkdirSync(inside);

    await eventually('it is opened', () => index.totals().catch(() => undefined));
    await index.add(A, 1);
    expect(await index.totals()).toEqual({ contents: 1, bytes: 1 });
    expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      {
        file: join(inside, 'index.sqlite'),
        err: { code: 'ENOENT' },
        msg: expect.stringContaining('cannot be opened') as string,
      },
    ]);
    await index.close();
  });
});

describeUnless(noSmallDisk(), 'an index on a disk (as root, on a tmpfs)', () => {
  it('F19: that is full rejects what would write, reads on, and works again once there is room', async () => {
    const disk = new SmallDisk(4 * MIB);
    const index = await open(join(disk.folder, 'index.sqlite'));
    await index.add(A, 1);
    await index.link(APP, A, { via: VIA, mediaType: undefined });
    disk.fill();
    // What is left of the last page of the log may take the first of them.
    const refused = await eventually('it is refused', async () => {
      const added = index.add(digestFor(`${(made += 1)}`), 1);
      return added.then(() => undefined).catch((error: unknown) => error);
    });
    index.touch(A);

    expect(refused).toMatchObject({ code: 'ERR_SQLITE_ERROR', errcode: 13 });
    expect(await index.links(APP, A)).toHaveLength(1);
    expect((await index.coldest(10)).length).toBeGreaterThan(0);

    disk.clear();
    await index.remove(A);
    expect(await index.content(A)).toBeUndefined();
    await index.close();
  });

  it('F19: that is full from the start opens by itself once there is room', async () => {
    const disk = new SmallDisk(4 * MIB);
    const file = join(disk.folder, 'index.sqlite');
    const before = await open(file);
    await before.add(A, 1);
    await before.close();
    disk.fill();
    const lines: string[] = [];

    const index = await open(file, lines);
    await expect(index.content(A)).rejects.toThrow();
    disk.clear();

    expect(
      await eventually('it reads', () => index.content(A).catch(() => undefined)),
    ).toBeDefined();
    expect(lines.join('')).toContain('free some room');
    expect(damagedBeside(file)).toEqual([]);
    await index.close();
  });

  it.each(['ended', 'was killed'])(
    'that is read-only when another gate %s is not written, and is written again once it can be',
    async (how) => {
      const [disk, original] = [new SmallDisk(4 * MIB), freshFile()];
      const file = join(disk.folder, 'index.sqlite');
      const before = await open(original);
      await before.add(A, 1);
      if (how === 'ended') await before.close();
      for (const suffix of ['', '-wal', '-shm'])
        if (existsSync(original + suffix)) copyFileSync(original + suffix, file + suffix);
      await before.close();
      remount(disk, 'ro');
      const index = await open(file);

      await expect(index.add(A, 2)).rejects.toThrow();
      remount(disk, 'rw');

      const write = () =>
        index.add(A, 3).then(
          () => index.content(A),
          () => undefined,
        );
      expect(await eventually('it is written', write)).toMatchObject({ size: 3 });
      expect(damagedBeside(file)).toEqual([]);
      await index.close();
    },
  );
});

describe('checkpoints', () => {
  it('bring what was written into the file by themselves, and end with the index', async () => {
    const file = freshFile();
    const lines: string[] = [];
    const index = await open(file, lines);

    for (let each = 0; each < 3000; each += 1) await index.add(digestFor(`${each}`), 1);

    const size = await eventually('it is in the file', () => {
      const { size } = statSync(file);
      return size > 100_000 && size;
    });
    await index.close();
    expect(size).toBeGreaterThan(100_000);
    expect(existsSync(`${file}-wal`)).toBe(false);
    expect(lines).toEqual([]);
  });

  it('keep no process alive', async () => {
    const file = freshFile();
    const index = await open(file);
    const alive = () =>
      process.getActiveResourcesInfo().filter((resource) => resource === 'MessagePort').length;
    const before = alive();

    for (let each = 0; each < 3000; each += 1) await index.add(digestFor(`${each}`), 1);
    await eventually('a checkpoint was made', () => statSync(file).size > 100_000);

    expect(alive()).toBe(before);
    await index.close();
  });

  it('that fail are said once, tried again, and do no harm', async () => {
    const file = freshFile();
    const lines: string[] = [];
    const checkpoints = new Checkpoints(file, logInto(lines), 10);
    checkpoints.noteWrite();
    await eventually('it has failed', () => lines.length > 0);

    exec(file, 'CREATE TABLE a (b)');
    checkpoints.noteWrite();
    await checkpoints.close();

    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('tried again');
  });
});

describe('clearing away old tags', () => {
  it('keeps what was forgotten void, drops what leads to nothing held, and keeps the rest', async () => {
    const database = new IndexDatabase(freshFile(), logInto([]));
    const sweep = new TagSweep(database, logInto([]));
    const now = Date.now();
    const held = 'held' as Tag;
    const young = 'young' as Tag;
    const [early, later] = await database.write(({ contents, tags }) => {
      contents.add(A, 1);
      const set = (tag: Tag, record: TagRecord) =>
        tags.set(APP, tag, VIA, record, tags.read(APP, tag, VIA).version);
      set(LATEST, { ...RECORD, digest: digestFor('gone') });
      const { version } = tags.read(APP, LATEST, VIA);
      tags.forget(APP, undefined);
      const behind = tags.read(APP, LATEST, VIA).version;
      set(held, RECORD);
      set(young, { ...RECORD, digest: digestFor('gone'), checkedAt: now + HOUR });
      set(LATEST, { ...RECORD, digest: digestFor('gone') });
      tags.forget('docker.io/library/b' as CanonicalName, LATEST);
      return [version, behind];
    });

    await sweep.run(now + 24 * HOUR);

    const left = await database.read(({ tags }) =>
      [LATEST, held, young].map((tag) => tags.read(APP, tag, VIA).record !== undefined),
    );
    expect(left).toEqual([false, true, true]);
    expect(await database.read(({ tags }) => tags.forgottenBefore(now * 2))).toEqual([]);
    // The memory of it is gone, and still nobody who read before then sets it.
    const wereSet = await database.write(({ tags }) =>
      [early, later].map((version) => tags.set(APP, LATEST, VIA, RECORD, version)),
    );
    expect(wereSet).toEqual([false, false]);
    await database.close();
  });

  it('makes void records, which a crash left behind, go before it forgets that they are void', async () => {
    const database = new IndexDatabase(freshFile(), logInto([]));
    const sweep = new TagSweep(database, logInto([]));
    await database.write(({ contents, tags }) => {
      contents.add(A, 1);
      tags.set(APP, LATEST, VIA, RECORD, tags.read(APP, LATEST, VIA).version);
      tags.forget(APP, undefined);
    });

    await sweep.run(Date.now() + 2 * HOUR);

    const entry = await database.read(({ tags }) => tags.read(APP, LATEST, VIA));
    expect(entry.record).toBeUndefined();
    await database.close();
  });
});

function exec(file: string, sql: string): void {
  const database = new DatabaseSync(file, { enableForeignKeyConstraints: false });
  database.exec(sql);
  database.close();
}

/** Lets nobody write there, or everybody again. */
function remount({ folder }: SmallDisk, mode: 'ro' | 'rw'): void {
  execFileSync('mount', ['-o', `remount,${mode}`, folder]);
}

function setVersion(file: string, version: number): void {
  exec(file, `PRAGMA user_version = ${version}`);
}
