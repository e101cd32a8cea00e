/**
 * Answers that are late, lost, or not one's own: what is deleted stays deleted, and nobody pays for another's
 * departure.
 */
import { randomBytes } from 'node:crypto';
import { Download } from '../../src/cdn/fetch/download';
import { Flights } from '../../src/cdn/flights';
import { CachedStand } from '../support/cached-stand';
import { answer, type Behaviour } from '../support/fault-server';
import { sha256 } from '../support/http';
import { beginUnanswered } from '../support/leaver';
import { eventually } from '../support/lifecycle';
import {
  heldManifest,
  IMAGE,
  manifestOf,
  Pause,
  ScriptedRegistry,
  sendPart,
  type HeldManifest,
} from '../support/scripted-registry';

const TAG = '/v2/team/app/manifests/1';
const blobPath = (bytes: Buffer, repository = 'team/app') =>
  `/v2/${repository}/blobs/${sha256(bytes)}`;

/** An answer that waits for its turn; `asked` counts those who wait, or did. */
class Late {
  readonly #go = Promise.withResolvers<void>();
  asked = 0;

  constructor(private readonly reply: Behaviour) {}

  readonly behaviour: Behaviour = async (request, response, seen) => {
    this.asked += 1;
    await this.#go.promise;
    return this.reply(request, response, seen);
  };

  goOn(): void {
    this.#go.resolve();
  }
}

async function before() {
  const upstream = await ScriptedRegistry.start();
  return { upstream, stand: await CachedStand.open(upstream.settings) };
}

function yesTo(bytes: Buffer): Late {
  return new Late((request, response) => sendPart(bytes, request, response));
}

const wholeOf = ({ bytes, mediaType, digest }: HeldManifest) =>
  answer(200, bytes, { 'content-type': mediaType, 'docker-content-digest': digest });

describe('S12: a yes that is on its way while the content is deleted', () => {
  it.each(['GET', 'HEAD'])(
    'to a HEAD of held content: is no yes to a %s from after the deletion',
    async (method) => {
      const { upstream, stand } = await before();
      const bytes = randomBytes(100_000);
      for (const name of ['team/other', 'team/app']) upstream.blob(name, bytes);
      const path = blobPath(bytes);
      await stand.untilHit(blobPath(bytes, 'team/other'));
      const late = yesTo(bytes);
      upstream.fault = (seen) =>
        seen.method === 'HEAD' && late.asked === 0 ? late.behaviour : undefined;

      const early = stand.ask(path);
      await eventually('the first is asked', () => late.asked === 1);
      const deleted = await stand.ask(path, { method: 'DELETE' });
      const after = stand.ask(path, { method });
      await eventually('the second is asked', () => upstream.asked('HEAD', path).length === 2);
      late.goOn();

      expect([deleted.status, (await after).status]).toEqual([202, 404]);
      expect((await early).status).toBe(404);
      expect((await stand.ask(path)).status).toBe(404);
    },
  );

  it('to a HEAD for content that is being fetched under another name: opens nothing for later', async () => {
    const { upstream, stand } = await before();
    const bytes = randomBytes(200_000);
    for (const name of ['team/other', 'team/app']) upstream.blob(name, bytes);
    const path = blobPath(bytes);
    const pause = new Pause(bytes, 1000);
    const late = yesTo(bytes);
    upstream.fault = ({ method, url }) => {
      if (method === 'GET' && url.includes('team/other')) return pause.behaviour;
      return method === 'HEAD' && url === path && late.asked === 0 ? late.behaviour : undefined;
    };

    const starter = await stand.begin(blobPath(bytes, 'team/other'));
    const early = stand.begin(path);
    await eventually('the first is asked', () => late.asked === 1);
    await stand.ask(path, { method: 'DELETE' });
    const after = await stand.ask(path);
    late.goOn();
    const begun = await early;
    pause.goOn();
    await Promise.all([starter.whole, begun.whole]);
    await stand.untilHit(blobPath(bytes, 'team/other'));

    expect(after.status).toBe(404);
    expect((await stand.ask(path)).status).toBe(404);
    await stand.restart();
    expect((await stand.ask(path)).status).toBe(404);
  });

  it('to a GET of a manifest: neither its tag nor its digest is open to those who come after', async () => {
    const { upstream, stand } = await before();
    const manifest = manifestOf([randomBytes(5)]);
    upstream.manifest('team/app', '1', manifest);
    const late = new Late(wholeOf(manifest));
    upstream.fault = ({ method }) =>
      method === 'GET' && late.asked === 0 ? late.behaviour : undefined;
    const byDigest = `/v2/team/app/manifests/${manifest.digest}`;

    const early = stand.ask(TAG);
    await eventually('the first is asked', () => late.asked === 1);
    const deleted = await stand.ask(byDigest, { method: 'DELETE' });
    late.goOn();
    await early;

    expect(deleted.status).toBe(202);
    for (const path of [TAG, byDigest]) expect((await stand.ask(path)).status).toBe(404);
    await stand.restart();
    for (const path of [TAG, byDigest]) expect((await stand.ask(path)).status).toBe(404);
  });
});

describe('an answer that is lost', () => {
  it('S12: to a DELETE: what it was about is gone here, too, though the client sees an error', async () => {
    const { upstream, stand } = await before();
    const bytes = randomBytes(1000);
    const manifest = manifestOf([bytes]);
    upstream.blob('team/app', bytes);
    upstream.manifest('team/app', '1', manifest);
    const byDigest = `/v2/team/app/manifests/${manifest.digest}`;
    const paths = [blobPath(bytes), byDigest, TAG];
    for (const path of paths) await stand.untilHit(path);
    upstream.fault = ({ method, url }) => {
      if (method !== 'DELETE') return undefined;
      upstream.remove('team/app', url.split('/').at(-1) ?? '');
      return ({ socket }) => void socket.resetAndDestroy();
    };

    const lost = [
      await stand.ask(blobPath(bytes), { method: 'DELETE' }),
      await stand.ask(byDigest, { method: 'DELETE' }),
    ];

    for (const { status } of lost) expect(status).toBeGreaterThanOrEqual(500);
    for (const path of paths) expect([path, (await stand.ask(path)).status]).toEqual([path, 404]);
  });

  it('S6: to a push: the tag leads where the upstream has it, and not where it led before', async () => {
    const { upstream, stand } = await before();
    const [old, fresh] = [manifestOf([randomBytes(5)]), manifestOf([randomBytes(6)])];
    upstream.manifest('team/app', '1', old);
    await stand.untilHit(TAG);
    upstream.fault = ({ method }) => {
      if (method !== 'PUT') return undefined;
      return async (request) => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        upstream.manifest('team/app', '1', heldManifest(Buffer.concat(chunks)));
        request.socket.resetAndDestroy();
      };
    };

    const headers = { 'content-type': IMAGE };
    const push = await stand.ask(TAG, { method: 'PUT', headers, body: fresh.bytes });
    const got = await stand.ask(TAG);

    expect(push.status).toBeGreaterThanOrEqual(500);
    expect([got.status, got.body.equals(fresh.bytes)]).toEqual([200, true]);
  });
});

describe('one fetch for several, and the one who began it', () => {
  it('is refused: a reader with a yes of its own is served, however often that happens', async () => {
    const { upstream, stand } = await before();
    const bytes = randomBytes(100_000);
    upstream.blob('team/good', bytes);
    const bad: Late[] = [];
    const heads: Late[] = [];
    const next = (list: Late[], then: Behaviour) => {
      const late = new Late(then);
      list.push(late);
      return late.behaviour;
    };
    upstream.fault = ({ method, url }) => {
      if (url.includes('team/bad')) return next(bad, answer(404));
      if (method !== 'HEAD') return undefined;
      return next(heads, (request, response) => sendPart(bytes, request, response));
    };
    const joins = jest.spyOn(Download.prototype, 'join');

    const first = stand.ask(blobPath(bytes, 'team/bad'));
    await eventually('the first refusal is due', () => bad.length === 1);
    const reader = stand.pull(blobPath(bytes, 'team/good'));
    await eventually('the reader’s own right is asked for', () => heads.length === 1);
    bad[0]?.goOn();
    await first;
    const second = stand.ask(blobPath(bytes, 'team/bad'));
    await eventually('the second refusal is due', () => bad.length === 2);
    heads[0]?.goOn();
    await eventually('it is asked for again, for the second fetch', () => heads.length === 2);
    heads[1]?.goOn();
    await eventually('the reader has joined', () => joins.mock.calls.length === 3);
    joins.mockRestore();
    bad[1]?.goOn();

    expect((await second).status).toBe(404);
    const got = await reader;
    expect([got.status, got.whole, got.body.equals(bytes)]).toEqual([200, true, true]);
  });

  it('leaves before there is room for the manifest: those who joined are no herd', async () => {
    const { upstream, stand } = await before();
    const manifest = manifestOf([randomBytes(5)]);
    upstream.manifest('team/app', '1', manifest);
    const late = new Late(wholeOf(manifest));
    upstream.fault = () => (late.asked === 0 ? late.behaviour : undefined);
    const joins = jest.spyOn(Flights.prototype, 'join');

    const began = beginUnanswered(stand, TAG);
    await eventually('it is asked for', () => late.asked === 1);
    const others = Array.from({ length: 30 }, () => stand.ask(TAG));
    await eventually('all have joined', () => joins.mock.calls.length === 31);
    began.leave();
    await eventually('its leaving is noticed', () => stand.requests('manifest').length > 0);
    late.goOn();
    const got = await Promise.all(others);
    joins.mockRestore();

    expect(got.filter(({ status }) => status !== 200)).toEqual([]);
    expect(upstream.asked('GET', TAG).length).toBeLessThanOrEqual(2);
  });
});

it('F21: a herd behind a fetch that is refused to a stranger shares the next one', async () => {
  const upstream = await ScriptedRegistry.start();
  const stand = await CachedStand.open(upstream.settings);
  const bytes = randomBytes(2_000_000);
  upstream.blob('team/good', bytes);
  const late = new Late(answer(404));
  upstream.fault = ({ url }) => (url.includes('team/bad') ? late.behaviour : undefined);

  const stranger = stand.ask(blobPath(bytes, 'team/bad'));
  await eventually('the stranger is asked for', () => late.asked === 1);
  const herd = Array.from({ length: 100 }, () => stand.pull(blobPath(bytes, 'team/good')));
  await eventually('the herd is asked for', () => upstream.asked('HEAD', 'team/good').length > 0);
  late.goOn();
  const got = await Promise.all(herd);
  await stranger;

  expect(got.filter(({ whole, body }) => whole && body.equals(bytes))).toHaveLength(100);
  expect(upstream.asked('GET', 'team/good').length).toBeLessThan(5);
});
