import { randomBytes } from 'node:crypto';
import type { Gate } from '../support/gate';
import { errorCode, sha256, type Account } from '../support/http';
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
});
