import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { FaultServer, answer, type Behaviour } from '../support/fault-server';
import { startGate } from '../support/gate';
import { errorCode, send, sha256 } from '../support/http';
import { atTheEnd, eventually } from '../support/lifecycle';
import { configFile } from '../support/several-registries';
import { openUpload, visit } from '../support/stand';

/** So long that only a deadline of the gate's own ends a wait for it. */
const LONG = 20_000;
const WAITING = 200;

/** A server that takes connections and never says a word. */
async function startSilent(): Promise<{ url: string; sockets: readonly Socket[] }> {
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  atTheEnd(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const { port } = silent.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, sockets };
}

/** Says again and again that the answer is on its way. */
const drip: Behaviour = (request, response) => {
  request.resume();
  const dripping = setInterval(() => response.writeProcessing(), 100);
  const late = setTimeout(() => response.writeHead(200).end('late'), LONG);
  response.once('close', () => {
    clearInterval(dripping);
    clearTimeout(late);
  });
};

describe('F2: an upstream that accepts and says nothing', () => {
  it('is 504 after the header timeout, for pulls and pushes, while the gate itself answers', async () => {
    const { url } = await startSilent();
    const gate = await startGate({ UPSTREAM_REGISTRY: url, UPSTREAM_HEADER_TIMEOUT: '1s' });
    const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull,push');
    const began = Date.now();

    const pulls = ['/v2/team/app/manifests/1', '/v2/team/app/tags/list'].map((path) =>
      who.ask(path),
    );
    const push = who.ask('/v2/team/app/blobs/uploads/', { method: 'POST' });
    const live = await send(`${gate.url}/health/live`);
    const answers = await Promise.all([...pulls, push]);

    expect(live.status).toBe(200);
    expect(answers.map(({ status }) => status)).toEqual([504, 504, 504]);
    expect(answers.map(errorCode)).toEqual(['UNAVAILABLE', 'UNAVAILABLE', 'UNAVAILABLE']);
    expect(Date.now() - began).toBeLessThan(20_000);
  });

  it('is 504 as soon if it drips 102 Processing instead, and an upload whose body is there', async () => {
    const upstream = await FaultServer.start();
    const gate = await startGate({
      UPSTREAM_REGISTRY: upstream.url.href,
      UPSTREAM_HEADER_TIMEOUT: '300ms',
    });
    const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull,push');
    upstream.queue(answer(202, '', { location: '/v2/team/app/blobs/uploads/1?_state=x' }));
    const upload = await openUpload(who, 'team/app');
    upstream.handler = drip;
    const blob = Buffer.from('a blob');

    const answers = await Promise.all([
      who.ask('/v2/team/app/manifests/1'),
      who.ask('/v2/team/app/tags/list'),
      who.ask('/v2/team/app/blobs/uploads/', { method: 'POST' }),
      who.ask(upload, { method: 'PATCH', body: blob }),
    ]);

    expect(answers.map(({ status }) => status)).toEqual([504, 504, 504, 504]);
    expect(answers.map(errorCode)).toEqual(Array(4).fill('UNAVAILABLE'));
  });

  it('leaves those who ask for another registry alone, however many wait', async () => {
    const silent = await startSilent();
    const manifest = JSON.stringify({ schemaVersion: 2 });
    const other = await FaultServer.start({
      handler: answer(200, manifest, {
        'content-type': 'application/vnd.oci.image.manifest.v1+json',
        'docker-content-digest': sha256(manifest),
      }),
    });
    const gate = await startGate({
      ...configFile(
        { name: 'silent.test', url: silent.url },
        { name: 'other.test', url: other.url.origin },
      ),
      UPSTREAM_HEADER_TIMEOUT: '10m',
    });
    const account = await gate.addAccount();
    const waiting = await visit(gate, account, 'silent.test/team/app', 'pull');
    const who = await visit(gate, account, 'other.test/team/app', 'pull');
    let answered = 0;
    for (let n = 0; n < WAITING; n += 1)
      void waiting
        .ask(`/v2/silent.test/team/app/manifests/${n}`)
        .then(() => (answered += 1))
        .catch(() => undefined); // cut off when the gate ends
    await eventually('all of them wait', () => silent.sockets.length >= WAITING);

    const tags = Array.from({ length: 20 }, (_, n) => `/v2/other.test/team/app/manifests/${n}`);
    const answers = await Promise.all(tags.map((path) => who.ask(path)));

    expect(answers.map(({ status, text }) => `${status} ${text}`)).toEqual(
      tags.map(() => `200 ${manifest}`),
    );
    expect(answered).toBe(0);
  });
});
