/** How much room is made for what is fetched, how much of it is given back, and what is held in the end. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { contentOf, downloadRoom } from '../../../test/support/content-room';
import { atTheEnd } from '../../../test/support/lifecycle';
import { Keeping, type Room } from './keeping';
import { SpooledBytes } from './spooled-bytes';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Content that is received and may be kept, and an account of the room that is made for it. */
async function received(size: number, total: number | undefined, over: Partial<Room> = {}) {
  const [made, given, faults]: [number[], number[], unknown[]] = [[], [], []];
  const capacity: Room = {
    storing: true,
    makeRoom: (bytes) => {
      made.push(bytes);
      return Promise.resolve(true);
    },
    giveBack: (bytes) => void given.push(bytes),
    noteFull: (error) => void faults.push(error),
    ...over,
  };
  const room = await downloadRoom({ capacity });
  const { bytes: content, digest } = contentOf(size);
  const keeping = new Keeping(digest, room.tools, () => total);
  const bytes = new SpooledBytes(keeping, () => 1);
  bytes.start();
  bytes.push(content);
  const told = () => room.logged.map((line) => JSON.parse(line) as Record<string, unknown>);
  atTheEnd(() => bytes.release());
  const spools = () => readdirSync(join(room.folder, 'spool'));
  return { ...room, digest, keeping, bytes, made, given, faults, told, spools };
}

it.each([
  ['is new', true, []],
  ['was held before', false, [1000]],
])('all that is announced is made room for, and used: it %s', async (_how, isNew, back) => {
  const { keeping, bytes, made, given, heldSize, digest } = await received(1000, 1000);
  const sizes: number[] = [];

  const kept = await keeping.keep(bytes, (size) => {
    sizes.push(size);
    return Promise.resolve(isNew);
  });

  expect([kept, await heldSize(digest), sizes]).toEqual([true, 1000, [1000]]);
  expect([made, given]).toEqual([[1000], back]);
});

it('what is not announced is made room for in steps, and what was too much is given back', async () => {
  const { keeping, bytes, made, given } = await received(300_000, undefined);

  expect(await keeping.keep(bytes, () => Promise.resolve(true))).toBe(true);

  expect(made).toEqual([0, 256 * KIB, 256 * KIB]);
  expect(given).toEqual([512 * KIB - 300_000]);
});

it('a step is as large as what there is, and has an end', async () => {
  const { keeping, made } = await received(0, undefined);

  await keeping.reserve(100 * MIB);
  await keeping.reserve(100 * MIB);

  const growing = [256 * KIB, 256 * KIB, 512 * KIB, MIB, 2 * MIB, 4 * MIB, 8 * MIB];
  expect(made).toEqual([0, ...growing, ...Array<number>(6).fill(16 * MIB)]);
});

it.each([
  ['there is none', { makeRoom: () => Promise.resolve(false) }],
  ['nothing is stored', { storing: false }],
])('no room is no fault: %s', async (_why, over) => {
  const { keeping, bytes, given, faults, told, spools } = await received(1000, 1000, over);

  expect(await keeping.keep(bytes, () => Promise.resolve(true))).toBe(false);

  expect([given, faults, told(), spools()]).toEqual([[], [], [], []]);
});

it('a fault is noted, and told', async () => {
  const fault = new Error('the disk is gone');
  const over = { makeRoom: () => Promise.reject(fault) };
  const { keeping, bytes, faults, told, digest } = await received(1000, 1000, over);

  expect(await keeping.keep(bytes, () => Promise.resolve(true))).toBe(false);

  expect(faults).toEqual([fault]);
  expect(told()).toMatchObject([
    { level: 40, digest, err: { message: fault.message }, msg: 'what was fetched cannot be held' },
  ]);
});

it('what cannot be settled is not held, and all of its room is given back', async () => {
  const { keeping, bytes, given, faults, heldSize, digest, spools } = await received(1000, 1000);
  const fault = new Error('the index is gone');

  expect(await keeping.keep(bytes, () => Promise.reject(fault))).toBe(false);

  expect(await heldSize(digest)).toBeUndefined();
  expect([given, faults, spools()]).toEqual([[1000], [fault], []]);
});

it('what the store does not take is not held, and all of its room is given back', async () => {
  const { keeping, bytes, given, tools, heldSize, digest, spools } = await received(1000, 1000);
  jest.spyOn(tools.store, 'put').mockRejectedValue(new Error('the disk is full'));

  expect(await keeping.keep(bytes, () => Promise.resolve(true))).toBe(false);

  expect(await heldSize(digest)).toBeUndefined();
  expect([given, spools()]).toEqual([[1000], []]);
});

it('what is discarded leaves nothing, even where it cannot be removed', async () => {
  const [one, other] = [await received(1000, 1000), await received(1000, 1000)];
  jest.spyOn(other.bytes, 'discard').mockRejectedValue(new Error('the disk is gone'));

  await one.keeping.discard(one.bytes);
  await other.keeping.discard(other.bytes);

  expect(one.spools()).toEqual([]);
  expect([one.given, other.given.length]).toEqual([[1000], other.made.length]);
});
