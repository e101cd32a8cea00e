import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import {
  asking,
  contentOf,
  downloadRoom,
  faultServer,
  Gated,
  serving,
  Sink,
  SOMEWHERE,
} from '../../../test/support/content-room';
import { answer, corrupt, stallAfter, type Behaviour } from '../../../test/support/fault-server';
import { atTheEnd, eventually, freshFolder } from '../../../test/support/lifecycle';
import type { Digest } from '../../oci/digest';
import type { Body } from '../body/body';
import { DigestMismatch } from './digest-mismatch';
import { DiskStore } from '../store/disk-store';
import type { Room } from './keeping';
import type { Spool, Spools } from '../store/spool';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Spools that are full after so many bytes. */
class SmallSpools implements Spools {
  constructor(
    private readonly room: number,
    private readonly code = 'ENOSPC',
  ) {}

  async create(): Promise<Spool> {
    const store = await DiskStore.open(freshFolder('small'));
    atTheEnd(() => store.close());
    const spool = await store.create();
    const append = spool.append.bind(spool);
    spool.append = async (chunks) => {
      const size = chunks.reduce((sum, { length }) => sum + length, 0);
      if (spool.size + size <= this.room) return append(chunks);
      // As a real disk does: some of it goes in.
      await append([Buffer.concat(chunks).subarray(0, this.room - spool.size)]);
      throw Object.assign(new Error('no space left'), { code: this.code });
    };
    return spool;
  }
}

function capacityOf(over: Partial<Room> = {}) {
  const faults: unknown[] = [];
  const capacity: Room = {
    storing: true,
    makeRoom: () => Promise.resolve(true),
    giveBack: () => undefined,
    noteFull: (error) => faults.push(error),
    ...over,
  };
  return { capacity, faults };
}

async function room(
  behaviour: Behaviour,
  { spools, over }: { spools?: Spools; over?: Partial<Room> } = {},
) {
  const server = await faultServer(behaviour);
  const { capacity, faults } = capacityOf(over);
  const room = await downloadRoom({ capacity, ...(spools ? { spools } : {}) });
  const ask = asking(server);
  const start = (digest: Digest) => room.downloads.start(SOMEWHERE, digest, ask, room.settle);
  return { ...room, server, start, faults };
}

async function received(body: Body): Promise<Buffer> {
  const sink = new Sink();
  await body.sendTo(sink);
  return sink.bytes;
}

describe('Downloads that cannot be stored', () => {
  it.each(['ENOSPC', 'EDQUOT', 'EIO'])(
    'give every reader all of it when the disk fails with %s in the middle (F19)',
    async (code) => {
      const { bytes, digest } = contentOf(6 * MIB);
      const { start, heldSize, faults, downloads, server } = await room(serving(bytes), {
        spools: new SmallSpools(2 * MIB + 100, code),
      });
      const download = start(digest);
      const parts: [number, number | undefined][] = [
        [0, undefined],
        [0, undefined],
        [MIB, undefined],
        [5 * MIB, undefined],
        [100, 5 * MIB],
        [6 * MIB - 1, undefined],
        [10, 20],
        [5 * MIB, 5 * MIB + 100],
      ];

      const got = await Promise.all(parts.map(([from, to]) => received(download.body(from, to))));

      for (const [index, [from, to]] of parts.entries())
        expect(got[index]?.equals(bytes.subarray(from, to))).toBe(true);
      expect(await download.finished).toEqual({ stored: false });
      expect(downloads.running(SOMEWHERE, digest)).toBeUndefined();
      expect(await heldSize(digest)).toBeUndefined();
      expect(faults).toHaveLength(1);
      await eventually('no connection waits', () => server.open < parts.length);
      // Each asks for no more than it lacks: what is to be proved from where the others stopped, a part from where it begins.
      const at = download.received;
      const asked = new Set(server.requests.map(({ headers }) => headers.range));
      for (const range of asked)
        expect([
          undefined,
          `bytes=${at}-`,
          `bytes=${at}-${5 * MIB - 1}`,
          `bytes=${5 * MIB}-${5 * MIB + 99}`,
        ]).toContain(range);
    },
  );

  it('are asked for again with the last byte before, where nobody knows whether it is the last', async () => {
    const { bytes, digest } = contentOf(4 * MIB);
    const { start, server } = await room(serving(bytes), { spools: new SmallSpools(MIB) });
    server.queue(answer(200, bytes, { 'content-length': undefined }));
    const download = start(digest);

    const got = await Promise.all([0, 0].map((from) => received(download.body(from))));

    expect(got.map((some) => some.equals(bytes))).toEqual([true, true]);
    expect(server.requests.map(({ headers }) => headers.range)).toEqual([
      undefined,
      `bytes=${download.received - 1}-`,
    ]);
  });

  it('are all there for all where the disk fails just before the last bytes', async () => {
    const { bytes, digest } = contentOf(100_000);
    const gated = new Gated(bytes);
    const full = Promise.withResolvers<Spool>();
    const { start, server } = await room(gated.serve, { spools: { create: () => full.promise } });
    const download = start(digest);
    const sending = [0, 0].map((from) => received(download.body(from)));
    await gated.sendTo(99_990);
    await eventually('all but its end is there', () => download.received === 99_990);
    full.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' }));

    await gated.sendTo(bytes.length);

    const got = await Promise.all(sending);
    expect(got.map((some) => some.equals(bytes))).toEqual([true, true]);
    expect(await download.finished).toEqual({ stored: false });
    expect(server.requests).toHaveLength(1);
  });

  it('have room asked for as announced, before anything is written', async () => {
    const { bytes, digest } = contentOf(MIB);
    const asked: number[] = [];
    const makeRoom = (size: number) => Promise.resolve(asked.push(size) > 0);
    const { start } = await room(serving(bytes), { over: { makeRoom } });

    await received(start(digest).body(0));

    expect(asked).toEqual([MIB]);
  });

  it('are the fault of whichever mirror sent them wrong', async () => {
    const { bytes, digest } = contentOf(4 * MIB);
    const { downloads, server, settle } = await room(corrupt(bytes, 3 * MIB), {
      spools: new SmallSpools(MIB),
    });
    server.handler = serving(Buffer.from(bytes).fill(0, 3 * MIB, 3 * MIB + 10));
    const ask = asking(server);
    const distrusted = new Set<number>();
    let count = 0;
    const download = downloads.start(
      SOMEWHERE,
      digest,
      async (...part) => {
        const each = (count += 1);
        return { ...(await ask(...part)), mirror: { distrust: () => void distrusted.add(each) } };
      },
      settle,
    );

    await Promise.allSettled([0, 0, 0].map((from) => received(download.body(from))));

    expect(count).toBe(3);
    expect([...distrusted].sort()).toEqual([1, 2, 3]);
  });

  it('still verify, and withhold the last byte', async () => {
    const { bytes, digest } = contentOf(4 * MIB);
    const wrong = Buffer.from(bytes);
    wrong[3 * MIB] = (wrong[3 * MIB] ?? 0) ^ 1;
    const { start, downloads } = await room(serving(wrong), { spools: new SmallSpools(MIB) });
    const download = start(digest);
    const sinks = [new Sink(), new Sink()];

    const outcomes = await Promise.allSettled(sinks.map((sink) => download.body(0).sendTo(sink)));

    for (const outcome of outcomes)
      expect(outcome).toMatchObject({ reason: expect.any(DigestMismatch) as unknown });
    expect(sinks.map(({ received }) => received)).toEqual([4 * MIB - 1, 4 * MIB - 1]);
    expect(downloads.mismatches).toBe(2);
  });

  it.each([
    ['nothing is stored at all', { storing: false }],
    ['it would not fit', { makeRoom: () => Promise.resolve(false) }],
    ['room cannot be made', { makeRoom: () => Promise.reject(new Error('broken')) }],
  ])('ask the upstream once for one reader when %s', async (_what, over) => {
    const { bytes, digest } = contentOf(3 * MIB);
    const { start, server, downloads, folder } = await room(serving(bytes), { over });
    const download = start(digest);
    const leave = download.join();
    await download.opened;
    const body = download.body(0);
    leave();

    expect((await received(body)).equals(bytes)).toBe(true);
    expect(await download.finished).toEqual({ stored: false });
    expect(server.requests).toHaveLength(1);
    expect(downloads.running(SOMEWHERE, digest)).toBeUndefined();
    expect(readdirSync(join(folder, 'spool'))).toEqual([]);
  });

  it('give wrong bytes to nobody then either', async () => {
    const { bytes, digest } = contentOf(MIB);
    const { start } = await room(corrupt(bytes), { over: { storing: false } });
    const sink = new Sink();

    await expect(start(digest).body(0).sendTo(sink)).rejects.toBeInstanceOf(DigestMismatch);
    expect(sink.received).toBe(MIB - 1);
  });

  it('give content without a length, and stop writing it when there is no more room', async () => {
    const { bytes, digest } = contentOf(20 * MIB);
    let asked = 0;
    const over = {
      makeRoom: () => {
        asked += 1;
        return Promise.resolve(asked < 3);
      },
    };
    const unannounced = answer(200, bytes, { 'content-length': undefined });
    const { start } = await room(unannounced, { over });
    const download = start(digest);
    const bodies = [download.body(0), download.body(MIB), download.body(7, 11)];

    const [all, most, part] = await Promise.all(bodies.map(received));

    expect(all?.equals(bytes)).toBe(true);
    expect(most?.equals(bytes.subarray(MIB))).toBe(true);
    expect(part?.equals(bytes.subarray(7, 11))).toBe(true);
    expect(asked).toBe(3);
    expect(await download.finished).toEqual({ stored: false });
  });

  it('are all there when the disk fails for the very last bytes', async () => {
    const { bytes, digest } = contentOf(MIB);
    const { start, server } = await room(serving(bytes), { spools: new SmallSpools(MIB - 1) });
    const download = start(digest);

    const got = await Promise.all([0, 9].map((from) => received(download.body(from))));

    expect(got[0]?.equals(bytes)).toBe(true);
    expect(got[1]?.equals(bytes.subarray(9))).toBe(true);
    expect(await download.finished).toEqual({ stored: false });
    expect(server.requests.length).toBeLessThanOrEqual(2);
  });

  it('are all there when the disk fails at an end that nobody foresaw', async () => {
    const { bytes, digest } = contentOf(20_000);
    const begun = Promise.withResolvers<ServerResponse>();
    const full = Promise.withResolvers<Spool>();
    const { start, server } = await room(serving(bytes), {
      spools: { create: () => full.promise },
    });
    server.queue((_request, response) => begun.resolve(response));
    const download = start(digest);
    const sending = [0, 0, 7].map((from) => received(download.body(from)));
    const response = await begun.promise;
    response.write(bytes.subarray(0, 1000));
    await eventually('it has begun', () => download.received === 1000);
    full.reject(Object.assign(new Error('no space left'), { code: 'ENOSPC' }));

    // All of it is there before anybody knows, and each is left with the question whether there is more.
    response.write(bytes.subarray(1000));
    expect(await download.finished).toEqual({ stored: false });
    response.end();

    const got = await Promise.all(sending);
    expect(got.map((some) => some.equals(bytes))).toEqual([true, true, false]);
    expect(got[2]?.equals(bytes.subarray(7))).toBe(true);
    expect(server.requests).toHaveLength(3);
  });

  it('are not stored when they cannot be settled, and all the same right', async () => {
    const { bytes, digest } = contentOf(MIB);
    const { downloads, server, logged } = await room(serving(bytes));
    const download = downloads.start(SOMEWHERE, digest, asking(server), () =>
      Promise.reject(new Error('index gone')),
    );

    expect((await received(download.body(0))).equals(bytes)).toBe(true);
    expect(await download.finished).toEqual({ stored: false });
    expect(logged.join('')).toContain('index gone');
  });

  it('leave no connection behind when the clients leave', async () => {
    const { bytes, digest } = contentOf(4 * MIB);
    const { start, server, buffers, downloads } = await room(stallAfter(bytes, 2 * MIB), {
      spools: new SmallSpools(MIB),
    });
    const download = start(digest);
    const sinks = [new Sink(), new Sink(), new Sink(true)];
    const sending = sinks.map((sink) =>
      download
        .body(0)
        .sendTo(sink)
        .catch(() => undefined),
    );
    await eventually('all that came was sent', () =>
      sinks.slice(0, 2).every(({ received }) => received >= MIB),
    );

    for (const sink of sinks) sink.destroy();
    await Promise.all(sending);

    await eventually('the connections end', () => server.open === 0);
    expect(buffers.out).toBe(0);
    expect(downloads.mismatches).toBe(0);
  });

  it('break off for a reader to whom the upstream has another content now', async () => {
    const { bytes, digest } = contentOf(4 * MIB);
    const { start, server } = await room(serving(Buffer.concat([bytes, bytes])), {
      spools: new SmallSpools(MIB),
    });
    server.queue(serving(bytes));
    const download = start(digest);

    const got = await Promise.allSettled([0, 0].map((from) => received(download.body(from))));

    expect(got.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(got.find(({ status }) => status === 'rejected')).toMatchObject({
      reason: {
        code: 'BAD_UPSTREAM',
        message: 'the upstream registry has another content there now',
      },
    });
    await eventually('no connection waits', () => server.open <= 1);
  });

  it('break off for a reader where the spool cannot be read, and keep no buffer', async () => {
    const { bytes, digest } = contentOf(8 * MIB);
    const folder = freshFolder('unreadable');
    const store = await DiskStore.open(folder);
    atTheEnd(() => store.close());
    const spools: Spools = {
      create: async () => Object.assign(await store.create(), { read: () => Promise.resolve(0) }),
    };
    const { start, buffers } = await room(serving(bytes), { spools });
    const download = start(digest);
    const keepsUp = received(download.body(0)).catch(() => undefined);
    await download.finished.catch(() => undefined);

    const late = received(download.body(0));

    await expect(late).rejects.toThrow('a spool is shorter than what was written to it');
    await keepsUp;
    expect(buffers.out).toBe(0);
  });

  it('end the upstream when nobody is there to take it over', async () => {
    const { bytes, digest } = contentOf(4 * MIB);
    const gated = new Gated(bytes);
    const { start, server } = await room(gated.serve, { over: { storing: false } });
    const download = start(digest);
    const leave = download.join();
    await gated.sendTo(MIB);
    expect(await download.finished).toEqual({ stored: false });
    expect(server.open).toBe(1);

    leave();

    await eventually('the connection ends', () => server.open === 0);
  });

  it('go on from a disk that is really full', async () => {
    const folder = freshFolder('full');
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], { stdio: 'ignore' });
    } catch {
      // Only root may mount; the made-up full disk above stands for it then.
      return;
    }
    atTheEnd(() => execFileSync('umount', ['-l', folder]));
    const store = await DiskStore.open(folder);
    atTheEnd(() => store.close());
    const { bytes, digest } = contentOf(8 * MIB);
    const { start, faults } = await room(serving(bytes), { spools: store });
    const download = start(digest);

    const got = await Promise.all([0, MIB].map((from) => received(download.body(from))));

    expect(got[0]?.equals(bytes)).toBe(true);
    expect(got[1]?.equals(bytes.subarray(MIB))).toBe(true);
    expect(faults).toHaveLength(1);
    expect(readdirSync(join(folder, 'spool'))).toEqual([]);
  });
});
