import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import type { Gate } from '../support/gate';
import { basic, raw, sha256 } from '../support/http';
import { atTheEnd } from '../support/lifecycle';
import { openUpload, startStand, visit, withQuery } from '../support/stand';
import { describeWith } from '../support/tools';

/** Node's own limit on a whole request is 300 s; a run with LONG_TESTS=1 goes beyond it. */
const PUSH_SECONDS = process.env['LONG_TESTS'] === '1' ? 370 : 75;

/** Writes this each second until the other side closes, and gives the seconds that took. */
function trickle(
  gate: Gate,
  start: string,
  bytes = 'x',
): Promise<{ seconds: number; text: string }> {
  const began = Date.now();
  return new Promise((resolve) => {
    const socket: Socket = connect(gate.port, '127.0.0.1');
    let text = '';
    socket.write(start);
    const timer = setInterval(() => bytes && socket.write(bytes), 1_000);
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

  it('a form for a token at a byte a second is given up long before it is whole', async () => {
    const { gate } = await startStand();
    const form = [
      'POST /v2/auth HTTP/1.1',
      `Host: ${gate.host}`,
      'Content-Type: application/x-www-form-urlencoded',
      'Content-Length: 10000',
    ];

    const { seconds, text } = await trickle(gate, `${form.join('\r\n')}\r\n\r\ngrant_type=`);

    expect(text).toMatch(/^HTTP\/1.1 400 /);
    expect(seconds).toBeLessThan(60);
  });

  it(
    'headers at a byte a second, and bodies that stop, are cut within 90 s, while a push that takes longer is served',
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
      const authorized = [`Host: ${gate.host}`, `Authorization: Bearer ${who.token}`];
      const begun = (line: string, ...more: string[]) =>
        `${[`${line} HTTP/1.1`, ...authorized, ...more, 'Content-Length: 1000'].join('\r\n')}\r\n\r\nx`;
      const json = 'Content-Type: application/json';
      const basicAdmin = `Authorization: ${basic(gate.admin).authorization}`;
      const upload = await openUpload(who, 'team/app');
      const stopped = [
        trickle(gate, begun(`PATCH ${upload}`), ''),
        trickle(gate, begun('PUT /v2/team/app/manifests/1', 'Content-Type: application/json'), ''),
        trickle(
          gate,
          `POST /admin/users HTTP/1.1\r\nHost: ${gate.host}\r\n${basicAdmin}\r\n${json}\r\nContent-Length: 1000\r\n\r\n{`,
          '',
        ),
      ];
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
      for (const { seconds } of await Promise.all(stopped)) expect(seconds).toBeLessThan(90);
      expect(await pushed).toMatch(/^HTTP\/1.1 201 /);
    },
    (PUSH_SECONDS + 60) * 1_000,
  );
});
