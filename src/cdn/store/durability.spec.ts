import { statSync } from 'node:fs';
import { join } from 'node:path';
import { freshFolder } from '../../../test/support/lifecycle';
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

describe('syncFolder', () => {
  it('says so when there is none', async () => {
    await expect(syncFolder('/nonexistent')).rejects.toMatchObject({ code: 'ENOENT' });
  });
});
