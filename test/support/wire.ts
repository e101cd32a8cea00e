/** Connections where every byte is the test's own, on either side of the gate. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { readAnswer, type WireAnswer } from './http-text';
import { atTheEnd } from './lifecycle';

export interface Waiting {
  /**
   * Milliseconds without a byte, after which the client says that it has sent everything. Without it, it never says so.
   */
  readonly quiet?: number;
  /** How long after that the other side may take. */
  readonly patience?: number;
}

/**
 * Writes the bytes, one a character, and reads one answer, or until the other side ends the connection.
 * @returns undefined where there was no whole head of an answer.
 * @throws Error for what is no HTTP, and where neither an answer nor an end comes.
 */
export function exchange(
  port: number,
  bytes: string,
  { quiet, patience = 60_000 }: Waiting = {},
): Promise<WireAnswer | undefined> {
  const method = /^\s*(\S+)/.exec(bytes)?.[1] ?? '';
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    let said = quiet === undefined;
    const settle = (end: () => void) => {
      socket.destroy();
      end();
    };
    const look = (ended: boolean) => {
      try {
        const answer = readAnswer(text, method);
        if (answer?.whole || ended) settle(() => resolve(answer));
      } catch (error) {
        settle(() => reject(error as Error));
      }
    };
    socket.setEncoding('latin1').setTimeout(quiet ?? patience);
    socket.on('data', (chunk: string) => {
      text += chunk;
      look(false);
    });
    socket.on('timeout', () => {
      if (said) return settle(() => reject(new Error('neither an answer nor an end')));
      said = true;
      socket.setTimeout(patience).end();
    });
    socket.on('error', () => look(true));
    socket.on('end', () => look(true));
    socket.write(Buffer.from(bytes, 'latin1'));
  });
}

/** A server that tells of each request's head, and writes whatever the test likes. Bodies are not told from heads. */
export async function startWire(serve: (head: string, socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket.setEncoding('latin1').on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        serve(head, socket);
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atTheEnd(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}
