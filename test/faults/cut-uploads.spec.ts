/** A push whose client leaves: it goes on where the registry says that it stands, and leaves no half of anything. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { startGate, type Gate } from '../support/gate';
import { sha256 } from '../support/http';
import { eventually } from '../support/lifecycle';
import { startMemoryRegistry } from '../support/memory-registry';
import { openUpload, startStand, visit, withQuery, type Visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const REPOSITORY = 'team/app';

describeWith(
  ['docker-registry', 'openssl'],
  'F15: uploads whose client is cut off in the middle of the body',
  () => {
    let gate: Gate;
    let who: Visitor;

    beforeAll(async () => {
      ({ gate } = await startStand('token'));
      who = await visit(gate, await gate.addAccount(), REPOSITORY, 'pull,push');
    });

    const blob = randomBytes(400_000);

    /** Sends the first half of a chunk, and goes. */
    async function cutOff(at: Gate, by: Visitor, address: string): Promise<void> {
      const socket = connect(at.port, '127.0.0.1');
      const head = [
        `PATCH ${address} HTTP/1.1`,
        `Host: ${at.host}`,
        `Authorization: Bearer ${by.token}`,
        `Content-Length: ${blob.length}`,
      ];
      socket.write(`${head.join('\r\n')}\r\n\r\n`);
      socket.write(blob.subarray(0, 200_000));
      await eventually(
        'the half is taken',
        () => socket.bytesWritten > 200_000 && socket.writableLength === 0,
      );
      await new Promise((resolve) => setTimeout(resolve, 200));
      socket.destroy();
    }

    it('go on where the registry says that it stands', async () => {
      const upstream = await startMemoryRegistry();
      const lenient = await startGate({ UPSTREAM_REGISTRY: upstream });
      const by = await visit(lenient, await lenient.addAccount(), REPOSITORY, 'pull,push');
      const at = await openUpload(by, REPOSITORY);

      await cutOff(lenient, by, at);
      const state = await eventually('the registry has noticed', async () => {
        const answer = await by.ask(at);
        return answer.headers.range !== '0-0' && answer;
      });
      const from = Number(/^0-(\d+)$/.exec(String(state.headers.range))?.[1]) + 1;
      const rest = { method: 'PATCH', body: blob.subarray(from) };
      const patched = await by.ask(state.headers.location ?? '', rest);
      const end = withQuery(patched.headers.location ?? '', `digest=${sha256(blob)}`);

      expect(state.status).toBe(204);
      expect(from).toBeLessThanOrEqual(200_000);
      expect((await by.ask(end, { method: 'PUT' })).status).toBe(201);
      const pulled = await by.ask(`/v2/${REPOSITORY}/blobs/${sha256(blob)}`);
      expect(pulled.body.equals(blob)).toBe(true);
    });

    it('begin anew where the registry has given it up, and leave no half of a blob or tag', async () => {
      const address = await openUpload(who, REPOSITORY);

      await cutOff(gate, who, address);
      // docker-registry 2.8 takes such an upload for invalid.
      const state = await who.ask(address);
      const again = withQuery(await openUpload(who, REPOSITORY), `digest=${sha256(blob)}`);

      expect([204, 404]).toContain(state.status);
      expect((await who.ask(`/v2/${REPOSITORY}/blobs/${sha256(blob)}`)).status).toBe(404);
      expect((await who.ask(again, { method: 'PUT', body: blob })).status).toBe(201);
      const held = await who.ask(`/v2/${REPOSITORY}/blobs/${sha256(blob)}`);
      expect(held.body.equals(blob)).toBe(true);
    });
  },
);
