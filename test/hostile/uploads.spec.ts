/** Uploads in hostile hands: content that is not one's own, addresses that are not, and more of them than fits. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { answer, FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { bearer, errorCode, sha256, tokenFor, type Account } from '../support/http';
import { imageOf, layersWith, MIB } from '../support/images';
import { atTheEnd, eventually } from '../support/lifecycle';
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
const UPLOADS = `/v2/${REPOSITORY}/blobs/uploads/`;

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

    it("S14: another repository's", async () => {
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

    it('S27: of sessions that were ended', async () => {
      const user = await gate.addAccount();
      const address = await openUpload(
        await visit(gate, user, REPOSITORY, 'pull,push'),
        REPOSITORY,
      );
      await gate.rest('DELETE', `/users/${user.username}/sessions`);

      await reachesNothing(await visit(gate, user, REPOSITORY, 'pull,push'), address);
    });
  });

  it('S27: end with their time: an old address is 404, and no longer counts', async () => {
    const small = await startStand('none', { UPLOAD_TTL: '6s', MAX_UPLOADS: '3' });
    const user = await small.gate.addAccount();
    const by = await visit(small.gate, user, REPOSITORY, 'pull,push');
    const begin = () => by.ask(UPLOADS, { method: 'POST' });

    const first = await openUpload(by, REPOSITORY);
    await openUpload(by, REPOSITORY);
    await openUpload(by, REPOSITORY);
    const fourth = await begin();

    expect([fourth.status, errorCode(fourth)]).toEqual([429, 'TOOMANYREQUESTS']);
    const fits = async () => (await begin()).status === 202;
    await eventually('old uploads no longer count', fits, 30_000);
    const before = (await small.registry.requests()).length;
    const late = await by.ask(first, { method: 'PATCH', body: 'late' });
    expect([late.status, errorCode(late)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
    expect((await small.registry.requests()).slice(before)).toEqual([]);
  });
});

describe('S27: thousands of uploads that one account begins and does not end', () => {
  let upstream: FaultServer;
  let gate: Gate;

  beforeAll(async () => {
    upstream = await FaultServer.start();
    upstream.handler = (request, response, seen) => {
      if (request.method === 'POST')
        answer(202, '', { location: `/up/${upstream.requests.length}` })(request, response, seen);
    };
    // Only the rate is lifted: the number of open uploads is the gate's own.
    gate = await startGate({
      UPSTREAM_REGISTRY: upstream.url.origin,
      RATE_LIMIT: '100000',
      RATE_BURST: '100000',
    });
  });

  it('are 429 beyond a thousand, in whatever repository and by whatever token, and go no further', async () => {
    const account = await gate.addAccount();
    const other = await gate.addAccount();
    const begins = await Promise.all(
      ['team/app', 'team/two', 'team/three'].map(async (name) => {
        const { token } = await tokenFor(gate.url, account, `repository:${name}:pull,push`);
        const sending = { method: 'POST', headers: bearer(token) };
        return () => fetch(`${gate.url}/v2/${name}/blobs/uploads/`, sending);
      }),
    );

    const statuses: number[] = [];
    const work = Array.from({ length: 2000 }, (_, n) => begins[n % 3]!);
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        for (let begin = work.pop(); begin; begin = work.pop()) {
          const begun = await begin();
          await begun.arrayBuffer();
          statuses.push(begun.status);
        }
      }),
    );
    const { token } = await visit(gate, account, REPOSITORY, 'pull,push');
    const last = await visitor(gate, token).ask(UPLOADS, { method: 'POST' });
    const begunByOther = await (
      await visit(gate, other, REPOSITORY, 'pull,push')
    ).ask(UPLOADS, {
      method: 'POST',
    });

    const count = (status: number) => statuses.filter((each) => each === status).length;
    expect([count(202), count(429)]).toEqual([1000, 1000]);
    expect([last.status, errorCode(last)]).toEqual([429, 'TOOMANYREQUESTS']);
    expect(Number(last.headers['retry-after'])).toBeGreaterThan(0);
    expect(begunByOther.status).toBe(202);
    expect(upstream.requests).toHaveLength(1001);
  }, 240_000);

  it('count as well where they are begun as whole blobs that never end, and cost no memory', async () => {
    const few = await startGate({ UPSTREAM_REGISTRY: upstream.url.origin, MAX_UPLOADS: '5' });
    const account = await few.addAccount();
    const { token } = await visit(few, account, REPOSITORY, 'pull,push');
    const half = (path: string) => {
      const socket = connect(few.port, '127.0.0.1').on('error', () => undefined);
      atTheEnd(() => socket.destroy());
      let text = '';
      socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
      const head = [
        `POST ${path} HTTP/1.1`,
        `Host: ${few.host}`,
        `Authorization: Bearer ${token}`,
        `Content-Length: ${1024 * MIB}`,
      ];
      socket.write(`${head.join('\r\n')}\r\n\r\n`);
      socket.write(Buffer.alloc(1000));
      return () => Number(/^HTTP\/1.1 (\d+)/.exec(text)?.[1]);
    };
    const before = few.memory().now;

    const begun = Array.from({ length: 30 }, () =>
      half(`${UPLOADS}?digest=${sha256(randomBytes(8))}`),
    );
    await eventually(
      'the rest is refused',
      () => begun.filter((status) => status() === 429).length === 25,
    );

    expect(begun.filter((status) => Number.isNaN(status()))).toHaveLength(5);
    expect(few.memory().now - before).toBeLessThan(100 * MIB);
  });
});

describeWith(['docker-registry'], 'S26: manifests that are pushed', () => {
  const MANIFEST = `/v2/${REPOSITORY}/manifests/large`;
  const TYPE = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
  const LIMIT = 4 * MIB;
  const image = imageOf(layersWith(1000));
  let gate: Gate;
  let registry: Registry;
  let who: Visitor;

  beforeAll(async () => {
    ({ gate, registry } = await startStand());
    await seed(registry, REPOSITORY, 'small', image);
    who = await visit(gate, await gate.addAccount(), REPOSITORY, 'pull,push');
  });

  /** The image's own, and so much more that it has that size. */
  function manifestOfSize(size: number): string {
    const own = JSON.parse(image.manifest.toString()) as object;
    const text = JSON.stringify({ ...own, annotations: { padding: '' } });
    return text.replace('""', `"${'x'.repeat(size - text.length)}"`);
  }

  const put = (size: number) =>
    who.ask(MANIFEST, { method: 'PUT', headers: TYPE, body: manifestOfSize(size) });

  it('of 4 MiB are taken; of a byte more they are 413, go nowhere, and cost no memory', async () => {
    const fits = await put(LIMIT);
    expect([fits.status, fits.headers['docker-content-digest']]).toEqual([
      201,
      sha256(manifestOfSize(LIMIT)),
    ]);
    const before = (await registry.requests()).length;
    const idle = gate.memory().now;
    gate.forgetPeak();

    // Each sends all of it before it reads: the answer must not be lost by a connection that ends too soon.
    for (let n = 0; n < 10; n += 1) expect((await put(LIMIT + 1)).status).toBe(413);

    expect(gate.memory().peak - idle).toBeLessThan(100 * MIB);
    expect((await registry.requests()).slice(before)).toEqual([]);
  });

  it('of no announced length are 413 as soon as they are too long, and cost no memory', async () => {
    const before = (await registry.requests()).length;
    const idle = gate.memory().now;
    gate.forgetPeak();

    const answers = await Promise.all(Array.from({ length: 20 }, () => sendForEver()));

    for (const text of answers) expect(text).toMatch(/^HTTP\/1.1 (?:413|429|503) /);
    expect(answers.some((text) => text.startsWith('HTTP/1.1 413'))).toBe(true);
    expect(gate.memory().peak - idle).toBeLessThan(150 * MIB);
    expect((await registry.requests()).slice(before)).toEqual([]);
  });

  /** Sends chunk after chunk until the gate closes; gives what it said. */
  function sendForEver(): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect(gate.port, '127.0.0.1');
      const chunk = Buffer.concat([
        Buffer.from('10000\r\n'),
        Buffer.alloc(65_536, ' '),
        Buffer.from('\r\n'),
      ]);
      const head = [
        `PUT ${MANIFEST} HTTP/1.1`,
        `Host: ${gate.host}`,
        `Authorization: Bearer ${who.token}`,
        `Content-Type: ${TYPE['content-type']}`,
        'Transfer-Encoding: chunked',
      ];
      let text = '';
      const go = () => {
        while (!socket.destroyed && socket.write(chunk));
      };
      socket.setEncoding('latin1').on('data', (part: string) => (text += part));
      socket
        .on('drain', go)
        .on('error', () => undefined)
        .on('close', () => resolve(text));
      socket.write(`${head.join('\r\n')}\r\n\r\n`, go);
    });
  }
});
