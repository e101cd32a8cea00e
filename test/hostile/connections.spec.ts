/** What clients do to connections of the gate's own server, below the requests. */
import { once } from 'node:events';
import type { RequestListener } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { pino } from 'pino';
import { createServer } from '../../src/edge/server';
import { startGate } from '../support/gate';
import { send } from '../support/http';
import { atTheEnd, eventually } from '../support/lifecycle';

const IDLE = 100;
/** More than any socket's buffers hold. */
const MUCH = Buffer.alloc(16 * 1024 * 1024);

/** The gate's server, its idle rule faster than usual, before a listener of the test's own. */
async function serve(listener: RequestListener): Promise<number> {
  const server = createServer({ tls: undefined }, pino({ level: 'silent' }), listener, {
    idle: IDLE,
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atTheEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

/** A client that writes this, and reads nothing. */
async function deaf(port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').pause();
  socket.on('error', () => undefined);
  atTheEnd(() => socket.destroy());
  await once(socket, 'connect');
  socket.write(bytes);
  return socket;
}

describe('S24: whoever does not read the answer is cut off', () => {
  it.each([
    ['though its own request is not whole', 'Content-Length: 10\r\n', false],
    ['though the gate has handed over all of it', '', true],
  ])('%s', async (_, header, ended) => {
    const closed = jest.fn();
    const port = await serve((_request, response) => {
      response.once('close', closed);
      response.writeHead(200, { 'content-length': MUCH.length }).write(MUCH.subarray(1));
      if (ended) response.end(MUCH.subarray(0, 1));
    });

    await deaf(port, `GET / HTTP/1.1\r\nHost: a\r\n${header}\r\n`);
    await eventually('the answer is given up', () => closed.mock.calls.length > 0);

    expect(closed).toHaveBeenCalledTimes(1);
  });
});

it('begins no request on a connection that ends with the answer before it', async () => {
  const begun: string[] = [];
  const port = await serve((request, response) => {
    begun.push(request.url ?? '');
    response.writeHead(200, { 'content-length': MUCH.length, connection: 'close' }).end(MUCH);
  });
  const client = await deaf(port, 'GET /first HTTP/1.1\r\nHost: a\r\n\r\n');
  await eventually('the first answer is under way', () => begun.length === 1);

  client.write('GET /second HTTP/1.1\r\nHost: a\r\n\r\n');
  // The first answer is not whole before the client reads it, so that the second request is there by then.
  await once(client.setTimeout(IDLE / 4), 'timeout');
  client.resume();
  await once(client, 'close');

  expect(begun).toEqual(['/first']);
});

it('opens no debugger to whoever can send a signal or mistakes the gate for nginx', async () => {
  const gate = await startGate();
  atTheEnd(() => gate.stop('SIGKILL'));

  gate.signal('SIGUSR1');
  await eventually('the signal is told of', () => gate.output().includes('SIGUSR1'));

  expect(gate.stderr()).not.toMatch(/debugger/i);
  expect((await send(`${gate.url}/health/ready`)).status).toBe(200);
});
