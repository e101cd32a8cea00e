import { once } from 'node:events';
import { unwatchFile, utimesSync, watchFile, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { pino } from 'pino';
import { settingsFor } from '../../test/support/behind-edge';
import { selfSigned } from '../../test/support/certificates';
import { atTheEnd, eventually, freshFolder } from '../../test/support/lifecycle';
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

  describe('asked for the next thing before an answer has ended', () => {
    /** Announces `bytes`, writes five, and waits to be told to end. */
    async function halfway(bytes: number) {
      const answers: ServerResponse[] = [];
      const server = createServer(
        settingsFor(),
        pino({ level: 'silent' }),
        (_request, response) => {
          answers.push(response);
          // With a header set before, as the edge does, Node knows those of writeHead, too.
          response.setHeader('x-request-id', '1');
          response.writeHead(200, { 'content-length': bytes }).write('whole');
        },
      );
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
      atTheEnd(() => {
        socket.destroy();
        server.close();
      });
      const client = { heard: '', closed: false };
      socket.setEncoding('latin1').on('data', (text: string) => (client.heard += text));
      socket.on('error', () => undefined).on('close', () => (client.closed = true));
      const ask = () => socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      ask();
      await eventually('it is written', () => client.heard.endsWith('whole'));
      return { server, ask, answers, client };
    }

    it('answers that, too, once everything that was announced is written', async () => {
      const { server, ask, answers, client } = await halfway(5);
      ask();
      await once(server, 'request');

      answers[0]!.end();
      await eventually('the next one is answered', () => client.heard.split('whole').length === 3);

      expect(client.closed).toBe(false);
    });

    it('ends the connection where there is more to come', async () => {
      const { ask, answers, client } = await halfway(1_000_000);
      ask();

      await eventually('it is closed', () => client.closed);

      expect(answers).toHaveLength(1);
    });
  });

  it('takes one request after the other on a TLS connection, however soon the next one comes', async () => {
    const { key, cert } = selfSigned(['localhost'], ['127.0.0.1']);
    const folder = freshFolder('tls');
    const tls = { keyFile: join(folder, 'key.pem'), certFile: join(folder, 'cert.pem') };
    writeFileSync(tls.keyFile, key);
    writeFileSync(tls.certFile, cert);
    const body = Buffer.alloc(200_000, 'x');
    const pieces = [0, 1, 2, 3].map((at) => body.subarray(at * 65_536, (at + 1) * 65_536));
    const settings = { ...settingsFor(), tls };
    const server = createServer(settings, pino({ level: 'silent' }), (request, response) => {
      response.writeHead(200, { 'content-length': body.length });
      request.resume().once('end', () => Readable.from(pieces).pipe(response));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    atTheEnd(() => server.close());

    // On a thread of its own: within this one, the client never has its answer before the server knows that it is sent.
    const client = new Worker(PATIENT_CLIENT, { eval: true, workerData: { port, ca: cert } });
    const [outcome] = (await once(client, 'message')) as [string];
    await client.terminate();

    expect(outcome).toBe('all answered');
  });

  it('tells a renewed certificate once, though both of its files change', async () => {
    const folder = freshFolder('tls');
    const tls = { keyFile: join(folder, 'key.pem'), certFile: join(folder, 'cert.pem') };
    const write = ({ key, cert }: ReturnType<typeof selfSigned>) => {
      writeFileSync(tls.keyFile, key);
      writeFileSync(tls.certFile, cert);
    };
    write(selfSigned(['localhost'], ['127.0.0.1']));
    const lines: string[] = [];
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    const server = createServer({ tls }, log, () => undefined);
    atTheEnd(() => server.close());
    // Later ones, so that they are called after the server's own.
    const seen = new Set<string>();
    for (const file of Object.values(tls)) {
      const note = () => void seen.add(file);
      watchFile(file, { interval: 1_000 }, note);
      atTheEnd(() => unwatchFile(file, note));
    }

    write(selfSigned(['localhost'], ['127.0.0.1']));
    await eventually('both changes were seen', () => {
      // Again and again: a change before the first look is none.
      for (const file of Object.values(tls)) utimesSync(file, new Date(), new Date());
      return seen.size === 2;
    });

    expect(lines.map((line) => (JSON.parse(line) as { msg: string }).msg)).toEqual([
      'the TLS certificate was read anew',
    ]);
  });
});

/** 300 times a download and then an upload, on one connection, each as soon as the one before is whole. */
const PATIENT_CLIENT = `
  const { parentPort, workerData: { port, ca } } = require('node:worker_threads');
  const https = require('node:https');
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, ca });
  const ask = (method) => new Promise((resolve, reject) => {
    const request = https.request({ port, host: '127.0.0.1', method, agent }, (response) => {
      response.resume().once('end', resolve).once('error', reject);
    });
    request.once('error', reject).end(method === 'POST' ? 'body' : undefined);
  });
  (async () => {
    for (let round = 0; round < 300; round += 1) { await ask('GET'); await ask('POST'); }
    agent.destroy();
    return 'all answered';
  })().catch((error) => String(error)).then((outcome) => parentPort.postMessage(outcome));
`;
