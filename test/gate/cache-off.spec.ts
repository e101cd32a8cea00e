import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { BlobUpstream } from '../support/blob-upstream';
import { descriptors } from '../support/cache-folder';
import { Crowd, summaryOf } from '../support/crowd';
import { answer, corrupt, FaultServer } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { sha256, unique } from '../support/http';
import { imageOf, layersWith, MIB } from '../support/images';
import { atTheEnd, eventually } from '../support/lifecycle';
import { Patterned } from '../support/patterned';
import { visit, type Visitor } from '../support/stand';

const OFF = { CACHE: 'off' };
const content = new Patterned(8 * MIB + 5, 'off');
const path = `/v2/team/app/blobs/${content.digest}`;

let gate: Gate;
let upstream: BlobUpstream;
let who: Visitor;

beforeAll(async () => {
  upstream = await BlobUpstream.start(content);
  gate = await startGate({ ...upstream.settings, ...OFF });
  who = await visit(gate, await gate.addAccount(), 'team/app', 'pull');
});

function expectNothingHeld(): void {
  expect(existsSync(join(gate.dataDir, 'cache'))).toBe(false);
  expect(readdirSync(gate.dataDir).filter((name) => /index|cache|spool/.test(name))).toEqual([]);
}

describe('CACHE=off', () => {
  it('streams each pull from upstream, and says so', async () => {
    const before = upstream.asked('GET').length;

    const answers = [await who.ask(path), await who.ask(path)];

    for (const { status, headers, body } of answers) {
      expect(status).toBe(200);
      expect(headers['cache-status']).toBe('tidegate; fwd=bypass; fwd-status=200');
      expect(headers['content-length']).toBe(String(content.size));
      expect(body.equals(content.bytes())).toBe(true);
    }
    expect(upstream.asked('GET').length - before).toBe(2);
    expectNothingHeld();
  });

  it('gives clients that come at once a fetch each', async () => {
    const before = upstream.asked('GET').length;

    const crowd = new Crowd(gate, { clients: 10, path, content, token: who.token, hashing: 2 });
    const ends = await crowd.ended();

    expect(summaryOf(ends)).toEqual({
      whole: 10,
      statuses: { 200: 10 },
      digests: [content.digest],
    });
    expect(upstream.asked('GET').length - before).toBe(10);
    expectNothingHeld();
  });

  it.each([
    ['bytes=100-299', 100, 300],
    ['bytes=1000-', 1000, content.size],
    ['bytes=-50', content.size - 50, content.size],
    ['bytes=0-', 0, content.size],
  ])('passes the part %s on', async (range, from, to) => {
    const { status, headers, body } = await who.ask(path, { headers: { range } });

    expect(status).toBe(206);
    expect(headers['content-range']).toBe(`bytes ${from}-${to - 1}/${content.size}`);
    expect(headers['cache-status']).toMatch(/^tidegate; fwd=bypass/);
    expect(body.equals(content.bytes(from, to))).toBe(true);
  });

  it('answers a part that is not there with 416, and several parts with the whole', async () => {
    const beyond = await who.ask(path, { headers: { range: `bytes=${content.size}-` } });
    const several = await who.ask(path, { headers: { range: 'bytes=0-1,5-9' } });

    expect(beyond.status).toBe(416);
    expect(several.status).toBe(200);
    expect(several.body.equals(content.bytes())).toBe(true);
  });

  it('asks upstream for each HEAD', async () => {
    const before = upstream.asked('HEAD').length;

    const { status, headers } = await who.ask(path, { method: 'HEAD' });

    expect(status).toBe(200);
    expect(headers['content-length']).toBe(String(content.size));
    expect(headers['cache-status']).toMatch(/fwd=/);
    expect(upstream.asked('HEAD').length - before).toBe(1);
  });

  it('gives the first bytes before the upstream sends the last ones', async () => {
    upstream.sendUpTo(MIB);
    try {
      const crowd = new Crowd(gate, { clients: 1, path, content, token: who.token, pauseAt: 100 });
      await crowd.paused();
      expect(upstream.sending).toBe(1);
      crowd.leave();
      await crowd.ended();
      await eventually('the upstream is let go', () => upstream.sending === 0);
    } finally {
      upstream.sendUpTo();
    }
  });

  it('lets a slow client slow its upstream down, and nobody else', async () => {
    const large = new Patterned(256 * MIB, 'off-large');
    upstream.add(large);
    const slowPath = `/v2/team/app/blobs/${large.digest}`;
    gate.forgetPeak();
    const idle = gate.memory().now;
    const before = upstream.sent;
    const slow = new Crowd(gate, {
      clients: 1,
      path: slowPath,
      content: large,
      token: who.token,
      pauseAt: MIB,
    });
    await slow.paused();

    for (let round = 0; round < 5; round += 1) expect((await who.ask(path)).status).toBe(200);

    // What the system keeps for two connections, and not what the client does not take.
    expect(upstream.sent - before - 5 * content.size).toBeLessThan(64 * MIB);
    expect(gate.memory().peak - idle).toBeLessThan(100 * MIB);
    expect(slow.gone).toBe(0);
    slow.goOn();
    expect(summaryOf(await slow.ended()).whole).toBe(1);
  });

  it('F14: lets go of the upstream of each client that leaves', async () => {
    const before = descriptors(gate).all;
    upstream.sendUpTo(2 * MIB);
    try {
      const crowd = new Crowd(gate, {
        clients: 50,
        path,
        content,
        token: who.token,
        pauseAt: MIB,
      });
      await crowd.paused();
      crowd.leave();
      await crowd.ended();
      await eventually('all descriptors are closed', () => descriptors(gate).all <= before + 2);
      const quiet = eventually('the upstream sends to nobody', () => upstream.sending === 0);
      await expect(quiet).resolves.toBe(true);
    } finally {
      upstream.sendUpTo();
    }
  });
});

describe('CACHE=off before an upstream that errs', () => {
  let fault: FaultServer;
  let own: Visitor;
  const image = imageOf(layersWith(100_000));
  const [digest, bytes] = [...image.blobs].at(-1)!;

  beforeAll(async () => {
    fault = await FaultServer.start();
    atTheEnd(() => fault.close());
    const other = await startGate({ UPSTREAM_REGISTRY: fault.url.origin, ...OFF });
    own = await visit(other, await other.addAccount(), 'team/app', 'pull');
  });

  it('S5, F6: breaks the transfer of a blob that is not what its digest says', async () => {
    fault.queue(corrupt(bytes, bytes.length - 1), answer(200, bytes));

    await expect(own.ask(`/v2/team/app/blobs/${digest}`)).rejects.toThrow(/aborted|reset|hang up/);
    const again = await own.ask(`/v2/team/app/blobs/${digest}`);

    expect(again.body.equals(bytes)).toBe(true);
  });

  it('gives manifests as they are, and asks for each of them', async () => {
    const manifest = answer(200, image.manifest, {
      'content-type': image.mediaType,
      'docker-content-digest': image.digest,
    });
    fault.queue(manifest, manifest, manifest, manifest);
    const before = fault.requests.length;

    const answers = [
      await own.ask(`/v2/team/app/manifests/${image.digest}`),
      await own.ask(`/v2/team/app/manifests/1`),
      await own.ask(`/v2/team/app/manifests/1`),
    ];

    for (const { status, body, headers } of answers) {
      expect(status).toBe(200);
      expect(body).toEqual(image.manifest);
      expect(headers['cache-status']).toMatch(/^tidegate; fwd=bypass/);
    }
    expect(fault.requests.length - before).toBeGreaterThanOrEqual(3);
  });

  it('does not give a manifest that is not what its digest says', async () => {
    const other = sha256(unique('other'));
    fault.handler = answer(200, image.manifest, { 'content-type': image.mediaType });

    const { status } = await own.ask(`/v2/team/app/manifests/${other}`);

    expect(status).toBe(502);
  });
});
