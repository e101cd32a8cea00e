import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { pino } from 'pino';
import { settingsFor } from '../../test/support/behind-edge';
import { selfSigned } from '../../test/support/certificates';
import { atTheEnd, eventually, freshFolder } from '../../test/support/lifecycle';
import { mostConnections } from './connection-limit';
import { createServer } from './server';

const MOST = 4;
const most = { connections: MOST, remedy: 'what is to be done' };

/** One end of a connection, and whether the other has closed it. */
interface Client {
  readonly socket: Socket;
  closed: boolean;
  heard: string;
}

function tlsFiles() {
  const { key, cert } = selfSigned(['localhost'], ['127.0.0.1']);
  const folder = freshFolder('tls');
  const tls = { keyFile: join(folder, 'key.pem'), certFile: join(folder, 'cert.pem') };
  writeFileSync(tls.keyFile, key);
  writeFileSync(tls.certFile, cert);
  return tls;
}

describe.each(['http', 'https'])('the limit on connections, of %s', (scheme) => {
  async function open(listener: RequestListener) {
    const lines: string[] = [];
    const log = pino({ base: null }, { write: (line: string) => void lines.push(line) });
    const tls = scheme === 'https' ? tlsFiles() : undefined;
    const server = createServer({ ...settingsFor(), tls }, log, listener, { most });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atTheEnd(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    const client = async (): Promise<Client> => {
      const to = { port, host: '127.0.0.1', rejectUnauthorized: false };
      const socket = tls ? connectTls(to) : connect(to);
      const made: Client = { socket, closed: false, heard: '' };
      socket.on('error', () => undefined).on('data', (text) => (made.heard += String(text)));
      socket.once('close', () => (made.closed = true));
      atTheEnd(() => socket.destroy());
      await new Promise<void>((resolve) => {
        for (const event of [tls ? 'secureConnect' : 'connect', 'close'])
          socket.once(event, () => resolve());
      });
      return made;
    };
    const ask = async (made: Client) => {
      made.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await eventually('it is answered', () => made.heard.includes('\r\n\r\n'));
    };
    return { client, ask, lines };
  }

  it('closes what has been idle for longest, be it silent or kept after an answer, and says so once', async () => {
    const { client, ask, lines } = await open((_request, response) => void response.end());
    const silent = [await client(), await client()];
    const [early, late] = [await client(), await client()];
    await ask(late);
    await ask(early);

    const next: Client[] = [];
    for (let n = 0; n < 3; n += 1) next.push(await client());
    await eventually(
      'three made room',
      () => silent[0]!.closed && silent[1]!.closed && late.closed,
    );
    await ask(next[0]!);

    expect([early.closed, ...next.map(({ closed }) => closed)]).toEqual(Array(4).fill(false));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('idle ones are closed; what is to be done');
  });

  it('closes none that has a request under way, but the newcomer where there is no other', async () => {
    const begun: (() => void)[] = [];
    const { client, ask, lines } = await open((_request, response) => {
      begun.push(() => response.end());
      response.writeHead(200).write('x');
    });
    const busy: Client[] = [];
    for (let n = 0; n < MOST; n += 1) {
      busy.push(await client());
      await ask(busy[n]!);
    }

    const refused = await client();
    await eventually('it is closed', () => refused.closed);
    begun[0]!();
    await eventually('one has its answer', () => busy[0]!.heard.endsWith('0\r\n\r\n'));
    const taken = await eventually('one is taken in its place', async () => {
      const made = await client();
      return busy[0]!.closed && !made.closed && made;
    });
    await ask(taken);

    expect(busy.map(({ closed }) => closed)).toEqual([true, false, false, false]);
    expect(lines[0]).toContain('all are busy');
  });
});

describe('a process may hold', () => {
  const GIB = 2 ** 30;

  it.each([
    [1024, 8 * GIB, 682],
    [65_536, 8 * GIB, 43_690],
    [1, 8 * GIB, 1],
  ])(
    'two thirds of %d descriptors as connections, and one at least',
    (descriptors, memory, most) => {
      const { connections, remedy } = mostConnections(descriptors, memory);

      expect([connections, remedy]).toEqual([most, expect.stringContaining('LimitNOFILE=')]);
    },
  );

  it.each([1_048_576, Infinity])(
    'with %d descriptors one for each 64 KiB of its memory',
    (descriptors) => {
      const { connections, remedy } = mostConnections(descriptors, GIB / 4);

      expect([connections, remedy]).toEqual([4096, 'give it more memory']);
    },
  );

  it('as many as its own limits allow', () => {
    expect(mostConnections().connections).toBeGreaterThan(100);
  });
});
