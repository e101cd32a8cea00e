import fc from 'fast-check';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { arriving, at, bodyClient, bytesOf } from '../../test/support/body-clients';
import { selfSigned } from '../../test/support/certificates';
import {
  answer,
  FaultServer,
  huge,
  resetAfter,
  stallAfter,
  truncate,
  wrongLength,
} from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';
import { registryAt } from '../../test/support/upstream-fixture';
import { startWire } from '../../test/support/wire';
import { ArrivingBody } from './arriving-body';
import { BodyBlocks } from './body-blocks';
import { wayTo } from './way';

const KIB = 1024;
const BODY = randomBytes(3_000_000);

function milliseconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count));
}

const collect = (() => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();

/** Bytes that are in use, and not merely not collected. */
function arrayBuffers(): number {
  collect();
  return process.memoryUsage().arrayBuffers;
}

describe('a body', () => {
  it.each([
    ['is reset', resetAfter(BODY, 1_000_000)],
    ['ends early', truncate(BODY, 1_000_000)],
    ['is shorter than announced', wrongLength(BODY.subarray(0, 1_000_000), BODY.length)],
    ['stalls', stallAfter(BODY, 1_000_000)],
  ])('that %s fails, and what came of it is right', async (_what, behaviour) => {
    const server = await FaultServer.start({ handler: behaviour });
    const { body } = await arriving(bodyClient({ idleTimeout: 200 }).get(at(server.url)));
    const chunks: Buffer[] = [];

    const reading = (async () => {
      for await (const chunk of body) chunks.push(Buffer.from(chunk));
    })();

    await expect(reading).rejects.toThrow();
    const got = Buffer.concat(chunks);
    expect(got.equals(BODY.subarray(0, got.length))).toBe(true);
    await expect(body.next()).rejects.toThrow();
    await eventually('the connection ends', () => server.open === 0);
  });

  it('waits for a slow reader, in little memory and longer than the upstream may be silent', async () => {
    let response: ServerResponse | undefined;
    const size = 64 * KIB * KIB;
    const server = await FaultServer.start({
      handler: (request: IncomingMessage, answering: ServerResponse, seen) => {
        response = answering;
        return huge(size, { 'content-length': size })(request, answering, seen);
      },
    });
    const { body } = await arriving(bodyClient({ idleTimeout: 400 }).get(at(server.url)));
    await milliseconds(1_200);
    const written = response?.socket?.bytesWritten ?? Infinity;
    const held: number[] = [];

    let read = 0;
    for (let chunk = await body.next(); chunk; chunk = await body.next()) {
      read += chunk.length;
      if (read < 2_000_000) await milliseconds(5);
      if (held.length * 8 * KIB * KIB < read) held.push(arrayBuffers());
    }

    // What the system holds on either side is its own affair.
    expect(written).toBeLessThan(32 * KIB * KIB);
    // What tests before this one left is let go after the first look.
    const [, ...later] = held;
    expect(Math.max(...later) - Math.min(...later)).toBeLessThan(16 * KIB * KIB);
    expect(read).toBe(size);
  });

  it.each([['in the clear'], ['over TLS']])(
    'holds what is in hand until more is asked for, %s',
    async (how) => {
      const tls = how === 'over TLS' ? selfSigned([], ['127.0.0.1']) : undefined;
      const server = await FaultServer.start({ handler: answer(200, BODY), tls });
      const way = { ...wayTo(registryAt(server.url), 'own'), ca: tls?.cert };
      let chunks = 0;
      // So long, now and then, that all that is let in meanwhile is there.
      const inHand = () => milliseconds((chunks += 1) % 3 === 0 ? 10 : 0);

      const { body } = await arriving(bodyClient().get(at(server.url, { way })));

      expect((await bytesOf(body, inHand)).equals(BODY)).toBe(true);
    },
  );

  it('comes in the same few blocks to a reader who keeps up', async () => {
    const size = 64 * KIB * KIB;
    const server = await FaultServer.start({ handler: huge(size, { 'content-length': size }) });
    const { body } = await arriving(bodyClient().get(at(server.url)));
    const before = arrayBuffers();
    let most = 0;

    // Not collected meanwhile: what is let go still counts.
    for await (const { length } of body)
      if (length > 0) most = Math.max(most, process.memoryUsage().arrayBuffers - before);

    expect(most).toBeLessThan(8 * KIB * KIB);
  });

  it('ends its connection when it is destroyed, and says so to whoever reads', async () => {
    const server = await FaultServer.start({ handler: stallAfter(BODY, 10) });
    const { body } = await arriving(bodyClient().get(at(server.url)));
    await body.next();
    const reading = body.next();

    body.destroy();

    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await expect(body.next()).rejects.toMatchObject({ name: 'AbortError' });
    await eventually('the connection ends', () => server.open === 0);
  });

  it('ends where it was said to end, whatever is written right behind it', async () => {
    const sockets: Socket[] = [];
    const port = await startWire((_head, socket) => {
      sockets.push(socket);
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n');
    });
    const { body } = await arriving(bodyClient().get(at(`http://127.0.0.1:${port}`)));

    sockets[0]!.write('body and more');

    expect(String(await bytesOf(body))).toBe('body');
  });

  it('ends with a loop that is left', async () => {
    const server = await FaultServer.start({ handler: huge(1e9, { 'content-length': 1e9 }) });
    const { body } = await arriving(bodyClient().get(at(server.url)));

    for await (const chunk of body) if (chunk.length > 0) break;

    await eventually('the connection ends', () => server.open === 0);
    expect(server.requests).toHaveLength(1);
  });
});

describe('the place for what comes next', () => {
  /** What a socket does: it has a place for the next bytes at any time, and asks for another one once some are there. */
  class Filling {
    readonly body: ArrivingBody;
    #sent = 0;
    #room: Buffer | undefined;

    /** @param bytes more than the body, which ends after `length`. */
    constructor(
      private readonly bytes: Buffer,
      length: number,
      first: number,
    ) {
      const line = { resume: () => undefined, release: () => undefined, destroy: () => undefined };
      const head = Buffer.from(bytes.subarray(0, first));
      this.body = new ArrivingBody(line, new BodyBlocks(), length, head, 60_000);
      this.#sent = first;
      this.#room = this.body.room();
    }

    put(most: number): void {
      if (!this.#room) return;
      const count = this.bytes.copy(this.#room, 0, this.#sent, this.#sent + most);
      if (count === 0) return;
      this.#sent += count;
      this.body.took(count);
      this.#room = this.body.room();
    }
  }

  it('is never where unread bytes lie, or those in hand, or behind the end', async () => {
    const step = fc.oneof(
      fc.record({ put: fc.integer({ min: 1, max: 300_000 }) }),
      fc.record({ put: fc.integer({ min: 1, max: 100 }) }),
      fc.constant('read' as const),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: BODY.length - 1_000 }),
        fc.integer({ min: 0, max: 5_000 }),
        fc.array(step, { maxLength: 60 }),
        async (length, first, steps) => {
          const wanted = BODY.subarray(0, length);
          const filling = new Filling(BODY, length, Math.min(first, length));
          const read: Buffer[] = [];
          let inHand: Buffer | undefined;
          let asked = false;
          const ask = () => {
            if (asked) return;
            // At the last moment at which it must still hold.
            if (inHand) read.push(Buffer.from(inHand));
            inHand = undefined;
            asked = true;
            void filling.body.next().then((bytes) => {
              inHand = bytes;
              asked = bytes === undefined;
            });
          };

          for (const each of steps) {
            if (each === 'read') ask();
            else filling.put(each.put);
            await turn();
          }
          for (let rest = 0; rest < 2 * length + 60; rest += 30_000) {
            ask();
            filling.put(60_000);
            await turn();
          }
          for (let rest = 0; rest < 60; rest += 1) {
            ask();
            await turn();
          }

          expect(Buffer.concat(read).equals(wanted)).toBe(true);
        },
      ),
      { numRuns: 100 },
    );
  });
});
