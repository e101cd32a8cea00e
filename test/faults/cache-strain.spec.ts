/** What clients that leave, lengths nobody tells, and questions without end must not cost those who come after. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import { stall, type Behaviour } from '../support/fault-server';
import { sha256 } from '../support/http';
import { beginUnanswered } from '../support/leaver';
import { eventually } from '../support/lifecycle';
import { manifestOf, Pause, ScriptedRegistry } from '../support/scripted-registry';

const MIB = 1024 * 1024;

async function before(env: Record<string, string> = {}) {
  const upstream = await ScriptedRegistry.start();
  const stand = await CachedStand.open({ ...upstream.settings, ...env });
  const held = (digest: string) => stand.pull(`/v2/team/app/blobs/${digest}`);
  return { upstream, stand, held };
}

/** The whole, of a length that is not told, and whatever part was asked for. */
function unannounced(bytes: Buffer): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(bytes);
  };
}

it('three clients that leave before the registry’s first byte are no failure of the registry', async () => {
  const { upstream, stand } = await before();
  const there = upstream.blob('team/app', randomBytes(1000));
  upstream.fault = ({ url }) => (url.includes(there) ? undefined : stall());

  for (let n = 1; n <= 3; n += 1) {
    const path = `/v2/team/app/blobs/${sha256(randomBytes(8))}`;
    const leaver = beginUnanswered(stand, path);
    await eventually('it is asked for', () => upstream.asked(path).length === 1);
    leaver.leave();
    await eventually('the leaving is noticed', () => stand.requests('blob').length === n);
    await eventually('the fetch has ended', () => upstream.server.open === 0);
  }

  expect((await stand.ask(`/v2/team/app/blobs/${there}`)).status).toBe(200);
});

describe('the room of a cache that is nearly full', () => {
  async function nearlyFull() {
    const here = await before({ CACHE_MAX_SIZE: '12MiB', CACHE_MIN_FREE: '0' });
    const held: string[] = [];
    for (let n = 0; n < 6; n += 1) {
      const digest = here.upstream.blob('team/app', randomBytes(MIB));
      await here.stand.pull(`/v2/team/app/blobs/${digest}`);
      await here.stand.untilHeld(digest);
      held.push(digest);
    }
    return { ...here, held };
  }

  it('is not taken by pulls that were given up: they evict nothing', async () => {
    const { upstream, stand, held } = await nearlyFull();
    for (let n = 0; n < 5; n += 1) {
      const bytes = randomBytes(4 * MIB);
      const digest = upstream.blob('team/app', bytes);
      upstream.fault = ({ url }) =>
        url.includes(digest) ? new Pause(bytes, 100_000).behaviour : undefined;
      const pull = await stand.begin(`/v2/team/app/blobs/${digest}`);
      await eventually('it is written', () => stand.files('spool').length === 1);
      pull.leave();
      await eventually('it is given up', () => stand.files('spool').length === 0);
    }
    const next = upstream.blob('team/app', randomBytes(MIB));

    await stand.pull(`/v2/team/app/blobs/${next}`);
    await stand.untilHeld(next);

    expect(held.filter((digest) => !stand.holds(digest))).toEqual([]);
  });

  it('is not taken by small blobs whose length nobody tells: they evict nothing, and are held', async () => {
    const { upstream, stand, held } = await nearlyFull();
    for (let n = 0; n < 30; n += 1) {
      const bytes = randomBytes(1024);
      const digest = upstream.blob('team/app', bytes);
      upstream.fault = ({ url }) => (url.includes(digest) ? unannounced(bytes) : undefined);
      await stand.pull(`/v2/team/app/blobs/${digest}`);
      await stand.untilHeld(digest);
      held.push(digest);
    }

    expect(held.filter((digest) => !stand.holds(digest))).toEqual([]);
  });
});

describe.each(['on', 'off'])(
  'with CACHE=%s, an upstream that tells no length and does no parts',
  (cache) => {
    it.each(['bytes=21769-', 'bytes=100-199', 'bytes=5-', 'bytes=0-9'])(
      'Range %s: the whole as the whole, and never a part under a 200',
      async (range) => {
        const { upstream, stand } = await before({ CACHE: cache });
        const bytes = randomBytes(65_535);
        const digest = upstream.blob('team/app', bytes);
        upstream.fault = ({ method }) => (method === 'GET' ? unannounced(bytes) : undefined);

        const got = await stand.pull(`/v2/team/app/blobs/${digest}`, { headers: { range } });

        expect([got.status, got.whole, got.body.equals(bytes)]).toEqual([200, true, true]);
        if (cache === 'on') expect((await stand.overview()).mismatches).toBe(0);
      },
    );
  },
);

it('a manifest that is asked for again and again asks once for what it names and may not be had', async () => {
  const { upstream, stand } = await before();
  const blobs = Array.from({ length: 12 }, () => randomBytes(20));
  for (const bytes of blobs) {
    upstream.blob('public/app', bytes);
    await stand.untilHit(`/v2/public/app/blobs/${sha256(bytes)}`);
  }
  const heads = () => upstream.asked('HEAD', 'team/app/blobs').length;
  // In each client's own words, the upstream is asked each time.
  const headers = { accept: 'application/x-own' };
  const manifests = [0, 1, 2].map(() => manifestOf([...blobs, randomBytes(4)]));
  for (const [n, manifest] of manifests.entries())
    upstream.manifest('team/app', String(n), manifest);

  for (const n of manifests.keys()) {
    await stand.ask(`/v2/team/app/manifests/${n}`, { headers });
    await stand.ask(`/v2/team/app/manifests/${n}`);
    await eventually('all are asked for', () => heads() >= blobs.length);
  }
  // The last is asked for when all before it have been.
  const last = randomBytes(20);
  upstream.blob('public/app', last);
  await stand.untilHit(`/v2/public/app/blobs/${sha256(last)}`);
  upstream.manifest('team/app', 'last', manifestOf([...blobs, last]));
  await stand.ask('/v2/team/app/manifests/last');
  await eventually('the last is asked for', () => upstream.asked('HEAD', sha256(last)).length > 0);

  expect(heads()).toBe(blobs.length + 1);
});
