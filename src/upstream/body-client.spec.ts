import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { arriving, at, bodyClient, bytesOf, whole } from '../../test/support/body-clients';
import { selfSigned } from '../../test/support/certificates';
import {
  answer,
  FaultServer,
  huge,
  reset,
  stall,
  stallAfter,
  type Behaviour,
} from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';
import { registryAt } from '../../test/support/upstream-fixture';
import { startWire } from '../../test/support/wire';
import { HandedOver } from './handed-over';
import { wayTo } from './way';

const KIB = 1024;
const BODY = randomBytes(3_000_000);

function milliseconds(count: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, count));
}

/** Writes each answer in turn, byte for byte, on connections that stay open. */
async function wire(...answers: ((socket: Socket) => void)[]): Promise<string> {
  return `http://127.0.0.1:${await startWire((_head, socket) => answers.shift()?.(socket))}`;
}

const says = (text: string) => (socket: Socket) => void socket.write(text, 'latin1');

describe('a GET of what may be large', () => {
  it('is sent to the letter', async () => {
    const server = await FaultServer.start({ handler: answer(200, 'body') });

    await whole(
      bodyClient().get(at(server.url, { path: '/v2/x?a=~&b=%20', headers: { range: 'bytes=0-' } })),
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

    const arrived = await arriving(bodyClient().get(at(server.url)));

    expect(arrived.head).toMatchObject({ status: 206, length: BODY.length });
    expect(arrived.head.headers).toMatchObject({ 'x-two': 'a, b' });
    expect((await bytesOf(arrived.body)).equals(BODY)).toBe(true);
    expect(await arrived.body.next()).toBeUndefined();
  });

  it.each([[307], [404], [416], [429], [503]])('gives the body of a %i', async (status) => {
    const server = await FaultServer.start({ handler: answer(status, 'why') });

    const arrived = await arriving(bodyClient().get(at(server.url)));

    expect([arrived.head.status, (await bytesOf(arrived.body)).toString()]).toEqual([
      status,
      'why',
    ]);
  });

  it('gives an empty body', async () => {
    const server = await FaultServer.start({ handler: answer(200) });

    expect(await whole(bodyClient().get(at(server.url)))).toHaveLength(0);
  });

  it('gives what stands behind other things that were said first', async () => {
    const early = 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n'.repeat(20);
    const origin = await wire(says(`${early}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody`));

    expect((await whole(bodyClient().get(at(origin)))).toString()).toBe('body');
  });

  it('goes over TLS', async () => {
    const certificate = selfSigned([], ['127.0.0.1']);
    const server = await FaultServer.start({ handler: answer(200, BODY), tls: certificate });
    const way = { ...wayTo(registryAt(server.url), 'own'), ca: certificate.cert };
    const client = bodyClient();

    for (let time = 0; time < 3; time += 1)
      expect((await whole(client.get(at(server.url, { way })))).equals(BODY)).toBe(true);

    expect(server.accepted).toBe(1);
  });

  it('does not go over TLS that is not trusted', async () => {
    const tls = selfSigned([], ['127.0.0.1']);
    const server = await FaultServer.start({ handler: answer(200, BODY), tls });

    await expect(bodyClient().get(at(server.url))).rejects.toMatchObject({ fault: 'tls' });
  });

  it('is for others where a header holds what a request cannot, or TLS goes through a proxy', async () => {
    const server = await FaultServer.start();
    const proxy = new URL(server.url);
    const client = bodyClient();

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
    const client = bodyClient();

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
    const client = bodyClient({ headerTimeout: 150 });

    await expect(client.get(at(await wire(serve)))).rejects.toMatchObject({ name });
  });

  it('is one in time, however it drips', async () => {
    const origin = await wire((socket) => {
      const dripping = setInterval(() => socket.write('HTTP/1.1 102 Wait\r\n\r\n'), 20);
      socket.on('close', () => clearInterval(dripping));
    });

    await expect(bodyClient({ headerTimeout: 200 }).get(at(origin))).rejects.toMatchObject({
      name: 'HeadersTimeoutError',
    });
  });
});

describe('the signal ends', () => {
  const reason = new Error('enough');

  it('a request before anything is sent', async () => {
    const server = await FaultServer.start();

    await expect(
      bodyClient().get(at(server.url, { signal: AbortSignal.abort(reason) })),
    ).rejects.toBe(reason);
    expect(server.accepted).toBe(0);
  });

  it('a connection that is being opened', async () => {
    const server = await FaultServer.start({ handler: answer(200, BODY) });
    const controller = new AbortController();
    const asked = bodyClient().get(at(server.url, { signal: controller.signal }));

    controller.abort(reason);

    await expect(asked).rejects.toBe(reason);
    await eventually('it ends', () => server.accepted === 1 && server.open === 0);
    expect(server.requests).toEqual([]);
  });

  it('the wait for an answer', async () => {
    const server = await FaultServer.start({ handler: stall() });
    const controller = new AbortController();
    const asked = bodyClient().get(at(server.url, { signal: controller.signal }));
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
    const { body } = await arriving(bodyClient().get(at(server.url, { signal })));
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
    const client = bodyClient();
    const first = await arriving(client.get(at(server.url, { signal: controller.signal })));
    await eventually('all came', () => first.body.next().then((chunk) => chunk !== undefined));
    const second = await arriving(client.get(at(server.url)));

    controller.abort(reason);

    expect((await bytesOf(second.body)).toString()).toBe('body');
    expect(server.accepted).toBe(1);
  });
});

describe('a connection', () => {
  it('is used again once a body is whole, by requests of the same way and origin alone', async () => {
    const server = await FaultServer.start({ handler: answer(200, BODY) });
    const client = bodyClient();
    const proxied = at(server.url, { way: { trust: 'own', proxy: server.url } });

    for (let time = 0; time < 3; time += 1) await whole(client.get(at(server.url)));
    await whole(client.get(proxied));

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
    const client = bodyClient();

    for (let time = 0; time < 2; time += 1)
      expect((await whole(client.get(at(server.url)))).toString()).toBe('body');

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
    const client = bodyClient();
    for (const disturb of [() => socket?.write(late), () => socket?.end()]) {
      await whole(client.get(at(server.url)));
      disturb();
      await eventually('it ends', () => server.open === 0);
    }

    expect((await whole(client.get(at(server.url)))).toString()).toBe('body');
    expect(server.accepted).toBe(3);
  });

  it('that ends just as it is used again gives way to a new one', async () => {
    const server = await FaultServer.start({ handler: answer(200, 'body') });
    const client = bodyClient();
    await whole(client.get(at(server.url)));
    server.queue(reset());

    const again = await arriving(client.get(at(server.url)));

    expect((await bytesOf(again.body)).toString()).toBe('body');
    expect(server.requests).toHaveLength(3);
  });

  it('that is new and ends is not tried again', async () => {
    const server = await FaultServer.start({ handler: reset() });

    await expect(bodyClient().get(at(server.url))).rejects.toMatchObject({ code: 'ECONNRESET' });
    expect(server.requests).toHaveLength(1);
  });

  it('is kept for as long as the upstream says, less a second', async () => {
    const handler = answer(200, 'body', { 'keep-alive': 'timeout=2' });
    const server = await FaultServer.start({ handler });
    await whole(bodyClient().get(at(server.url)));
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
    const client = bodyClient();
    const asked = Array.from({ length: 12 }, () => client.get(at(server.url)));
    await eventually('all are there', () => responses.length === 12);
    for (const response of responses) response.writeHead(200, { 'content-length': 4 }).end('body');

    for (const each of asked) await whole(each);

    await eventually('some end', () => server.open === 8);
    expect(server.requests).toHaveLength(12);
  });

  it('ends with the client, whatever is under way', async () => {
    const server = await FaultServer.start({ handler: answer(200, 'body') });
    const client = bodyClient();
    await whole(client.get(at(server.url)));
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
