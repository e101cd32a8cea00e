import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { startGate } from '../support/gate';
import { errorCode, send } from '../support/http';
import { atTheEnd } from '../support/lifecycle';
import { visit } from '../support/stand';

describe('F2: an upstream that accepts and says nothing', () => {
  it('is 504 after the header timeout, for pulls and pushes, while the gate itself answers', async () => {
    const sockets: Socket[] = [];
    const silent = createServer((socket) => sockets.push(socket.on('error', () => undefined)));
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    atTheEnd(() => {
      for (const socket of sockets) socket.destroy();
      silent.close();
    });
    const { port } = silent.address() as AddressInfo;
    const gate = await startGate({
      UPSTREAM_REGISTRY: `http://127.0.0.1:${port}`,
      UPSTREAM_HEADER_TIMEOUT: '1s',
    });
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
    expect(Date.now() - began).toBeLessThan(6_000);
  });
});
