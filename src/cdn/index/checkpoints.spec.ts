/** What is written to the index's log is written back to its file, by and by, and without anybody's waiting for it. */
import { existsSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import threads from 'node:worker_threads';
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

/** Time passes when it is told to. */
function ownTime() {
  const due = new Map<unknown, () => void>();
  jest.spyOn(globalThis, 'setTimeout').mockImplementation(((ring: () => void) => {
    const timer = { unref: () => timer };
    due.set(timer, ring);
    return timer;
  }) as never);
  jest.spyOn(globalThis, 'clearTimeout').mockImplementation((timer) => void due.delete(timer));
  const pass = () => {
    const rings = [...due.values()];
    due.clear();
    for (const ring of rings) ring();
  };
  return { pass, waiting: () => due.size };
}

/** A thread that takes orders and does not get to them. */
function busyThread() {
  return jest.spyOn(threads.Worker.prototype, 'postMessage').mockReturnValue();
}

function noThread() {
  return jest.spyOn(threads, 'Worker').mockImplementation(() => {
    throw new Error('no thread is to be had');
  });
}

afterEach(() => jest.restoreAllMocks());

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

it('while the thread is busy it is given no more to do, and what was written waits for its time', () => {
  const { checkpoints } = room();
  const { pass, waiting } = ownTime();
  const orders = busyThread();
  checkpoints.noteWrite();
  pass();
  expect(orders.mock.calls).toEqual([[{ last: false }]]);

  for (let n = 0; n < 1000; n += 1) checkpoints.noteWrite();
  pass();

  expect(orders).toHaveBeenCalledTimes(1);
  expect(waiting()).toBe(1);
  checkpoints.abandon();
});

it('a checkpoint that did not wait for its time is not made again at that time', () => {
  const { checkpoints } = room();
  const { waiting } = ownTime();
  const orders = busyThread();

  for (let n = 0; n < 1000; n += 1) checkpoints.noteWrite();

  expect(orders).toHaveBeenCalledTimes(1);
  expect(waiting()).toBe(0);
  checkpoints.abandon();
});

it('once it is abandoned or closed nothing waits for its time', async () => {
  const [one, other] = [room(), room()];
  const { waiting } = ownTime();
  for (const { checkpoints } of [one, other]) checkpoints.noteWrite();
  expect(waiting()).toBe(2);

  one.checkpoints.abandon();
  const left = waiting();
  await other.checkpoints.close();

  expect([left, waiting()]).toEqual([1, 0]);
});

it('abandoning ends the thread', () => {
  const { checkpoints } = room();
  const { pass } = ownTime();
  busyThread();
  const ended = jest.spyOn(threads.Worker.prototype, 'terminate');
  checkpoints.noteWrite();
  pass();

  checkpoints.abandon();

  expect(ended).toHaveBeenCalledTimes(1);
});

it('where no thread is to be had it is told once, and done by the next one that is', async () => {
  const { checkpoints, write, sizes, warned } = room();
  write(MIB);
  const threadsMade = noThread();
  checkpoints.noteWrite();
  await eventually('it is tried again', () => threadsMade.mock.calls.length > 1);

  threadsMade.mockRestore();

  await eventually('it is written back', () => sizes().file > MIB);
  expect(warned).toEqual([
    [
      { fault: 'no thread is to be had' },
      "the cache's index cannot be written back; it is tried again",
    ],
  ]);
});

it.each([
  ['of the last moments', true],
  ['that a crash left', false],
])(
  'closing does without a thread where none is to be had, and tells of it: a log %s',
  async (_of, noted) => {
    const { checkpoints, write, warned } = room();
    const { waiting } = ownTime();
    write(2 * MIB);
    if (noted) checkpoints.noteWrite();
    noThread();

    await checkpoints.close();

    expect(warned).toMatchObject([[{ fault: 'no thread is to be had' }, expect.any(String)]]);
    expect(waiting()).toBe(0);
  },
);
