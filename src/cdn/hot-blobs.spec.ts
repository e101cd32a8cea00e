/** Layers that are pulled again and again come into memory, within its bounds, and stay what they are. */
import { Hash } from 'node:crypto';
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import { contentOf, Sink } from '../../test/support/content-room';
import { heldCache } from '../../test/support/held-cache';
import { eventually } from '../../test/support/lifecycle';
import type { Digest } from '../oci/digest';
import type { Body } from './body/body';

const KIB = 1024;
/** Of the cache's memory: half of it is for blobs. */
const MEMORY = 2048 * KIB;
const SIZE = 100 * KIB;
/** So many of them fit. */
const FIT = 10;

async function room({ memory = MEMORY } = {}) {
  const cache = await heldCache({ memory });
  const { hot, small } = cache;
  /** One that is held, on disk alone. */
  const held = async (size = SIZE) => {
    const content = contentOf(size);
    await small.write(content.digest, content.bytes);
    return content;
  };
  const use = (digest: Digest, size = SIZE) => hot.open(digest, size, { from: 0, to: size });
  /** Uses it so often, and waits for what comes of that. */
  const used = async (digest: Digest, times: number, size = SIZE) => {
    const reads = jest.spyOn(small, 'readAside');
    for (let time = 0; time < times; time += 1) use(digest, size)?.close();
    await Promise.all(
      reads.mock.results.map(({ value }) => Promise.resolve(value as unknown).catch(() => 0)),
    );
    await new Promise((resolve) => setImmediate(resolve));
    const began = reads.mock.calls.length;
    reads.mockRestore();
    return began;
  };
  /** Whether it is in memory; looking is no use that counts for more than any other. */
  const isHot = (digest: Digest) => {
    const body = use(digest);
    body?.close();
    return body !== undefined;
  };
  return { ...cache, held, use, used, isHot };
}

async function bytesOf(body: Body | undefined): Promise<Buffer | undefined> {
  const sink = new Sink();
  await body?.sendTo(sink);
  return body && sink.bytes;
}

it('what is used for the third time comes into memory, and is served without its file', async () => {
  const { held, use, used, fileOf, hot } = await room();
  const { digest, bytes } = await held();

  expect(await used(digest, 2)).toBe(0);
  expect(await used(digest, 1)).toBe(1);
  rmSync(fileOf(digest));

  const body = use(digest);
  expect(body?.length).toBe(SIZE);
  expect((await bytesOf(body))?.equals(bytes)).toBe(true);
  const part = hot.open(digest, SIZE, { from: 10, to: 30 });
  expect((await bytesOf(part))?.equals(bytes.subarray(10, 30))).toBe(true);
  expect(hot.taken).toBe(SIZE);
});

it('it is read once, however many ask meanwhile, and no more than two at a time', async () => {
  const { held, use, small } = await room();
  const contents = await Promise.all([held(), held(), held()]);
  const reads = jest.spyOn(small, 'readAside');

  for (let time = 0; time < 5; time += 1) for (const { digest } of contents) use(digest);

  expect(reads.mock.calls.map(([digest]) => digest)).toEqual(
    contents.slice(0, 2).map(({ digest }) => digest),
  );
  await eventually('both are there', () => contents.slice(0, 2).every(({ digest }) => use(digest)));
});

it('one that takes more than an eighth of the memory stays on disk, and so does all where there is none', async () => {
  const largest = (MEMORY / 2 / 8) | 0;
  const { held, used } = await room();
  const none = await room({ memory: 0 });
  const [fits, large] = [await held(largest), await held(largest + 1)];
  const any = await none.held();

  expect(await used(fits.digest, 5, largest)).toBe(1);
  expect(await used(large.digest, 5, largest + 1)).toBe(0);
  expect(await none.used(any.digest, 5)).toBe(0);
});

it('a large one is read and hashed piece by piece: others are served in between', async () => {
  const { held, used, fileOf, use } = await room({ memory: 16 * 3 * KIB * KIB });
  const size = 2.5 * KIB * KIB;
  const { digest, bytes } = await held(size);
  const hashed = jest.spyOn(Hash.prototype, 'update');

  await used(digest, 3, size);

  const pieces = hashed.mock.calls.map(([piece]) => piece.length);
  hashed.mockRestore();
  expect(pieces).toEqual([KIB * KIB, KIB * KIB, (KIB * KIB) / 2]);
  rmSync(fileOf(digest));
  expect((await bytesOf(use(digest, size)))?.equals(bytes)).toBe(true);
});

it('what is damaged does not come into memory, and is held no more', async () => {
  const { held, used, isHot, fileOf, small, hot } = await room();
  const { digest, bytes } = await held();
  const file = openSync(fileOf(digest), 'r+');
  writeSync(file, Buffer.from([bytes[7]! ^ 1]), 0, 1, 7);
  closeSync(file);

  await used(digest, 3);

  expect(hot.taken).toBe(0);
  expect(isHot(digest)).toBe(false);
  expect(await small.sizeOf(digest)).toBeUndefined();
});

it('a disk that errs is told of, and costs no room', async () => {
  const { held, used, isHot, small, hot, lines } = await room();
  const { digest } = await held();
  const reading = jest.spyOn(small, 'readAside').mockRejectedValueOnce(new Error('not now'));

  await used(digest, 3);
  reading.mockRestore();

  expect(lines.join()).toContain('held content cannot be read');
  expect(hot.taken).toBe(0);
  await used(digest, 1);
  expect(isHot(digest)).toBe(true);
});

it('of more hot ones than there is memory for, those that came first stay, and none is read in vain', async () => {
  const { held, used, use, hot } = await room();
  const contents = await Promise.all(Array.from({ length: FIT + 5 }, () => held()));
  for (const { digest } of contents) await used(digest, 3);

  const hits = contents.map(({ digest }) => {
    const body = use(digest);
    body?.close();
    return body !== undefined;
  });

  expect(hits).toEqual([...Array<boolean>(FIT).fill(true), ...Array<boolean>(5).fill(false)]);
  expect(hot.taken).toBe(FIT * SIZE);
});

it('one that is used more takes the place of the one among the lesser ones that was used longest ago', async () => {
  const { held, used, isHot, use, hot } = await room();
  const contents = await Promise.all(Array.from({ length: FIT }, () => held()));
  for (const { digest } of contents) await used(digest, 3);
  use(contents[0]!.digest)?.close();
  const newcomer = await held();

  await used(newcomer.digest, 4);

  expect(hot.taken).toBe(FIT * SIZE);
  expect(isHot(newcomer.digest)).toBe(true);
  expect(isHot(contents[1]!.digest)).toBe(false);
  expect(isHot(contents[0]!.digest)).toBe(true);
});

it('what is being sent is not given up, and can be once it is sent or closed', async () => {
  const { held, used, use, isHot, hot } = await room();
  const contents = await Promise.all(Array.from({ length: FIT }, () => held()));
  for (const { digest } of contents) await used(digest, 3);
  let taken: (() => void) | undefined;
  const slow = new Writable({ write: (_chunk, _encoding, done) => void (taken = done) });
  const bodies = contents.map(({ digest }) => use(digest)!);
  const sending = bodies[0]!.sendTo(slow);
  const newcomer = await held();

  expect(await used(newcomer.digest, 20)).toBe(0);
  taken?.();
  await sending;
  expect(await used(newcomer.digest, 1)).toBe(1);
  expect(isHot(newcomer.digest)).toBe(true);
  expect(hot.taken).toBe(FIT * SIZE);

  const another = await held();
  expect(await used(another.digest, 20)).toBe(0);
  bodies[1]!.close();
  bodies[1]!.close();
  expect(await used(another.digest, 1)).toBe(1);
});

it('what a client leaves behind is given up, too', async () => {
  const { held, used, use } = await room();
  const contents = await Promise.all(Array.from({ length: FIT }, () => held()));
  for (const { digest } of contents) await used(digest, 3);
  const bodies = contents.map(({ digest }) => use(digest)!);
  const gone = new Writable({ write: () => undefined });
  const sending = bodies[0]!.sendTo(gone);
  gone.destroy();
  await expect(sending).rejects.toThrow('left');
  const newcomer = await held();

  expect(await used(newcomer.digest, 20)).toBeGreaterThan(0);
});

it('uses of long ago count for less: what was hot gives way to what is', async () => {
  const { held, used, use, isHot } = await room();
  const contents = await Promise.all(Array.from({ length: FIT }, () => held()));
  for (const { digest } of contents) await used(digest, 40);
  const others = Array.from({ length: 10_000 }, () => contentOf(8).digest);
  const newcomer = await held();
  expect(await used(newcomer.digest, 30)).toBe(0);

  for (const digest of others) use(digest);

  expect(await used(newcomer.digest, 10)).toBeGreaterThan(0);
  expect(isHot(newcomer.digest)).toBe(true);
});
