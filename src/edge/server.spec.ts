import { once } from 'node:events';
import { connect, type AddressInfo } from 'node:net';
import { pino } from 'pino';
import { settingsFor } from '../../test/support/behind-edge';
import { atTheEnd } from '../../test/support/lifecycle';
import { createServer } from './server';

describe('the server', () => {
  const create = () => createServer(settingsFor(), pino({ level: 'silent' }), () => undefined);

  it('S24: bounds the time of headers, and of a whole request not at all', () => {
    const server = create() as ReturnType<typeof create> & {
      connectionsCheckingInterval?: number;
    };

    expect(server.requestTimeout).toBe(0);
    expect(server.headersTimeout).toBeGreaterThan(0);
    // Node looks at its connections twice a minute, or as often as it is told.
    expect(server.headersTimeout).toBeLessThanOrEqual(60_000);
    expect(server.timeout).toBeLessThanOrEqual(60_000);
  });

  it('S24: refuses headers of 20 KiB, and takes those of 8', async () => {
    const seen: number[] = [];
    const server = createServer(settingsFor(), pino({ level: 'silent' }), (request, response) => {
      seen.push(request.headers['x-large']?.length ?? 0);
      response.end('ok');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atTheEnd(() => server.close());
    const { port } = server.address() as AddressInfo;
    const ask = async (bytes: number) => {
      const socket = connect(port, '127.0.0.1');
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
      socket.on('error', () => undefined);
      const large = 'x'.repeat(bytes);
      socket.write(`GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Large: ${large}\r\n\r\n`);
      await once(socket, 'close');
      return Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1]);
    };

    expect([await ask(8 * 1024), await ask(20 * 1024)]).toEqual([200, 431]);
    expect(seen).toEqual([8 * 1024]);
  });
});
