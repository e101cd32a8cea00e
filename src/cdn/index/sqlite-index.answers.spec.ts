/** What is asked often is read once, until something is written. */
import { join } from 'node:path';
import { digestFor } from '../../../test/contracts/content-index.contract';
import { atTheEnd, freshFolder } from '../../../test/support/lifecycle';
import { createLog } from '../../journal/log';
import { IndexDatabase, type Tables } from './sqlite-index.database';
import { UnusableIndex } from './sqlite-index.schema';

const A = digestFor('a');

/** A question that counts how often it is looked up. */
function asking(database: IndexDatabase) {
  const seen = { reads: 0 };
  const ask = (question = 'content a') =>
    database.readOften(question, ({ contents }: Tables) => {
      seen.reads += 1;
      return contents.one(A)?.size;
    });
  return { seen, ask };
}

function room() {
  const log = createLog({ logLevel: 'fatal' }, { write: () => undefined });
  const database = new IndexDatabase(join(freshFolder('answers'), 'index.sqlite'), log);
  atTheEnd(() => database.close());
  return { database, ...asking(database) };
}

describe('what is asked often', () => {
  it('is read once, also where nothing is there', async () => {
    const { database, seen, ask } = room();

    expect([await ask(), await ask()]).toEqual([undefined, undefined]);
    expect(seen.reads).toBe(1);
    await database.write(({ contents }) => contents.add(A, 7));
    expect([await ask(), await ask()]).toEqual([7, 7]);
    expect(seen.reads).toBe(2);
  });

  it('is heard of in the order in which it was asked', async () => {
    const { database, ask } = room();
    await database.read(() => undefined);
    const heard: number[] = [];

    const all = [1, 2, 3].map((each) => ask().then(() => heard.push(each)));
    await Promise.all(all);

    expect(heard).toEqual([1, 2, 3]);
  });

  it('is read for each question', async () => {
    const { seen, ask } = room();

    await ask('one');
    await ask('other');

    expect(seen.reads).toBe(2);
  });

  it('is read again by whoever asks right after a write, before it is known to be done', async () => {
    const { database, ask } = room();
    await ask();

    const writing = database.write(({ contents }) => contents.add(A, 7));
    const asked = ask();

    expect(await asked).toBe(7);
    await writing;
  });

  it('is what it was after a write that failed', async () => {
    const { database, ask } = room();
    await database.write(({ contents }) => contents.add(A, 7));
    await ask();

    const writing = database.write(({ contents }) => {
      contents.add(A, 8);
      throw new Error('on second thoughts');
    });

    await expect(writing).rejects.toThrow('on second thoughts');
    expect(await ask()).toBe(7);
  });

  it('is no failure: that is asked again', async () => {
    const { database } = room();
    let fails = true;
    const ask = () =>
      database.readOften('a', () => {
        if (fails) throw new Error('not now');
        return 'now';
      });

    await expect(ask()).rejects.toThrow('not now');
    fails = false;
    expect(await ask()).toBe('now');
  });

  it('is forgotten with a file that is damaged', async () => {
    const { database, seen, ask } = room();
    await database.write(({ contents }) => contents.add(A, 7));
    await ask();
    let damaged = true;
    await database.read(() => {
      if (damaged) {
        damaged = false;
        throw new UnusableIndex('a page is not what it was');
      }
    });

    expect(await ask()).toBeUndefined();
    expect(seen.reads).toBe(2);
  });

  it('is forgotten when the index is closed', async () => {
    const { database, ask } = room();
    await ask();

    await database.close();

    await expect(ask()).rejects.toThrow('closed');
  });

  it('is bounded: beyond 20,000 answers it begins anew', async () => {
    const { seen, ask } = room();
    for (let each = 0; each < 20_000; each += 1) await ask(`question ${each}`);

    await ask('question 0');
    expect(seen.reads).toBe(20_000);
    await ask('one more');
    await ask('question 0');

    expect(seen.reads).toBe(20_002);
  });
});
