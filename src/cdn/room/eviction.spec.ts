import { sample } from '../../../test/contracts/content-store.contract';
import { HeldRoom, otherwise } from '../../../test/support/held-room';
import { atTheEnd } from '../../../test/support/lifecycle';
import type { ContentIndex } from '../index/content-index';
import type { Digest } from '../../oci/digest';
import type { ContentStore } from '../store/content-store';
import { Eviction } from './eviction';

const SIZE = 100;

async function room(count: number) {
  const held = await HeldRoom.open();
  atTheEnd(() => held.close());
  const faults: unknown[] = [];
  const all: Digest[] = [];
  for (let n = 0; n < count; n += 1) {
    all.push((await held.hold(sample(SIZE))).digest);
    const now = Date.now();
    while (Date.now() === now) await new Promise(setImmediate);
  }
  const over = (store: ContentStore = held.store, index: ContentIndex = held.index) =>
    new Eviction(store, index, (error) => faults.push((error as Error).message));
  const left = async () => {
    const each = await Promise.all(all.map((digest) => held.isHeld(digest)));
    return each.map(({ store, index }) => (store && index ? 'held' : store || index ? 'half' : ''));
  };
  return { ...held, store: held.store, index: held.index, all, faults, over, left };
}

it('takes the coldest, as many as it takes, and at least one', async () => {
  const { over, left } = await room(4);
  const eviction = over();

  expect(await eviction.coldest(0)).toEqual({ contents: 1, bytes: SIZE });
  expect(await eviction.coldest(SIZE + 1)).toEqual({ contents: 2, bytes: 2 * SIZE });
  expect(await left()).toEqual(['', '', '', 'held']);
  expect([eviction.contents, eviction.bytes]).toEqual([3, 3 * SIZE]);

  await eviction.coldest(1e9);
  expect(await eviction.coldest(1)).toEqual({ contents: 0, bytes: 0 });
});

it('takes nothing that was used since', async () => {
  const { over, left, index, all } = await room(3);
  const second = await index.content(all[1]!);

  expect(await over().coldest(1e9, second!.usedAt)).toEqual({ contents: 1, bytes: SIZE });

  expect(await left()).toEqual(['', 'held', 'held']);
});

it('passes over what cannot be evicted, says so once, and tries it again when told to', async () => {
  const { over, left, store, all, faults } = await room(3);
  let stuck = true;
  const failing = otherwise<ContentStore>(store, {
    delete: (digest) =>
      stuck && digest === all[0] ? Promise.reject(new Error('stuck')) : store.delete(digest),
  });
  const eviction = over(failing);

  expect(await eviction.coldest(1)).toEqual({ contents: 1, bytes: SIZE });
  expect(await eviction.coldest(1)).toEqual({ contents: 1, bytes: SIZE });
  expect(await eviction.coldest(1)).toEqual({ contents: 0, bytes: 0 });
  expect([await left(), faults]).toEqual([['held', '', ''], ['stuck']]);

  stuck = false;
  eviction.retry();
  expect(await eviction.coldest(1)).toEqual({ contents: 1, bytes: SIZE });
  expect(await left()).toEqual(['', '', '']);
});

it('counts the bytes that are gone though the index could not be told', async () => {
  const { over, store, index, all, faults } = await room(1);
  const remove = () => Promise.reject(new Error('read-only'));
  const eviction = over(store, otherwise<ContentIndex>(index, { remove }));

  expect(await eviction.coldest(1)).toEqual({ contents: 1, bytes: SIZE });

  expect([eviction.contents, faults]).toEqual([0, ['read-only']]);
  expect(await store.open(all[0]!)).toBeUndefined();
});

it('has a row removed whose file is gone already', async () => {
  const { over, store, index, all } = await room(1);
  await store.delete(all[0]!);

  expect(await over().coldest(1)).toEqual({ contents: 1, bytes: SIZE });

  expect(await index.content(all[0]!)).toBeUndefined();
});

it('takes whatever comes first where the index cannot tell what is cold', async () => {
  const { over, left } = await room(4);

  await over().any(SIZE + 1);

  expect((await left()).filter((how) => how === 'held')).toHaveLength(2);
});
