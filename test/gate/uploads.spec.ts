import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { startGate, type Gate } from '../support/gate';
import { errorCode, sha256, type Account } from '../support/http';
import { eventually } from '../support/lifecycle';
import { startMemoryRegistry } from '../support/memory-registry';
import type { Registry } from '../support/registry';
import { openUpload, startStand, visit, withQuery, type Visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const REPOSITORY = 'team/app';

describeWith(['docker-registry', 'openssl'], 'uploads', () => {
  let gate: Gate;
  let registry: Registry;
  let account: Account;
  let who: Visitor;

  beforeAll(async () => {
    ({ gate, registry } = await startStand('token'));
    account = await gate.addAccount();
    who = await visit(gate, account, REPOSITORY, 'pull,push');
  });

  const held = async (digest: string) => (await who.ask(`/v2/${REPOSITORY}/blobs/${digest}`)).body;

  it('take a blob in chunks, as far as each got, and whole', async () => {
    const [first, second] = [randomBytes(70_000), randomBytes(30_000)];
    const blob = Buffer.concat([first, second]);

    let at = await openUpload(who, REPOSITORY);
    const one = await who.ask(at, {
      method: 'PATCH',
      body: first,
      headers: { 'content-range': '0-69999' },
    });
    at = one.headers.location ?? '';
    const state = await who.ask(at);
    at = state.headers.location ?? at;
    const two = await who.ask(at, {
      method: 'PATCH',
      body: second,
      headers: { 'content-range': '70000-99999' },
    });
    const end = await who.ask(withQuery(two.headers.location ?? '', `digest=${sha256(blob)}`), {
      method: 'PUT',
    });

    expect([one.status, one.headers.range]).toEqual([202, '0-69999']);
    expect([state.status, state.headers.range]).toEqual([204, '0-69999']);
    expect([two.status, two.headers.range]).toEqual([202, '0-99999']);
    expect(end.status).toBe(201);
    expect(end.headers['docker-content-digest']).toBe(sha256(blob));
    expect(end.headers.location).toBe(`/v2/${REPOSITORY}/blobs/${sha256(blob)}`);
    expect((await held(sha256(blob))).equals(blob)).toBe(true);
  });

  it('take a blob in one PUT, and in the POST itself', async () => {
    const [one, two] = [randomBytes(50_000), randomBytes(50_000)];

    const at = await openUpload(who, REPOSITORY);
    const put = await who.ask(withQuery(at, `digest=${sha256(one)}`), { method: 'PUT', body: one });
    const address = `/v2/${REPOSITORY}/blobs/uploads/?digest=${sha256(two)}`;
    const post = await who.ask(address, { method: 'POST', body: two });

    expect([put.status, post.status]).toEqual([201, 201]);
    expect((await held(sha256(one))).equals(one)).toBe(true);
    expect((await held(sha256(two))).equals(two)).toBe(true);
  });

  it('refuse a blob that is not what its digest says', async () => {
    const at = await openUpload(who, REPOSITORY);
    const digest = sha256('something else');

    const answer = await who.ask(withQuery(at, `digest=${digest}`), {
      method: 'PUT',
      body: 'this',
    });

    expect([answer.status, errorCode(answer)]).toEqual([400, 'DIGEST_INVALID']);
    expect((await who.ask(`/v2/${REPOSITORY}/blobs/${digest}`)).status).toBe(404);
  });

  it('can be cancelled, and are gone then', async () => {
    const at = await openUpload(who, REPOSITORY);

    const answer = await who.ask(at, { method: 'DELETE' });
    const after = await who.ask(at);

    expect(answer.status).toBe(204);
    expect([after.status, errorCode(after)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
  });

  it('show the client addresses of the gate alone', async () => {
    const answer = await who.ask(`/v2/${REPOSITORY}/blobs/uploads/`, { method: 'POST' });

    const { location } = answer.headers;
    expect(location).toMatch(
      new RegExp(`^/v2/${REPOSITORY}/blobs/uploads/[\\w-]+\\?_state=[\\w-]+$`),
    );
    expect(JSON.stringify(answer.headers)).not.toContain(String(registry.port));
  });

  describe('F15: whose client is cut off in the middle of the body', () => {
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
      expect((await held(sha256(blob))).equals(blob)).toBe(true);
    });
  });
});
