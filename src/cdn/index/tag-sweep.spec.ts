/** Old tags go by themselves, hour by hour, whatever happens in one of these. */
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { pino } from 'pino';
import { digestFor } from '../../../test/contracts/content-index.contract';
import { eventually, freshFolder } from '../../../test/support/lifecycle';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import type { Via } from '../source';
import { IndexDatabase } from './sqlite-index.database';
import { TagSweep } from './tag-sweep';

const APP = 'docker.io/library/app' as CanonicalName;
const VIA = 'anonymous.0123456789abcdef' as Via;
const [LATEST, STABLE] = ['latest' as Tag, 'stable' as Tag];
const HOUR = 3_600_000;

/** A sweep that was started, and whose hours pass when they are told to. */
function room() {
  const file = join(freshFolder('tag-sweep'), 'index.sqlite');
  const database = new IndexDatabase(file, pino({ level: 'silent' }));
  const warned: unknown[][] = [];
  const sweep = new TagSweep(database, {
    warn: (...line: unknown[]) => void warned.push(line),
  });
  const every = jest.spyOn(globalThis, 'setInterval');
  sweep.start();
  const { calls, results } = every.mock;
  const [tick, period] = calls[0] as [() => void, number];
  const timer = results[0]!.value as NodeJS.Timeout;
  every.mockRestore();
  const setUnheld = (tag: Tag) =>
    database.write(({ tags }) => {
      const { version } = tags.read(APP, tag, VIA);
      const record = { digest: digestFor('gone'), mediaType: 'text/plain', size: 1, checkedAt: 1 };
      return tags.set(APP, tag, VIA, record, version);
    });
  const isSet = (tag: Tag) =>
    database.read(({ tags }) => tags.read(APP, tag, VIA).record !== undefined);
  return { database, sweep, warned, tick, period, timer, setUnheld, isSet };
}

afterEach(() => jest.restoreAllMocks());

it('each hour what is old is cleared away, and no process is kept alive for it', async () => {
  const { database, sweep, tick, period, timer, setUnheld, isSet, warned } = room();
  await setUnheld(LATEST);

  tick();
  await eventually('it is cleared away', async () => !(await isSet(LATEST)));
  await setUnheld(STABLE);
  // One that comes while the one before is at work leaves it to that.
  await eventually('and so is the next', async () => {
    tick();
    return !(await isSet(STABLE));
  });

  expect(period).toBe(HOUR);
  expect(timer.hasRef()).toBe(false);
  expect(warned).toEqual([]);
  const cleared = jest.spyOn(globalThis, 'clearInterval');
  await sweep.stop();
  expect(cleared).toHaveBeenCalledWith(timer);
  await database.close();
});

it('an hour in which it cannot be done is told, and the next one does it', async () => {
  const { database, sweep, tick, setUnheld, isSet, warned } = room();
  await setUnheld(LATEST);
  const fault = new Error('the disk is full');
  const write = jest.spyOn(database, 'write').mockRejectedValue(fault);

  tick();
  await eventually('it is told', () => warned.length > 0);
  write.mockRestore();
  await eventually('it is cleared away', async () => {
    tick();
    return !(await isSet(LATEST));
  });

  expect(warned).toEqual([
    [{ err: fault }, 'old tags could not be cleared from the index of the cache'],
  ]);
  await sweep.stop();
  await database.close();
});

it('it is done by one at a time, and stopping waits for that one', async () => {
  const { database, sweep, tick } = room();
  let go = () => {};
  const gate = new Promise<void>((resolve) => (go = resolve));
  const read = jest.spyOn(database, 'read').mockImplementation(async () => {
    await gate;
    return [] as never;
  });
  const write = jest.spyOn(database, 'write');
  let stopped = false;

  tick();
  tick();
  const stop = sweep.stop().then(() => (stopped = true));
  await turn();
  const before = stopped;
  go();
  await stop;

  expect(before).toBe(false);
  expect(read).toHaveBeenCalledTimes(1);
  expect(write).not.toHaveBeenCalled();
  await database.close();
});

it('what was forgotten takes no other tag of its name with it', async () => {
  const { database, sweep } = room();
  const now = Date.now();
  await database.write(({ tags }) => {
    for (const tag of [LATEST, STABLE]) {
      const { version } = tags.read(APP, tag, VIA);
      const record = { digest: digestFor('a'), mediaType: 'a/b', size: 1, checkedAt: now };
      tags.set(APP, tag, VIA, record, version);
    }
    tags.forget(APP, LATEST);
  });

  await sweep.run(now + 2 * HOUR);

  const left = await database.read(({ tags }) =>
    [LATEST, STABLE].map((tag) => tags.read(APP, tag, VIA).record !== undefined),
  );
  expect(left).toEqual([false, true]);
  await sweep.stop();
  await database.close();
});

it('what was forgotten less than an hour ago is remembered: a question may still be on its way', async () => {
  const { database, sweep } = room();
  const now = Date.now();
  await database.write(({ tags }) => tags.forget(APP, LATEST));
  const remembered = () => database.read(({ tags }) => tags.forgottenBefore(now * 2).length);

  await sweep.run(now + HOUR - 60_000);
  const before = await remembered();
  await sweep.run(now + HOUR + 60_000);

  expect([before, await remembered()]).toEqual([1, 0]);
  await sweep.stop();
  await database.close();
});
