import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { startGate, type Gate } from '../support/gate';
import { errorCode, sha256, tokenFor, type Account } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { eventually } from '../support/lifecycle';
import { startMemoryRegistry } from '../support/memory-registry';
import type { Registry } from '../support/registry';
import {
  openUpload,
  seed,
  startStand,
  visit,
  visitor,
  withQuery,
  type Visitor,
} from '../support/stand';
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

  describe('S11: a mount', () => {
    const image = imageOf(layersWith(1000));
    const [blob] = [...image.blobs.keys()];

    beforeAll(() => seed(registry, 'secret/app', '1', image));

    it('is made for one who may pull the source', async () => {
      const scopes = [`repository:${REPOSITORY}:pull,push`, 'repository:secret/app:pull'];
      const by = visitor(gate, (await tokenFor(gate.url, account, ...scopes)).token);
      const at = `/v2/${REPOSITORY}/blobs/uploads/?mount=${blob}&from=secret/app`;

      const answer = await by.ask(at, { method: 'POST' });

      expect(answer.status).toBe(201);
      expect(answer.headers['docker-content-digest']).toBe(blob);
    });

    it('is an ordinary upload for one who may not, or who names no source', async () => {
      const bound = await gate.addAccount([{ repository: 'team/**', actions: ['pull', 'push'] }]);
      const by = await visit(gate, bound, 'team/bound', 'pull,push');
      const at = `/v2/team/bound/blobs/uploads/?mount=${blob}`;

      const named = await by.ask(`${at}&from=secret/app`, { method: 'POST' });
      const unnamed = await by.ask(at, { method: 'POST' });

      expect([named.status, unnamed.status]).toEqual([202, 202]);
      expect((await by.ask(`/v2/team/bound/blobs/${blob}`)).status).toBe(404);
      const seen = await registry.requests();
      expect(
        seen.filter(({ path }) => path.includes('team/bound') && path.includes('mount')),
      ).toEqual([]);
    });
  });

  describe('addresses in the wrong hands', () => {
    async function reachesNothing(by: Visitor, address: string): Promise<void> {
      const before = (await registry.requests()).length;
      for (const method of ['GET', 'PATCH', 'PUT', 'DELETE']) {
        const body = method === 'PATCH' || method === 'PUT' ? 'stolen' : undefined;
        const query = method === 'PUT' ? withQuery(address, `digest=${sha256('stolen')}`) : address;
        const answer = await by.ask(query, { method, body });
        expect([method, answer.status]).toEqual([method, 404]);
        expect(errorCode(answer)).toMatch(/^BLOB_UPLOAD_(UNKNOWN|INVALID)$/);
      }
      expect((await registry.requests()).slice(before)).toEqual([]);
    }

    it("S27: another account's", async () => {
      const thief = await gate.addAccount();
      const address = await openUpload(who, REPOSITORY);

      await reachesNothing(await visit(gate, thief, REPOSITORY, 'pull,push'), address);
    });

    it("another repository's", async () => {
      const address = await openUpload(who, REPOSITORY);
      const by = await visit(gate, account, 'team/other', 'pull,push');

      await reachesNothing(by, address.replace(REPOSITORY, 'team/other'));
    });

    it('S14: altered, shortened, emptied, or made up', async () => {
      const address = await openUpload(who, REPOSITORY);
      const state = /_state=([\w-]+)/.exec(address)?.[1] ?? '';
      const uuid = /uploads\/([\w-]+)/.exec(address)?.[1] ?? '';
      const middle = Math.floor(state.length / 2);
      const flipped = state[middle] === 'A' ? 'B' : 'A';
      const other = `${state.slice(0, middle)}${flipped}${state.slice(middle + 1)}`;

      await reachesNothing(who, address.replace(state, other));
      await reachesNothing(who, address.replace(state, state.slice(0, -4)));
      await reachesNothing(who, address.replace(state, 'made-up'));
      await reachesNothing(who, address.replace(uuid, '00000000-0000-0000-0000-000000000000'));
    });

    it('of sessions that were ended', async () => {
      const user = await gate.addAccount();
      const address = await openUpload(
        await visit(gate, user, REPOSITORY, 'pull,push'),
        REPOSITORY,
      );
      await gate.rest('DELETE', `/users/${user.username}/sessions`);

      await reachesNothing(await visit(gate, user, REPOSITORY, 'pull,push'), address);
    });
  });

  it('S27: end with their time, and an account has no more than its number of them open', async () => {
    const small = await startStand('none', { UPLOAD_TTL: '2s', MAX_UPLOADS: '3' });
    const user = await small.gate.addAccount();
    const by = await visit(small.gate, user, REPOSITORY, 'pull,push');
    const begin = () => by.ask(`/v2/${REPOSITORY}/blobs/uploads/`, { method: 'POST' });

    const first = await openUpload(by, REPOSITORY);
    await openUpload(by, REPOSITORY);
    await openUpload(by, REPOSITORY);
    const fourth = await begin();

    expect([fourth.status, errorCode(fourth)]).toEqual([429, 'TOOMANYREQUESTS']);
    expect(Number(fourth.headers['retry-after'])).toBeGreaterThan(0);
    const other = await visit(small.gate, await small.gate.addAccount(), REPOSITORY, 'pull,push');
    expect((await other.ask(`/v2/${REPOSITORY}/blobs/uploads/`, { method: 'POST' })).status).toBe(
      202,
    );
    await eventually('old uploads no longer count', async () => (await begin()).status === 202);
    const before = (await small.registry.requests()).length;
    const late = await by.ask(first, { method: 'PATCH', body: 'late' });
    expect([late.status, errorCode(late)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
    expect((await small.registry.requests()).slice(before)).toEqual([]);
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

  it('S26: take a manifest of 4 MiB, and none that is larger', async () => {
    const put = (size: number) => {
      const text = JSON.stringify({ schemaVersion: 2, padding: '' });
      const body = text.replace('""', `"${'x'.repeat(size - text.length)}"`);
      const headers = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
      return who.ask(`/v2/${REPOSITORY}/manifests/large`, { method: 'PUT', headers, body });
    };

    const fits = await put(4 * 1024 * 1024);
    const before = (await registry.requests()).length;
    const over = await put(4 * 1024 * 1024 + 1);

    expect(over.status).toBe(413);
    expect((await registry.requests()).slice(before)).toEqual([]);
    expect(fits.status).not.toBe(413); // the registry has its own opinion of what it holds
  });
});
