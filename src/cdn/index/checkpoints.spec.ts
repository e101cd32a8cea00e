/** What is written to the index's log is written back to its file, by and by, and without anybody's waiting for it. */
import { existsSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { atTheEnd, eventually, freshFolder } from '../../../test/support/lifecycle';
import { Checkpoints } from './checkpoints';

const MIB = 1024 * 1024;
const HOUR = 3_600_000;

/** A database whose log nobody writes back but what is tested. */
function room(interval = 10) {
  const file = join(freshFolder('checkpoints'), 'index.sqlite');
  const database = new DatabaseSync(file);
  atTheEnd(() => database.close());
  database.exec('PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)');
  const warned: unknown[] = [];
  const log = { warn: (...line: unknown[]) => void warned.push(line) };
  const checkpoints = new Checkpoints(file, log, interval);
  atTheEnd(() => checkpoints.close());
  const write = (bytes: number) =>
    database.prepare('INSERT INTO t VALUES (?)').run(Buffer.alloc(bytes));
  const sizes = () => ({ file: statSync(file).size, log: statSync(`${file}-wal`).size });
  return { file, checkpoints, warned, write, sizes };
}

it('soon after a write it is in the file', async () => {
  const { checkpoints, write, sizes, warned } = room();
  write(MIB);
  expect(sizes().file).toBeLessThan(MIB);

  checkpoints.noteWrite();

  await eventually('it is written back', () => sizes().file > MIB);
  write(MIB);
  checkpoints.noteWrite();
  await eventually('and so is the next', () => sizes().file > 2 * MIB);
  expect(warned).toEqual([]);
});

it('after a thousand writes no more time is waited for', async () => {
  const { checkpoints, write, sizes } = room(HOUR);
  write(MIB);
  for (let n = 0; n < 999; n += 1) checkpoints.noteWrite();
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(sizes().file).toBeLessThan(MIB);

  checkpoints.noteWrite();

  await eventually('it is written back', () => sizes().file > MIB);
  write(MIB);
  for (let n = 0; n < 1000; n += 1) checkpoints.noteWrite();
  await eventually('and so are the next thousand', () => {
    // One that comes while the thread is still busy with those before leaves it to the next.
    checkpoints.noteWrite();
    return sizes().file > 2 * MIB;
  });
});

it('a log that has grown large is cut off, and any other is used again', async () => {
  const { checkpoints, write, sizes } = room();
  write(MIB);
  checkpoints.noteWrite();
  await eventually('it is written back', () => sizes().file > MIB);
  expect(sizes().log).toBeGreaterThan(MIB);

  write(17 * MIB);
  checkpoints.noteWrite();

  await eventually('it is cut off', () => sizes().log === 0);
});

it.each([
  ['after writes that were written back', 10, 100_000, true],
  ['of a size that cannot wait', HOUR, 2 * MIB, false],
])('closing leaves an empty log: %s', async (_what, interval, bytes, before) => {
  const { checkpoints, write, sizes } = room(interval);
  write(bytes);
  checkpoints.noteWrite();
  if (before) await eventually('it is written back', () => sizes().file > bytes);

  await checkpoints.close();

  expect(sizes().log).toBe(0);
  expect(sizes().file).toBeGreaterThan(bytes);
});

it('closing starts no thread for a small log: SQLite writes that back by itself', async () => {
  const { checkpoints, write, sizes } = room(HOUR);
  write(100_000);
  checkpoints.noteWrite();
  const before = sizes();

  await checkpoints.close();

  expect(sizes()).toEqual(before);
});

it('nothing is written back any more once it is abandoned', async () => {
  const { checkpoints, write, sizes } = room(50);
  write(MIB);
  checkpoints.noteWrite();

  checkpoints.abandon();
  await new Promise((resolve) => setTimeout(resolve, 150));

  expect(sizes().file).toBeLessThan(MIB);
});

it('a file that is away is told of once, does not come back empty, and is tried again', async () => {
  const { file, checkpoints, warned, write, sizes } = room();
  write(MIB);
  renameSync(file, `${file}.away`);
  checkpoints.noteWrite();
  await eventually('it is told', () => warned.length > 0);
  await new Promise((resolve) => setTimeout(resolve, 200));

  expect(warned).toEqual([
    [
      { fault: expect.any(String) as string },
      "the cache's index cannot be written back; it is tried again",
    ],
  ]);
  expect(existsSync(file)).toBe(false);
  renameSync(`${file}.away`, file);
  await eventually('it is written back', () => sizes().file > MIB);
  expect(warned).toHaveLength(1);
});
