/** What is received is read from memory while it is new, and from the spool after that, and how much waits for the disk. */
import { contentOf, Sink } from '../../../test/support/content-room';
import { atTheEnd, eventually, freshFolder } from '../../../test/support/lifecycle';
import { Outlet } from '../body/outlet';
import { ReadBuffers } from '../body/read-buffers';
import { DiskStore } from '../store/disk-store';
import type { Spool } from '../store/spool';
import { SpooledBytes } from './spooled-bytes';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Bytes that go to a real spool, once the spec lets them. */
async function room({ readers = 1, letGo = true } = {}) {
  const store = await DiskStore.open(freshFolder('spooled'));
  atTheEnd(() => store.close());
  const reserved: number[] = [];
  const [writes, reads]: [number[], number[]] = [[], []];
  const going = Promise.withResolvers<void>();
  if (letGo) going.resolve();
  const create = async () => {
    const spool = await store.create();
    const [append, read] = [spool.append.bind(spool), spool.read.bind(spool)];
    spool.append = async (chunks) => {
      await going.promise;
      await append(chunks);
      writes.push(sumOf(chunks.map(({ length }) => length)));
    };
    spool.read = (into, position) => {
      reads.push(position);
      return read(into, position);
    };
    return spool;
  };
  const spools: Spool[] = [];
  const bytes = new SpooledBytes(
    {
      create: async () => {
        const spool = await create();
        spools.push(spool);
        return spool;
      },
      reserve: (size) => {
        reserved.push(size);
        return Promise.resolve();
      },
    },
    () => readers,
  );
  const buffers = new ReadBuffers();
  /** One piece from there on, as a client gets it. */
  const sent = async (position: number, end: number) => {
    const sink = new Sink();
    const length = await bytes.send(new Outlet(sink), position, end, buffers);
    expect(length).toBe(sink.received);
    return sink.bytes;
  };
  atTheEnd(() => bytes.release());
  return { bytes, buffers, sent, writes, reads, reserved, spools, goOn: going.resolve };
}

function sumOf(numbers: readonly number[]): number {
  return numbers.reduce((sum, each) => sum + each, 0);
}

/** Whether it is settled by now, with nothing else having its turn. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

afterEach(() => jest.restoreAllMocks());

it('the upstream waits while more than a mebibyte waits for the disk', async () => {
  const { bytes, goOn, writes } = await room({ letGo: false });
  bytes.push(Buffer.alloc(MIB));
  const before = await isDone(bytes.relief());
  bytes.push(Buffer.alloc(1));

  const waiting = bytes.relief();
  expect([before, await isDone(waiting)]).toEqual([true, false]);
  goOn();
  await waiting;

  expect(writes).toEqual([MIB + 1]);
  await bytes.whole();
});

it('the upstream does not wait for a disk that has failed', async () => {
  const fault = new Error('the disk is gone');
  const failed = Promise.withResolvers<Spool>();
  const reserve = () => Promise.resolve();
  const bytes = new SpooledBytes({ create: () => failed.promise, reserve }, () => 1);
  bytes.push(Buffer.alloc(2 * MIB));
  const waiting = bytes.relief();

  failed.reject(fault);
  await waiting;

  expect(bytes.failure).toBe(fault);
  await expect(bytes.whole()).rejects.toBe(fault);
  bytes.push(Buffer.alloc(2 * MIB));
  await bytes.relief();
  expect(bytes.received).toBe(4 * MIB);
  await bytes.discard();
  await bytes.release();
});

it('room is asked for before each write, for all that is written then', async () => {
  const { bytes, reserved, writes } = await room();
  bytes.push(Buffer.alloc(10));
  bytes.push(Buffer.alloc(5));
  await bytes.whole();
  bytes.push(Buffer.alloc(7));
  await bytes.whole();

  expect(writes).toEqual([15, 7]);
  expect(reserved).toEqual([15, 22]);
});

it.each([
  [1, 512 * KIB],
  [96, 512 * KIB],
  [200, Math.ceil((48 * MIB) / 200)],
  [10_000, 64 * KIB],
])(
  'many small chunks become one piece, which is smaller the more read along: %d readers',
  async (readers, size) => {
    const { bytes } = await room({ readers });
    const made = jest.spyOn(Buffer, 'allocUnsafeSlow');
    const sizes = () => made.mock.calls.map(([length]) => length);

    for (let n = 0; n < 10; n += 1) bytes.push(Buffer.alloc(100));

    // Content that ends with its first bytes takes no more than these.
    expect(sizes()).toEqual([100, size]);
    bytes.push(Buffer.alloc(size - 900));
    expect(sizes()).toHaveLength(2);
    bytes.push(Buffer.alloc(1));
    expect(sizes()).toEqual([100, size, size]);
    await bytes.whole();
  },
);

it('much at once begins with no more than a piece', async () => {
  const { bytes } = await room();
  const made = jest.spyOn(Buffer, 'allocUnsafeSlow');

  bytes.push(Buffer.alloc(MIB));

  expect(made.mock.calls.map(([length]) => length)).toEqual([512 * KIB, 512 * KIB]);
  await bytes.whole();
});

it('what is new is sent from memory, and what is old from the spool', async () => {
  const { bytes, sent, reads, buffers, writes } = await room();
  const { bytes: content } = contentOf(2 * MIB);
  for (let at = 0; at < content.length; at += 256 * KIB) {
    bytes.push(content.subarray(at, at + 256 * KIB));
    while (sumOf(writes) < at + 256 * KIB) await new Promise((resolve) => setImmediate(resolve));
  }
  await bytes.relief();
  await new Promise((resolve) => setImmediate(resolve));

  const fresh = await sent(content.length - 512 * KIB, content.length);
  const before = reads.length;
  const old = await sent(10, 20);
  const part = await sent(content.length - 100, content.length - 50);

  expect(fresh.equals(content.subarray(-512 * KIB).subarray(0, fresh.length))).toBe(true);
  expect(before).toBe(0);
  expect(old.equals(content.subarray(10, 20))).toBe(true);
  expect(part.equals(content.subarray(-100, -50))).toBe(true);
  expect(reads).toEqual([10]);
  expect(buffers.out).toBe(0);
});

it('once all of it is in the spool, nothing is in memory', async () => {
  const { bytes, sent, reads } = await room();
  const { bytes: content } = contentOf(1000);
  bytes.push(content);
  expect((await sent(0, 1000)).equals(content)).toBe(true);
  expect(reads).toEqual([]);

  const spool = await bytes.whole();

  expect(spool.size).toBe(1000);
  expect(bytes.newest(0)).toHaveLength(0);
  expect((await sent(3, 1000)).equals(content.subarray(3))).toBe(true);
  expect(reads).toEqual([3]);
});

it('the newest bytes are those behind a position of the last piece', async () => {
  const { bytes, goOn } = await room({ letGo: false });
  const { bytes: content } = contentOf(700 * KIB);
  bytes.push(content.subarray(0, 512 * KIB));
  bytes.push(content.subarray(512 * KIB));

  expect(bytes.newest(700 * KIB - 1)).toEqual(content.subarray(-1));
  expect(bytes.newest(0)).toEqual(content.subarray(512 * KIB));
  goOn();
});

describe('the room of what is old', () => {
  const PIECE = 512 * KIB;

  /** Eight pieces, each written before the next; how many rooms were made for them. */
  async function pieces({ bytes, writes }: Awaited<ReturnType<typeof room>>, first: Buffer) {
    const made = jest.spyOn(Buffer, 'allocUnsafeSlow');
    const push = async (piece: Buffer) => {
      bytes.push(piece);
      await eventually(
        'it is written',
        () => writes.length > 0 && sumOf(writes) === bytes.received,
      );
    };
    await push(first);
    const rest = async () => {
      for (let n = 2; n <= 8; n += 1) await push(Buffer.alloc(PIECE, n));
      return made.mock.calls.length;
    };
    return { rest };
  }

  it('is used again once nobody is sent from it', async () => {
    const spooled = await room();
    const { bytes: content } = contentOf(PIECE);
    const { rest } = await pieces(spooled, content);

    expect((await spooled.sent(0, PIECE)).equals(content)).toBe(true);

    expect(await rest()).toBe(2);
  });

  it('is not used again while somebody is sent from it', async () => {
    const spooled = await room();
    const { bytes: content } = contentOf(PIECE);
    const { rest } = await pieces(spooled, content);
    const holding = new Sink(true);

    const sending = spooled.bytes.send(new Outlet(holding), 0, PIECE, spooled.buffers);
    expect(await rest()).toBe(3);
    holding.take();
    await sending;

    expect(holding.bytes.equals(content)).toBe(true);
  });
});

it('is let go of when nobody reads any more', async () => {
  const { bytes, spools } = await room();
  bytes.push(Buffer.alloc(10));
  await bytes.whole();
  const released = jest.spyOn(spools[0]!, 'release');

  await bytes.release();
  await bytes.release();

  expect(released).toHaveBeenCalledTimes(1);
});
