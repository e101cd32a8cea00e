import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Gate } from '../support/gate';
import { raw, sha256 } from '../support/http';
import { atTheEnd } from '../support/lifecycle';
import { openUpload, startStand, visit, withQuery } from '../support/stand';
import { describeWith } from '../support/tools';

/** Node's own limit on a whole request is 300 s; a run with LONG_TESTS=1 goes beyond it. */
const PUSH_SECONDS = process.env['LONG_TESTS'] === '1' ? 370 : 75;

/** Writes a byte each second until the other side closes, and gives the seconds that took. */
function trickle(gate: Gate, start: string): Promise<{ seconds: number; text: string }> {
  const began = Date.now();
  return new Promise((resolve) => {
    const socket: Socket = connect(gate.port, '127.0.0.1');
    let text = '';
    socket.write(start);
    const timer = setInterval(() => socket.write('x'), 1_000);
    atTheEnd(() => socket.destroy());
    socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(timer);
      resolve({ seconds: (Date.now() - began) / 1_000, text });
    });
  });
}

describeWith(['docker-registry'], 'S24: slow clients', () => {
  it('headers of 20 KiB are 431', async () => {
    const { gate } = await startStand();
    const header = `X-Large: ${'x'.repeat(20 * 1024)}`;

    const { text } = await raw(
      gate.port,
      `GET /v2/ HTTP/1.1\r\nHost: ${gate.host}\r\n${header}\r\n\r\n`,
    );

    expect(text).toMatch(/^HTTP\/1.1 431 /);
  });

  it(
    'headers at a byte a second are cut within 90 s, while a push that takes longer than that is served',
    async () => {
      const { gate } = await startStand();
      const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull,push');
      const blob = randomBytes(PUSH_SECONDS * 100);
      const address = withQuery(await openUpload(who, 'team/app'), `digest=${sha256(blob)}`);
      const head = [
        `PUT ${address} HTTP/1.1`,
        `Host: ${gate.host}`,
        `Authorization: Bearer ${who.token}`,
        `Content-Length: ${blob.length}`,
        'Connection: close',
      ];

      const headers = trickle(gate, `GET /v2/ HTTP/1.1\r\nHost: ${gate.host}\r\nX-Slow: `);
      const pushed = new Promise<string>((resolve, reject) => {
        const socket = connect(gate.port, '127.0.0.1');
        let text = '';
        let sent = 0;
        socket.write(`${head.join('\r\n')}\r\n\r\n`);
        const timer = setInterval(() => {
          if (sent < blob.length) socket.write(blob.subarray(sent, (sent += 100)));
        }, 1_000);
        socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
        socket.on('error', reject).on('close', () => resolve((clearInterval(timer), text)));
      });

      const cut = await headers;
      expect(cut.seconds).toBeLessThan(90);
      expect(cut.text).not.toContain('realm');
      expect(await pushed).toMatch(/^HTTP\/1.1 201 /);
    },
    (PUSH_SECONDS + 60) * 1_000,
  );
});
