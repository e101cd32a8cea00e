/** Blobs out of the store: whatever lies there, nobody gets an end that was not seen to be right. */
import { closeSync, openSync, rmSync, truncateSync, writeSync } from 'node:fs';
import { contentOf, Sink } from '../../test/support/content-room';
import { heldCache } from '../../test/support/held-cache';
import { otherwise } from '../../test/support/held-room';
import { eventually } from '../../test/support/lifecycle';
import type { ByteRange } from '../oci/byte-range';
import type { Body } from './body/body';
import { HeldBlobs } from './held-blobs';
import { StoredFile } from './store/stored-file';

const MIB = 1024 * 1024;
const KIB = 1024;

type Room = Awaited<ReturnType<typeof heldCache>>;

async function holding(size: number) {
  const room = await heldCache();
  const content = contentOf(size);
  await room.small.write(content.digest, content.bytes);
  const { digest } = content;
  const open = (range: ByteRange = { from: 0, to: size }, held = room.held) =>
    held.open(digest, size, range);
  /** Turns over what lies there at that place. */
  const damage = (at: number) => {
    const file = openSync(room.fileOf(digest), 'r+');
    writeSync(file, Buffer.from([content.bytes[at]! ^ 1]), 0, 1, at);
    closeSync(file);
  };
  const isSound = async () => {
    const stored = await room.cache.store.open(digest);
    await stored?.close();
    return stored !== undefined && room.cache.verification.isKnownSound(digest, stored.stamp);
  };
  const isHeld = async () => (await room.held.sizeOf(digest)) !== undefined;
  return { ...room, ...content, open, damage, isSound, isHeld };
}

/** Its bytes, or those before it failed. */
async function sent(body: Body | undefined): Promise<{ bytes: Buffer; failed?: Error }> {
  const sink = new Sink();
  const failed = await body?.sendTo(sink).then(
    () => undefined,
    (error: Error) => error,
  );
  return { bytes: sink.bytes, ...(failed && { failed }) };
}

describe.each([
  ['a small one', 1000],
  ['the largest small one', 64 * KIB],
  ['a middling one', 64 * KIB + 1],
  ['a large one', 9 * MIB],
])('%s', (_what, size) => {
  it.each<[string, ByteRange]>([
    ['all of it', { from: 0, to: size }],
    ['its beginning', { from: 0, to: 100 }],
    ['its middle', { from: 100, to: 700 }],
    ['its end', { from: size - 300, to: size }],
    ['its last byte', { from: size - 1, to: size }],
  ])('%s is as it was, before and after the whole was seen to be sound', async (_part, range) => {
    const { bytes, open, held, digest } = await holding(size);
    const expected = bytes.subarray(range.from, range.to);

    for (const round of [1, 2]) {
      const body = await open(range);
      expect([round, body?.length]).toEqual([round, expected.length]);
      expect((await sent(body)).bytes.equals(expected)).toBe(true);
      await sent(await open());
    }
    expect(await held.sizeOf(digest)).toBe(size);
  });

  it('is nothing, and forgotten, once its file is gone', async () => {
    const { open, fileOf, digest, isHeld } = await holding(size);
    rmSync(fileOf(digest));

    expect(await open()).toBeUndefined();

    expect(await isHeld()).toBe(false);
  });

  it('is nothing, and forgotten, once its file was cut off', async () => {
    const { open, fileOf, digest, isHeld } = await holding(size);
    truncateSync(fileOf(digest), size - 1);

    expect(await open({ from: 0, to: 10 })).toBeUndefined();

    expect(await isHeld()).toBe(false);
  });

  it('is nothing to one who was told another size', async () => {
    const { held, digest } = await holding(size);

    expect(await held.open(digest, size + 1, { from: 0, to: 10 })).toBeUndefined();
  });

  it('damaged, never ends well, and is then taken away', async () => {
    const { bytes, open, damage, isHeld } = await holding(size);
    damage(size - 5);

    const got = await sent(await open());

    expect(got.bytes.length).toBeLessThan(bytes.length);
    await eventually('it is taken away', async () => !(await isHeld()));
    expect(await open()).toBeUndefined();
  });

  it.each([
    [300, true],
    [1, false],
  ])('damaged, never ends well for one who asks for the last %d bytes', async (last, before) => {
    const { bytes, open, damage, isHeld } = await holding(size);
    damage(2);

    const got = await sent(await open({ from: size - last, to: size }));

    // Of a large one, all but the last byte goes out while the whole is hashed.
    expect(got.bytes.length).toBe(before && size > 8 * MIB ? last - 1 : 0);
    expect(bytes.subarray(-last).equals(got.bytes)).toBe(false);
    await eventually('it is taken away', async () => !(await isHeld()));
  });
});

describe('what was hashed since the start', () => {
  it('is known to be sound when it went out whole', async () => {
    const { open, isSound } = await holding(100_000);
    expect(await isSound()).toBe(false);

    await sent(await open());

    expect(await isSound()).toBe(true);
  });

  it('is not hashed again: it was right, and only its stamp is looked at', async () => {
    const { open, isSound, cache, digest } = await holding(100_000);
    await sent(await open());
    const hashed = jest.spyOn(cache.verification, 'verify');

    await sent(await open({ from: 0, to: 10 }));

    expect(await isSound()).toBe(true);
    expect(hashed).not.toHaveBeenCalledWith(digest);
  });

  it('is so behind a part of what is large, which does not wait for it', async () => {
    const { open, isSound } = await holding(9 * MIB);

    const body = await open({ from: 0, to: 10 });

    expect(await isSound()).toBe(false);
    await sent(body);
    await eventually('it is verified', isSound);
  });

  it('is so before a part of what is not large', async () => {
    const { open, isSound } = await holding(100_000);

    const body = await open({ from: 0, to: 10 });

    expect(await isSound()).toBe(true);
    body?.close();
  });

  it('is not what no client has taken to its end', async () => {
    const { open, isSound } = await holding(3 * MIB);
    const sink = new Sink(true);
    const sending = (await open())?.sendTo(sink);
    sink.destroy();
    await expect(sending).rejects.toThrow();

    expect(await isSound()).toBe(false);
  });
});

describe('a part of what is not large', () => {
  it('is nothing where the whole is damaged, elsewhere than in the part', async () => {
    const { open, damage, isHeld } = await holding(100_000);
    damage(99_000);

    expect(await open({ from: 0, to: 10 })).toBeUndefined();

    expect(await isHeld()).toBe(false);
  });
});

describe('while what is damaged still lies there', () => {
  it('nobody is served from it', async () => {
    const { cache, open, damage } = await holding(100_000);
    damage(99_000);
    const seen = jest.spyOn(cache.verification, 'noteDamaged').mockResolvedValue();

    const first = await sent(await open());
    const next = await open();

    expect(first.failed?.message).toContain('damaged');
    expect(next).toBeUndefined();
    expect(seen).toHaveBeenCalled();
  });
});

describe('a disk that errs', () => {
  function fails(code: string) {
    return () => Promise.reject(Object.assign(new Error(code), { code }));
  }

  it('and cannot be opened now says nothing of what it holds', async () => {
    const { cache, small, hot, log, lines, open, isHeld } = await holding(100_000);
    const store = otherwise(cache.store, { open: fails('EMFILE') });

    expect(
      await open(undefined, new HeldBlobs({ ...cache, store }, small, hot, log)),
    ).toBeUndefined();

    expect(lines.join()).toContain('held content cannot be read');
    expect(await isHeld()).toBe(true);
  });

  it('and cannot be verified serves no part that is not verified', async () => {
    const { cache, lines, open } = await holding(100_000);
    jest.spyOn(cache.verification, 'verify').mockImplementation(fails('EMFILE'));

    expect(await open({ from: 0, to: 10 })).toBeUndefined();
    expect(lines.join()).toContain('held content cannot be read');
  });

  it.each([
    ['and cannot give the bytes back holds nothing', 'EIO', false],
    ['otherwise keeps what it holds', 'EBADF', true],
  ])('%s', async (_what, code, left) => {
    const { open, isHeld } = await holding(100_000);
    const body = await open();
    const medium = jest.spyOn(StoredFile.prototype, 'read').mockImplementation(fails(code));

    const got = await sent(body);
    medium.mockRestore();

    expect([got.failed?.message, got.bytes.length]).toEqual([code, 0]);
    expect(await isHeld()).toBe(left);
  });
});

it('no file stays open behind bodies that are sent, given up, or never made', async () => {
  const { open, damage, isHeld, cache } = await holding(9 * MIB);
  const [opened, closed] = [
    jest.spyOn(StoredFile, 'open'),
    jest.spyOn(StoredFile.prototype, 'close'),
  ];
  const end = { from: 9 * MIB - 1, to: 9 * MIB };
  (await open())?.close();
  (await open({ from: 0, to: 10 }))?.close();
  (await open({ from: 9 * MIB - 10, to: 9 * MIB }))?.close();
  (await open(end))?.close();
  await sent(await open());
  damage(5);
  await sent(await open({ from: 0, to: 10 }));
  await sent(await open(end));
  await eventually('it is taken away', async () => !(await isHeld()));
  await open();

  await eventually('all are closed', async () => {
    const files = await Promise.all(opened.mock.results.map(({ value }) => value as unknown));
    return files.filter((file) => file !== undefined).length === closed.mock.calls.length;
  });
  expect(cache.buffers.lent).toBe(0);
  opened.mockRestore();
  closed.mockRestore();
});

it('with CACHE=off there is nothing', async () => {
  const { digest, small, hot, log }: Room & { digest: ReturnType<typeof contentOf>['digest'] } =
    await holding(100_000);

  expect(
    await new HeldBlobs(null, small, hot, log).open(digest, 100_000, { from: 0, to: 1 }),
  ).toBeUndefined();
});
