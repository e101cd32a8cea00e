import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import {
  asking,
  contentOf,
  Delivery,
  downloadRoom,
  faultServer,
  Gated,
  serving,
  Sink,
  SOMEWHERE,
} from '../../../test/support/content-room';
import {
  answer,
  corrupt,
  endEarly,
  huge,
  resetAfter,
  stallAfter,
  truncate,
  type Behaviour,
} from '../../../test/support/fault-server';
import { eventually } from '../../../test/support/lifecycle';
import { digestOf, type Digest } from '../../oci/digest';
import type { Body } from '../body/body';
import { DigestMismatch } from './digest-mismatch';
import { ClientGone } from '../body/outlet';
import type { Download } from './download';

const KIB = 1024;
const MIB = 1024 * KIB;

async function room(behaviour: Behaviour, idle?: number) {
  const server = await faultServer(behaviour);
  const room = await downloadRoom();
  const ask = asking(server, idle);
  const start = (digest: Digest) => room.downloads.start(SOMEWHERE, digest, ask, room.settle);
  return { ...room, server, start };
}

async function received(body: Body): Promise<Buffer> {
  const sink = new Sink();
  await body.sendTo(sink);
  return sink.bytes;
}

/** Sends to a sink, and settles with the error it ended with. */
function sent(body: Body, sink: Sink): Promise<unknown> {
  return body.sendTo(sink).then(
    () => undefined,
    (error: unknown) => error,
  );
}

/** All that is to be done at once is done. */
async function turns(): Promise<void> {
  for (let n = 0; n < 3; n += 1) await new Promise((resolve) => setImmediate(resolve));
}

function spools(folder: string): string[] {
  return readdirSync(join(folder, 'spool'));
}

describe('Downloads', () => {
  describe('one fetch, many readers', () => {
    it('asks the upstream once for 50 clients, and gives each of them all of it (F21)', async () => {
      const { bytes, digest } = contentOf(8 * MIB);
      const { server, start, heldSize, settled, buffers } = await room(serving(bytes));
      const delivery = await Delivery.start();
      const download = start(digest);
      const bodies = Array.from({ length: 50 }, () => download.body(0));
      await download.opened;

      const got = await Promise.all(bodies.map((body) => delivery.get(body)));

      expect(got.every(({ whole, bytes: some }) => whole && some.equals(bytes))).toBe(true);
      expect(server.requests).toHaveLength(1);
      expect(await download.finished).toEqual({ stored: true });
      expect(await heldSize(digest)).toBe(bytes.length);
      expect(settled).toEqual([bytes.length]);
      expect(buffers.out).toBe(0);
    });

    it('gives the first byte as soon as it is there', async () => {
      const { bytes, digest } = contentOf(100_000);
      const gated = new Gated(bytes);
      const { start } = await room(gated.serve);
      const sink = new Sink();
      const sending = start(digest).body(0).sendTo(sink);

      await gated.sendTo(1);
      await eventually('the first byte', () => sink.received === 1);

      await gated.sendTo(bytes.length);
      await sending;
      expect(sink.bytes.equals(bytes)).toBe(true);
    });

    it('lets readers begin anywhere, at any time', async () => {
      const { bytes, digest } = contentOf(5 * MIB);
      const gated = new Gated(bytes);
      const { start, server } = await room(gated.serve);
      const download = start(digest);
      const first = received(download.body(0));
      await gated.sendTo(3 * MIB);
      await eventually('half of it', () => download.received === 3 * MIB);
      const parts: [number, number | undefined][] = [
        [0, undefined],
        [MIB, undefined],
        [3 * MIB + 7, undefined],
        [4 * MIB, 4 * MIB + 1],
        [100, 2 * MIB],
        [5 * MIB - 1, undefined],
        [2 * MIB, 9 * MIB],
      ];
      const bodies = parts.map(([from, to]) => download.body(from, to));
      const others = bodies.map(received);

      await gated.sendTo(bytes.length);

      expect((await first).equals(bytes)).toBe(true);
      for (const [index, part] of (await Promise.all(others)).entries()) {
        const [from, to] = parts[index]!;
        expect(part.equals(bytes.subarray(from, to))).toBe(true);
        expect(bodies[index]?.length).toBe(part.length);
      }
      expect(server.requests).toHaveLength(1);
    });

    it('lets readers come while the content is being put away', async () => {
      const { bytes, digest } = contentOf(MIB);
      const { downloads, server } = await room(serving(bytes));
      const settling = Promise.withResolvers<boolean>();
      const download = downloads.start(SOMEWHERE, digest, asking(server), () => settling.promise);
      await received(download.body(0));

      expect(downloads.running(SOMEWHERE, digest)).toBe(download);
      expect((await received(download.body(5))).equals(bytes.subarray(5))).toBe(true);

      settling.resolve(true);
      await download.finished;
      expect(downloads.running(SOMEWHERE, digest)).toBeUndefined();
    });

    it('serves a range that ends before the last byte at once', async () => {
      const { bytes, digest } = contentOf(200_000);
      const gated = new Gated(bytes);
      const { start } = await room(gated.serve);
      const download = start(digest);
      const leave = download.join();
      await gated.sendTo(100_000);

      const part = await received(download.body(50_000, 99_999));

      expect(part.equals(bytes.subarray(50_000, 99_999))).toBe(true);
      leave();
    });

    it('withholds the last byte alone until all is there', async () => {
      const { bytes, digest } = contentOf(100_000);
      const gated = new Gated(bytes, false);
      const { start } = await room(gated.serve);
      const sink = new Sink();
      const body = start(digest).body(0);
      const sending = body.sendTo(sink);
      await gated.sendTo(50_000);
      await eventually('what is there', () => sink.received === 49_999);

      await gated.sendTo(bytes.length);
      await sending;

      expect(body.length).toBeUndefined();
      expect(sink.bytes.equals(bytes)).toBe(true);
    });

    it('lets neither a slow nor a stalled client hold up the fetch, or the others', async () => {
      const { bytes, digest } = contentOf(24 * MIB);
      const { start, buffers } = await room(serving(bytes));
      const delivery = await Delivery.start();
      const download = start(digest);
      await download.opened;
      const stalled = Array.from({ length: 60 }, () => delivery.stalled(download.body(0)));
      const fast = await Promise.all(
        Array.from({ length: 4 }, () => delivery.get(download.body(0))),
      );

      expect(fast.every(({ whole, bytes: some }) => whole && some.equals(bytes))).toBe(true);
      expect(await download.finished).toEqual({ stored: true });
      expect(download.readers).toBe(stalled.length);
      expect(buffers.out).toBeLessThan(80 * MIB);
      for (const socket of stalled) socket.destroy();
      await eventually('they are gone', () => download.readers === 0 && buffers.out === 0);
    });

    it('holds an empty content, once it is verified', async () => {
      const { bytes, digest } = contentOf(0);
      const { start, heldSize } = await room(serving(bytes));
      const download = start(digest);
      const body = download.body(0);

      expect(await received(body)).toHaveLength(0);
      expect(body.length).toBe(0);
      expect(await download.finished).toEqual({ stored: true });
      expect(await heldSize(digest)).toBe(0);
    });

    it('tells what is running', async () => {
      const { bytes, digest } = contentOf(100_000);
      const gated = new Gated(bytes);
      const { start, downloads } = await room(gated.serve);
      const body = start(digest).body(0);
      const sending = received(body);
      await gated.sendTo(1000);

      const [running] = await eventually('it is under way', () =>
        downloads.all.some((one) => one.received === 1000) ? downloads.all : undefined,
      );

      expect(running).toMatchObject({ digest, received: 1000, total: 100_000, readers: 1 });
      expect(() => start(digest)).toThrow('this content is being fetched already');
      await gated.sendTo(bytes.length);
      await sending;
    });
  });

  describe('verified', () => {
    it.each([
      ['a wrong byte', (bytes: Buffer) => corrupt(bytes, 300_000)],
      ['a page of HTML', (bytes: Buffer) => answer(200, Buffer.alloc(bytes.length, '<p>'))],
    ])(
      'breaks all transfers one byte short for %s, and holds nothing (S5, F6)',
      async (_w, make) => {
        const { bytes, digest } = contentOf(MIB);
        const { start, heldSize, downloads, folder, logged, server, settled } = await room(
          make(bytes),
        );
        const delivery = await Delivery.start();
        const download = start(digest);
        await download.opened;
        const bodies = Array.from({ length: 5 }, () => download.body(0));

        const got = await Promise.all(bodies.map((body) => delivery.get(body)));

        expect(got.some(({ whole }) => whole)).toBe(false);
        expect(got.every(({ bytes: some }) => some.length < bytes.length)).toBe(true);
        expect(delivery.outcomes.every((error) => error instanceof DigestMismatch)).toBe(true);
        await expect(download.finished).rejects.toBeInstanceOf(DigestMismatch);
        expect(downloads.mismatches).toBe(1);
        expect(downloads.running(SOMEWHERE, digest)).toBeUndefined();
        expect(await heldSize(digest)).toBeUndefined();
        expect(spools(folder)).toEqual([]);
        expect(settled).toEqual([]);
        expect(logged.join('')).toContain(server.host);
      },
    );

    it('gives everything but the last byte before it knows', async () => {
      const { bytes, digest } = contentOf(100_000);
      const gated = new Gated(Buffer.from(bytes).fill(0, 0, 10));
      const { start } = await room(gated.serve);
      const sink = new Sink();
      const sending = sent(start(digest).body(0), sink);
      await gated.sendTo(bytes.length - 1);
      await eventually('all but the last byte', () => sink.received === bytes.length - 1);

      await gated.sendTo(bytes.length);

      expect(await sending).toBeInstanceOf(DigestMismatch);
      expect(sink.received).toBe(bytes.length - 1);
    });

    it('has whoever asks for what is behind the last byte wait for the digest, too', async () => {
      const { bytes, digest } = contentOf(100_000);
      const gated = new Gated(Buffer.from(bytes).fill(0, 0, 10));
      const { start } = await room(gated.serve);
      const download = start(digest);
      const leave = download.join();
      await gated.sendTo(1);
      expect(await download.opened).toEqual({ total: 100_000 });

      const sending = sent(download.body(100_000), new Sink());
      await gated.sendTo(bytes.length);

      expect(await sending).toBeInstanceOf(DigestMismatch);
      leave();
    });

    it('breaks a client that holds back, too', async () => {
      const { bytes, digest } = contentOf(MIB);
      const { start, buffers } = await room(corrupt(bytes));
      const sink = new Sink(true);

      const error = await sent(start(digest).body(0), sink);

      expect(error).toBeInstanceOf(DigestMismatch);
      expect(buffers.out).toBe(0);
    });

    it('takes an early end without a length for no end (F5)', async () => {
      const { bytes, digest } = contentOf(MIB);
      const { start, heldSize } = await room(endEarly(bytes, 600_000));
      const sink = new Sink();

      expect(await sent(start(digest).body(0), sink)).toBeInstanceOf(DigestMismatch);
      expect(sink.received).toBeLessThan(600_000);
      expect(await heldSize(digest)).toBeUndefined();
    });

    it('knows an empty answer for a wrong one', async () => {
      const { digest } = contentOf(10);
      const { start } = await room(answer(200, ''));

      expect(await sent(start(digest).body(0), new Sink())).toBeInstanceOf(DigestMismatch);
    });

    it('verifies sha512', async () => {
      const { bytes } = contentOf(1000);
      const { createHash } = await import('node:crypto');
      const digest = `sha512:${createHash('sha512').update(bytes).digest('hex')}` as Digest;
      const { start } = await room(serving(bytes));
      const download = start(digest);

      expect((await received(download.body(0))).equals(bytes)).toBe(true);
      expect(await download.finished).toEqual({ stored: true });
    });
  });

  describe('resumed', () => {
    const { bytes, digest } = contentOf(MIB);

    it.each([
      ['a reset (F3)', [resetAfter(bytes, 500_000)]],
      ['silence (F4)', [stallAfter(bytes, 500_000)]],
      ['an early end (F5)', [truncate(bytes, 500_000)]],
      ['a 200 in place of a 206', [resetAfter(bytes, 500_000), answer(200, bytes)]],
      ['two breaks', [resetAfter(bytes, 500_000), answer(503)]],
    ])('goes on after %s, and no client notices', async (_what, behaviours) => {
      const { start, server } = await room(serving(bytes), 200);
      server.queue(...behaviours);
      const download = start(digest);

      const got = await Promise.all([0, 100, 700_000].map((from) => received(download.body(from))));

      expect(got[0]?.equals(bytes)).toBe(true);
      expect(got[1]?.equals(bytes.subarray(100))).toBe(true);
      expect(got[2]?.equals(bytes.subarray(700_000))).toBe(true);
      expect(await download.finished).toEqual({ stored: true });
    });

    it('breaks off after the third attempt, and holds nothing', async () => {
      const { start, server, heldSize, folder, downloads } = await room(resetAfter(bytes, 0));
      server.queue(resetAfter(bytes, 500_000));
      const download = start(digest);
      const sink = new Sink();

      const error = await sent(download.body(0), sink);

      expect(error).toMatchObject({ code: 'BAD_UPSTREAM' });
      expect(error).not.toBeInstanceOf(DigestMismatch);
      expect(bytes.subarray(0, sink.received).equals(sink.bytes)).toBe(true);
      await expect(download.finished).rejects.toBe(error);
      expect(server.requests).toHaveLength(4);
      expect(await heldSize(digest)).toBeUndefined();
      expect(spools(folder)).toEqual([]);
      expect(downloads.running(SOMEWHERE, digest)).toBeUndefined();
    });

    it('gives the refusal to all who wait', async () => {
      const { start, downloads } = await room(answer(404));
      const download = start(digest);

      const error = await sent(download.body(0), new Sink());

      expect(error).toMatchObject({ code: 'BLOB_UNKNOWN' });
      await expect(download.opened).rejects.toBe(error);
      await expect(download.finished).rejects.toBe(error);
      expect(downloads.running(SOMEWHERE, digest)).toBeUndefined();
    });
  });

  describe('left', () => {
    const { bytes, digest } = contentOf(4 * MIB);

    async function begun(end: number) {
      const gated = new Gated(bytes);
      const all = await room(gated.serve);
      const download = all.start(digest);
      const sink = new Sink();
      const sending = sent(download.body(0), sink);
      await gated.sendTo(end);
      await eventually('it came', () => download.received === end);
      return { ...all, gated, download, sink, sending };
    }

    it('is given up when the last reader leaves before half of it is there (F14)', async () => {
      const { download, sink, sending, server, downloads, folder } = await begun(MIB);

      sink.destroy();

      expect(await sending).toBeInstanceOf(ClientGone);
      await expect(download.finished).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: 'the fetch was given up',
      });
      await eventually('the connection ends', () => server.open === 0);
      expect(spools(folder)).toEqual([]);
      expect(downloads.running(SOMEWHERE, digest)).toBeUndefined();
    });

    it('goes on when the last reader leaves behind the half', async () => {
      const { download, downloads, sink, sending, gated, heldSize } = await begun(2 * MIB + 1);

      sink.destroy();
      await sending;
      await turns();
      expect(downloads.running(SOMEWHERE, digest)).toBe(download);
      await gated.sendTo(bytes.length);

      expect(await download.finished).toEqual({ stored: true });
      expect(await heldSize(digest)).toBe(bytes.length);
    });

    it('goes on for the others', async () => {
      const { download, sink, sending, gated } = await begun(MIB);
      const other = received(download.body(0));

      sink.destroy();
      await sending;
      await gated.sendTo(bytes.length);

      expect((await other).equals(bytes)).toBe(true);
    });

    it('goes on for one who joins as the last one leaves', async () => {
      const { download, sink, sending, gated } = await begun(MIB);

      sink.destroy();
      await sending;
      const body = download.body(0);
      await gated.sendTo(bytes.length);

      expect((await received(body)).equals(bytes)).toBe(true);
    });

    it('goes on while it is joined, without a reader', async () => {
      const { download, downloads, sink, sending, gated } = await begun(MIB);
      const leave = download.join();
      sink.destroy();
      await sending;

      await gated.sendTo(2 * MIB);
      await eventually('more of it', () => download.received === 2 * MIB);
      const leaveAsWell = download.join();
      leave();
      leave();
      await turns();
      expect(downloads.running(SOMEWHERE, digest)).toBe(download);
      leaveAsWell();

      await expect(download.finished).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });

    it('is given up when bodies are closed unsent', async () => {
      const { download, sink, sending, server } = await begun(MIB);
      const body = download.body(0);
      sink.destroy();
      await sending;
      expect(download.readers).toBe(1);

      body.close();

      await expect(download.finished).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      await eventually('the connection ends', () => server.open === 0);
      expect(await sent(body, new Sink())).toBeInstanceOf(ClientGone);
    });

    it('lets a client go at once while it waits for the upstream, or holds back', async () => {
      const { download, sink, sending } = await begun(MIB);
      const holding = new Sink(true);
      const waiting = sent(download.body(0), holding);
      await eventually('it holds back', () => holding.writableLength > 0);

      holding.destroy();
      sink.destroy();

      expect(await waiting).toBeInstanceOf(ClientGone);
      expect(await sending).toBeInstanceOf(ClientGone);
      expect(download.readers).toBe(0);
    });

    it('settles at once for a client who is gone already', async () => {
      const { download, sink } = await begun(MIB);
      const gone = new Sink();
      gone.destroy();

      expect(await sent(download.body(0), gone)).toBeInstanceOf(ClientGone);
      sink.destroy();
    });

    it('is given up before the upstream has answered, too', async () => {
      const { start, server } = await room(() => undefined);
      const download = start(digest);
      const body = download.body(0);
      await eventually('it was asked', () => server.requests.length === 1);

      body.close();

      await expect(download.opened).rejects.toMatchObject({ code: 'UNAVAILABLE' });
      await eventually('the connection ends', () => server.open === 0);
    });

    it('has nothing more for whoever comes when nothing is left of it', async () => {
      const { start } = await room(serving(bytes));
      const download = start(digest);
      await received(download.body(0));
      await download.finished;
      await turns();

      const late = download.body(0);

      expect(await sent(late, new Sink())).toBeInstanceOf(ClientGone);
      expect(download.readers).toBe(0);
    });

    it('lets go of the clients that it has served', async () => {
      const { start } = await room(serving(bytes));
      const sink = new Sink();
      const before = sink.listenerCount('close');

      await start(digest).body(0).sendTo(sink);

      expect(sink.listenerCount('close')).toBe(before);
    });

    it('leaves nothing behind after 100 clients have left (F14)', async () => {
      const { start, server, downloads, buffers, folder } = await room(huge(64 * MIB));
      const fetches: Download[] = [];
      const leaving = Array.from({ length: 10 }, async (_, n) => {
        const download = start(digestOf(Buffer.from(`${n}`)));
        fetches.push(download);
        await Promise.all(
          Array.from({ length: 10 }, async () => {
            const sink = new Sink();
            const sending = sent(download.body(0), sink);
            await eventually('some of it', () => sink.received > 0);
            sink.destroy();
            await sending;
          }),
        );
      });
      await Promise.all(leaving);
      await Promise.allSettled(fetches.map(({ finished }) => finished));

      await eventually('no connection', () => server.open === 0);
      expect(downloads.all).toEqual([]);
      expect(buffers.out).toBe(0);
      expect(spools(folder)).toEqual([]);
    });
  });

  describe('told in the log', () => {
    const { bytes, digest } = contentOf(100_000);

    /** What is told of a fetch by one reader, who may leave in the middle of it. */
    async function told(behaviour: Behaviour, leaves = false) {
      const { start, logged, server } = await room(behaviour);
      const began = performance.now();
      const download = start(digest);
      const sink = new Sink();
      const sending = sent(download.body(0), sink);
      if (leaves) {
        await eventually('some of it', () => sink.received > 0);
        sink.destroy();
      }
      await sending;
      await download.finished.catch(() => undefined);
      await turns();
      const lines = logged.map((line) => JSON.parse(line) as Record<string, unknown>);
      return { lines, host: server.host, took: performance.now() - began };
    }

    it('is what was fetched, from where, and how long that took', async () => {
      const { lines, host, took } = await told(serving(bytes));

      expect(lines).toMatchObject([
        { level: 30, msg: 'fetched', digest, bytes: 100_000, host, resumed: 0, stored: true },
      ]);
      expect(lines[0]?.['ms']).toBeGreaterThanOrEqual(0);
      expect(lines[0]?.['ms']).toBeLessThanOrEqual(Math.ceil(took));
    });

    it('is hardly that nobody wanted it any more', async () => {
      const { lines } = await told(stallAfter(bytes, 1000), true);

      expect(lines).toMatchObject([{ level: 20, msg: 'a fetch was given up', digest }]);
    });

    it('is that it broke off', async () => {
      const { lines, host } = await told(resetAfter(bytes, 1000));
      const message = expect.stringMatching(
        /^the upstream registry broke its answer off/,
      ) as string;

      expect(lines).toMatchObject([
        {
          level: 40,
          msg: 'a fetch broke off',
          digest,
          host,
          err: { message },
        },
      ]);
    });

    it('is that it was something else', async () => {
      const { lines, host } = await told(corrupt(bytes));

      expect(lines).toMatchObject([
        {
          level: 40,
          msg: 'the upstream sent content that is not what its digest says',
          digest,
          host,
        },
      ]);
    });

    it('is no refusal', async () => {
      expect((await told(answer(404))).lines).toEqual([]);
    });
  });

  describe('closed', () => {
    it('ends fetches and readers, and waits for what is being put away', async () => {
      const { bytes, digest } = contentOf(MIB);
      const gated = new Gated(bytes);
      const { start, downloads, server } = await room(gated.serve);
      const settling = Promise.withResolvers<boolean>();
      const small = contentOf(10);
      const done = await faultServer(serving(small.bytes));
      const whole = downloads.start(SOMEWHERE, small.digest, asking(done), () => settling.promise);
      await received(whole.body(0));
      const download = start(digest);
      const waiting = sent(download.body(0), new Sink());
      const holding = new Sink(true);
      const holdingBack = sent(download.body(0), holding);
      await gated.sendTo(1000);
      await eventually('it holds back', () => holding.writableLength > 0);

      const closing = downloads.close();
      expect(downloads.all).toEqual([]);
      expect(await holdingBack).toMatchObject({ code: 'UNAVAILABLE' });
      expect(await waiting).toMatchObject({
        code: 'UNAVAILABLE',
        message: 'the gate is stopping',
      });
      settling.resolve(true);
      await closing;

      expect(await whole.finished).toEqual({ stored: true });
      await eventually('the connection ends', () => server.open === 0);
      await expect(start(digest).finished).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });
  });
});
