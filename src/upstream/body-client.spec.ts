import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { selfSigned } from '../../test/support/certificates';
import {
  answer,
  FaultServer,
  huge,
  reset,
  resetAfter,
  stall,
  stallAfter,
  truncate,
  wrongLength,
  type Behaviour,
} from '../../test/support/fault-server';
import { atTheEnd, eventually } from '../../test/support/lifecycle';
import {
  registryAt,
  upstreamFixture,
  type UpstreamLimits,
} from '../../test/support/upstream-fixture';
import { startWire } from '../../test/support/wire';
import type { Arriving } from './body-connection';
import { BodyClient, type BodyRequest } from './body-client';
import { HandedOver } from './handed-over';
import { wayTo } from './way';

const KIB = 1024;
const BODY = randomBytes(3_000_000);

function clientWith({ headerTimeout = 5_000, idleTimeout = 5_000, ...more }: UpstreamLimits = {}) {
  const { dialer } = upstreamFixture(more);
  const client = new BodyClient(dialer, { headerTimeout, idleTimeout });
  atTheEnd(() => client.close());
  return client;
}

function at(url: URL | string, more: Partial<BodyRequest> = {}): BodyRequest {
  const origin = new URL(url);
  return { origin, way: wayTo(registryAt(origin), 'own'), path: '/blob', headers: {}, ...more };
}

async function arriving(answered: ReturnType<BodyClient['get']>): Promise<Arriving> {
  const answer = await answered;
  if (!answer || answer instanceof HandedOver) throw new Error('an answer for another client');
  return answer;
}

/** All of a body. The chunks are joined when the last one is there: what was written into them meanwhile would show. */
async function all({ body }: Arriving): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

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

/** Writes each answer in turn, byte for byte, on connections that stay open. */
async function wire(...answers: ((socket: Socket) => void)[]): Promise<string> {
  return `http://127.0.0.1:${await startWire((_head, socket) => answers.shift()?.(socket))}`;
}

const says = (text: string) => (socket: Socket) => void socket.write(text, 'latin1');

describe('a GET of what may be large', () => {
  it('is sent to the letter', async () => {
    const server = await FaultServer.start({ handler: answer(200, 'body') });

    await all(
      await arriving(
        clientWith().get(
          at(server.url, { path: '/v2/x?a=~&b=%20', headers: { range: 'bytes=0-' } }),
        ),
      ),
    );

    expect(server.requests).toMatchObject([
      {
        method: 'GET',
        url: '/v2/x?a=~&b=%20',
        rawHeaders: ['host', server.host, 'connection', 'keep-alive', 'range', 'bytes=0-'],
      },
    ]);
  });

  it('gives status, fields and body', async () => {
    const server = await FaultServer.start({ handler: answer(206, BODY, { 'x-two': ['a', 'b'] }) });

    const arrived = await arriving(clientWith().get(at(server.url)));

    expect(arrived.head).toMatchObject({ status: 206, length: BODY.length });
    expect(arrived.head.headers).toMatchObject({ 'x-two': 'a, b' });
    expect((await all(arrived)).equals(BODY)).toBe(true);
    expect(await arrived.body.next()).toBeUndefined();
  });

  it.each([[307], [404], [416], [429], [503]])('gives the body of a %i', async (status) => {
    const server = await FaultServer.start({ handler: answer(status, 'why') });

    const arrived = await arriving(clientWith().get(at(server.url)));

    expect([arrived.head.status, (await all(arrived)).toString()]).toEqual([status, 'why']);
  });

  it('gives an empty body', async () => {
    const server = await FaultServer.start({ handler: answer(200) });

    expect(await all(await arriving(clientWith().get(at(server.url))))).toHaveLength(0);
  });

  it('gives what stands behind other things that were said first', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(20);
    const origin = await wire(says(`${early}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody`));

    expect((await all(await arriving(clientWith().get(at(origin))))).toString()).toBe('body');
  });

  it('goes over TLS', async () => {
    const certificate = selfSigned([], ['127.0.0.1']);
    const server = await FaultServer.start({ handler: answer(200, BODY), tls: certificate });
    const way = { ...wayTo(registryAt(server.url), 'own'), ca: certificate.cert };
    const client = clientWith();

    for (let time = 0; time < 3; time += 1)
      expect((await all(await arriving(client.get(at(server.url, { way }))))).equals(BODY)).toBe(
        true,
      );

    expect(server.accepted).toBe(1);
  });

  it('does not go over TLS that is not trusted', async () => {
    const tls = selfSigned([], ['127.0.0.1']);
    const server = await FaultServer.start({ handler: answer(200, BODY), tls });

    await expect(clientWith().get(at(server.url))).rejects.toMatchObject({ fault: 'tls' });
  });

  it('is for others where a header holds what a request cannot, or TLS goes through a proxy', async () => {
    const server = await FaultServer.start();
    const proxy = new URL(server.url);
    const client = clientWith();

    expect(await client.get(at(server.url, { headers: { a: 'b\r\nc: d' } }))).toBeUndefined();
    expect(await client.get(at(server.url, { headers: { 'a b': 'c' } }))).toBeUndefined();
    expect(
      await client.get(at('https://reg.example', { way: { trust: 'own', proxy } })),
    ).toBeUndefined();
    expect(server.accepted).toBe(0);
  });

  it.each([
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
    ['the end of the connection for its own', 'HTTP/1.1 200 OK\r\n\r\nhello'],
    ['the old version', 'HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello'],
    ['no HTTP any more', 'HTTP/1.1 101 Upgrade\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n'],
    ['no body', 'HTTP/1.1 204 None\r\nContent-Length: 5\r\n\r\nhello'],
    ['nothing new', 'HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n'],
  ])('is for others where the answer has %s, and from then on at once', async (_what, text) => {
    const server = await FaultServer.start({ handler: ({ socket }) => void socket.write(text) });
    const client = clientWith();

    const handed = await client.get(at(server.url));
    expect(handed).toBeInstanceOf(HandedOver);
    expect(await client.get(at(server.url))).toBeUndefined();

    expect(server.accepted).toBe(1);
    (handed as HandedOver).destroy();
    await eventually('the connection ends', () => server.open === 0);
  });
});

describe('an answer that is no answer', () => {
  it.each([
    ['no HTTP', says('SSH-2.0-x\r\n'), 'MalformedAnswer'],
    ['a folded field', says('HTTP/1.1 200 OK\r\na: b\r\n c\r\n\r\n'), 'MalformedAnswer'],
    [
      'a head without end',
      says(`HTTP/1.1 200 OK\r\na: ${'b'.repeat(20 * KIB)}`),
      'HeadersOverflowError',
    ],
    ['a flood of 102', says('HTTP/1.1 102 Wait\r\n\r\n'.repeat(1_000)), 'MalformedAnswer'],
    ['a reset', (socket: Socket) => void socket.resetAndDestroy(), 'Error'],
    ['an end', (socket: Socket) => void socket.end(), 'SocketError'],
    ['an end within the head', (socket: Socket) => void socket.end('HTTP/1.1 200'), 'SocketError'],
    ['silence', () => undefined, 'HeadersTimeoutError'],
    ['half a head', says('HTTP/1.1 200 OK\r\n'), 'HeadersTimeoutError'],
  ])('is a failure: %s', async (_what, serve, name) => {
    const client = clientWith({ headerTimeout: 150 });

    await expect(client.get(at(await wire(serve)))).rejects.toMatchObject({ name });
  });

  it('is one in time, however it drips', async () => {
    const origin = await wire((socket) => {
      const dripping = setInterval(() => socket.write('HTTP/1.1 102 Wait\r\n\r\n'), 20);
      socket.on('close', () => clearInterval(dripping));
    });

    await expect(clientWith({ headerTimeout: 200 }).get(at(origin))).rejects.toMatchObject({
      name: 'HeadersTimeoutError',
    });
  });
});

describe('a body', () => {
  it.each([
    ['is reset', resetAfter(BODY, 1_000_000)],
    ['ends early', truncate(BODY, 1_000_000)],
    ['is shorter than announced', wrongLength(BODY.subarray(0, 1_000_000), BODY.length)],
    ['stalls', stallAfter(BODY, 1_000_000)],
  ])('that %s fails, and what came of it is right', async (_what, behaviour) => {
    const server = await FaultServer.start({ handler: behaviour });
    const { body } = await arriving(clientWith({ idleTimeout: 200 }).get(at(server.url)));
    const chunks: Buffer[] = [];

    const reading = (async () => {
      for await (const chunk of body) chunks.push(chunk);
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
    const { body } = await arriving(clientWith({ idleTimeout: 100 }).get(at(server.url)));
    await milliseconds(400);
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

  it('is right for a reader who takes his time now and then', async () => {
    const server = await FaultServer.start({ handler: answer(200, BODY) });
    const { body } = await arriving(clientWith().get(at(server.url)));
    const chunks: Buffer[] = [];

    for (let chunk = await body.next(); chunk; chunk = await body.next()) {
      chunks.push(chunk);
      if (chunks.length % 3 === 0) await milliseconds(10);
    }

    expect(Buffer.concat(chunks).equals(BODY)).toBe(true);
  });

  it('ends its connection when it is destroyed, and says so to whoever reads', async () => {
    const server = await FaultServer.start({ handler: stallAfter(BODY, 10) });
    const { body } = await arriving(clientWith().get(at(server.url)));
    await body.next();
    const reading = body.next();

    body.destroy();

    await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
    await expect(body.next()).rejects.toMatchObject({ name: 'AbortError' });
    await eventually('the connection ends', () => server.open === 0);
  });

  it('ends where it was said to end, whatever is written right behind it', async () => {
    const sockets: Socket[] = [];
    const origin = await wire((socket) => {
      sockets.push(socket);
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n');
    });
    const { body } = await arriving(clientWith().get(at(new URL(origin))));

    sockets[0]!.write('body and more');

    const chunks: Buffer[] = [];
    for await (const chunk of body) chunks.push(chunk);
    expect(String(Buffer.concat(chunks))).toBe('body');
  });

  it('ends with a loop that is left', async () => {
    const server = await FaultServer.start({ handler: huge(1e9, { 'content-length': 1e9 }) });
    const { body } = await arriving(clientWith().get(at(server.url)));

    for await (const chunk of body) if (chunk.length > 0) break;

    await eventually('the connection ends', () => server.open === 0);
    expect(server.requests).toHaveLength(1);
  });
});

describe('the signal ends', () => {
  const reason = new Error('enough');

  it('a request before anything is sent', async () => {
    const server = await FaultServer.start();

    await expect(
      clientWith().get(at(server.url, { signal: AbortSignal.abort(reason) })),
    ).rejects.toBe(reason);
    expect(server.accepted).toBe(0);
  });

  it('a connection that is being opened', async () => {
    const server = await FaultServer.start({ handler: answer(200, BODY) });
    const controller = new AbortController();
    const asked = clientWith().get(at(server.url, { signal: controller.signal }));

    controller.abort(reason);

    await expect(asked).rejects.toBe(reason);
    await eventually('it ends', () => server.accepted === 1 && server.open === 0);
    expect(server.requests).toEqual([]);
  });

  it('the wait for an answer', async () => {
    const server = await FaultServer.start({ handler: stall() });
    const controller = new AbortController();
    const asked = clientWith().get(at(server.url, { signal: controller.signal }));
    asked.catch(() => undefined);
    await eventually('it was asked', () => server.requests.length === 1);

    controller.abort(reason);

    await expect(asked).rejects.toBe(reason);
    await eventually('the connection ends', () => server.open === 0);
  });

  it.each([
    ['that is waited for', stallAfter(BODY, 10), true],
    ['that nobody reads', huge(1e9, { 'content-length': 1e9 }), false],
  ])('a body %s', async (_what, handler, reading) => {
    const server = await FaultServer.start({ handler });
    const controller = new AbortController();
    const { signal } = controller;
    const { body } = await arriving(clientWith().get(at(server.url, { signal })));
    if (reading) await body.next();
    else await milliseconds(100);
    const next = reading ? body.next() : undefined;

    controller.abort(reason);

    await expect(next ?? body.next()).rejects.toBe(reason);
    await eventually('the connection ends', () => server.open === 0);
  });

  it('no connection whose body is whole', async () => {
    const server = await FaultServer.start({ handler: answer(200, 'body') });
    const controller = new AbortController();
    const client = clientWith();
    const first = await arriving(client.get(at(server.url, { signal: controller.signal })));
    await eventually('all came', () => first.body.next().then((chunk) => chunk !== undefined));
    const second = await arriving(client.get(at(server.url)));

    controller.abort(reason);

    expect((await all(second)).toString()).toBe('body');
    expect(server.accepted).toBe(1);
  });
});

describe('a connection', () => {
  it('is used again once a body is whole, by requests of the same way and origin alone', async () => {
    const server = await FaultServer.start({ handler: answer(200, BODY) });
    const client = clientWith();
    const proxied = at(server.url, { way: { trust: 'own', proxy: server.url } });

    for (let time = 0; time < 3; time += 1) await all(await arriving(client.get(at(server.url))));
    await all(await arriving(client.get(proxied)));

    const [first, ...others] = server.requests.map(({ port }) => port);
    expect(others.slice(0, 2)).toEqual([first, first]);
    expect(server.accepted).toBe(2);
  });

  it.each<[string, Behaviour]>([
    ['says that it closes', answer(200, 'body', { connection: 'close' })],
    ['waits a second at most', answer(200, 'body', { 'keep-alive': 'timeout=1' })],
    [
      'sends more than it announced',
      ({ socket }) => void socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbodyX'),
    ],
  ])('is not used again where the upstream %s', async (_what, handler) => {
    const server = await FaultServer.start({ handler });
    const client = clientWith();

    for (let time = 0; time < 2; time += 1)
      expect((await all(await arriving(client.get(at(server.url))))).toString()).toBe('body');

    expect(server.accepted).toBe(2);
    await eventually('both end', () => server.open === 0);
  });

  it('is ended when the upstream says something that nobody asked for, or ends it', async () => {
    const late = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil';
    let socket: Socket | undefined;
    const server = await FaultServer.start({
      handler: (request, response, seen) => {
        socket = request.socket;
        return answer(200, 'body')(request, response, seen);
      },
    });
    const client = clientWith();
    for (const disturb of [() => socket?.write(late), () => socket?.end()]) {
      await all(await arriving(client.get(at(server.url))));
      disturb();
      await eventually('it ends', () => server.open === 0);
    }

    expect((await all(await arriving(client.get(at(server.url))))).toString()).toBe('body');
    expect(server.accepted).toBe(3);
  });

  it('that ends just as it is used again gives way to a new one', async () => {
    const server = await FaultServer.start({ handler: answer(200, 'body') });
    const client = clientWith();
    await all(await arriving(client.get(at(server.url))));
    server.queue(reset());

    const again = await arriving(client.get(at(server.url)));

    expect((await all(again)).toString()).toBe('body');
    expect(server.requests).toHaveLength(3);
  });

  it('that is new and ends is not tried again', async () => {
    const server = await FaultServer.start({ handler: reset() });

    await expect(clientWith().get(at(server.url))).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(server.requests).toHaveLength(1);
  });

  it('is kept for as long as the upstream says, less a second', async () => {
    const handler = answer(200, 'body', { 'keep-alive': 'timeout=2' });
    const server = await FaultServer.start({ handler });
    await all(await arriving(clientWith().get(at(server.url))));
    const began = performance.now();

    await eventually('it ends', () => server.open === 0);

    expect(performance.now() - began).toBeGreaterThan(700);
    // Without a word of the upstream's it is four seconds.
    expect(performance.now() - began).toBeLessThan(3_500);
  });

  it('is one of eight that are kept', async () => {
    const responses: ServerResponse[] = [];
    const server = await FaultServer.start({
      handler: (_, response) => void responses.push(response),
    });
    const client = clientWith();
    const asked = Array.from({ length: 12 }, () => client.get(at(server.url)));
    await eventually('all are there', () => responses.length === 12);
    for (const response of responses) response.writeHead(200, { 'content-length': 4 }).end('body');

    for (const each of asked) await all(await arriving(each));

    await eventually('some end', () => server.open === 8);
    expect(server.requests).toHaveLength(12);
  });

  it('ends with the client, whatever is under way', async () => {
    const server = await FaultServer.start({ handler: answer(200, 'body') });
    const client = clientWith();
    await all(await arriving(client.get(at(server.url))));
    server.queue(stallAfter(BODY, 10), stall());
    const { body } = await arriving(client.get(at(server.url)));
    const asked = client.get(at(server.url));
    asked.catch(() => undefined);
    await eventually('both were asked', () => server.requests.length === 3);
    await body.next();

    client.close();

    await expect(asked).rejects.toMatchObject({ name: 'ClientDestroyedError' });
    await expect(body.next()).rejects.toMatchObject({ name: 'ClientDestroyedError' });
    await expect(client.get(at(server.url))).rejects.toMatchObject({
      name: 'ClientDestroyedError',
    });
    await eventually('all end', () => server.open === 0);
  });
});
