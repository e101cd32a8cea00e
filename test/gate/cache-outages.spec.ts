/** What is held is there when the upstream is away, slow, or out of quota; what is not says so soon, and says it right. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import {
  answer,
  redirect,
  reset,
  stall,
  tooManyRequests,
  type Behaviour,
} from '../support/fault-server';
import { errorCode, sha256, type Answer } from '../support/http';
import { eventually } from '../support/lifecycle';
import { manifestOf, ScriptedRegistry } from '../support/scripted-registry';

const LAYER = randomBytes(100_000);
const MANIFEST = manifestOf([LAYER]);
const TAG = '/v2/team/app/manifests/1';
const BY_DIGEST = `/v2/team/app/manifests/${MANIFEST.digest}`;
const BLOB = `/v2/team/app/blobs/${sha256(LAYER)}`;
const NOT_HELD = `/v2/team/app/blobs/${sha256('never pulled')}`;
const NO_TAG = '/v2/team/app/manifests/never-pulled';

const QUICK = { UPSTREAM_HEADER_TIMEOUT: '300ms', UPSTREAM_CONNECT_TIMEOUT: '300ms' };

/** A gate whose tags are asked for anew each time, and an image that it holds. */
async function held(env: Record<string, string> = {}) {
  const upstream = await ScriptedRegistry.start();
  upstream.manifest('team/app', '1', MANIFEST);
  upstream.blob('team/app', LAYER);
  const stand = await CachedStand.open({ ...upstream.settings, CACHE_TAG_TTL: '0s', ...env });
  await stand.ask(TAG);
  for (const path of [BY_DIGEST, BLOB]) await stand.untilHit(path);
  upstream.server.requests.length = 0;
  return { upstream, stand };
}

function expectStale(got: Answer): void {
  expect([got.status, got.body.equals(MANIFEST.bytes)]).toEqual([200, true]);
  expect(got.headers.warning).toMatch(/^299 - "stale: /);
  expect(got.headers['cache-status']).toMatch(/^tidegate; fwd=stale/);
}

/** What it gives, and in how many milliseconds. */
async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const began = performance.now();
  return [await work(), performance.now() - began];
}

async function expectHeld(stand: CachedStand): Promise<void> {
  const tag = await stand.ask(TAG);
  expectStale(tag);
  const head = await stand.ask(TAG, { method: 'HEAD' });
  expect([head.status, head.headers['docker-content-digest']]).toEqual([200, MANIFEST.digest]);
  expect(head.headers.warning).toMatch(/^299 /);
  for (const [path, bytes] of [[BY_DIGEST, MANIFEST.bytes] as const, [BLOB, LAYER] as const]) {
    const got = await stand.ask(path);
    expect([path, got.status, got.body.equals(bytes)]).toEqual([path, 200, true]);
    expect(got.headers['cache-status']).toBe('tidegate; hit');
    expect(got.headers.warning).toBeUndefined();
  }
}

describe('F1: an upstream that is down', () => {
  it.each([
    ['since the gate runs', false],
    ['when it starts, too', true],
  ])('%s: what is held is served, and what is not is 503 soon', async (_, restarted) => {
    const { upstream, stand } = await held();
    await upstream.server.close();
    if (restarted) await stand.restart();

    await expectHeld(stand);

    for (const path of [NOT_HELD, NO_TAG]) {
      const [got, milliseconds] = await timed(() => stand.ask(path));
      expect([path, got.status, errorCode(got)]).toEqual([path, 503, 'UNAVAILABLE']);
      expect(milliseconds).toBeLessThan(5_000);
    }
  });

  it('and that resets every connection: the same', async () => {
    const { upstream, stand } = await held();
    upstream.fault = () => reset();

    await expectHeld(stand);
    const got = await stand.ask(NOT_HELD);

    expect([got.status, errorCode(got)]).toEqual([503, 'UNAVAILABLE']);
  });

  it('a fresh tag is a hit, without a warning', async () => {
    const { upstream, stand } = await held();
    await upstream.server.close();
    await stand.restart({ CACHE_TAG_TTL: '60s' });

    const got = await stand.ask(TAG);

    expect([got.status, got.headers['cache-status'], got.headers.warning]).toEqual([
      200,
      'tidegate; hit',
      undefined,
    ]);
  });
});

describe('F2: an upstream that accepts and says nothing', () => {
  it('what is held is served as soon as it is given up, and what is not is 504', async () => {
    const { upstream, stand } = await held(QUICK);
    upstream.fault = () => stall();

    const [missing, milliseconds] = await timed(() => stand.ask(NOT_HELD));
    await expectHeld(stand);

    expect([missing.status, errorCode(missing)]).toEqual([504, 'UNAVAILABLE']);
    expect(milliseconds).toBeGreaterThanOrEqual(290);
    expect(milliseconds).toBeLessThan(5_000);
  });

  it('a tag that is held does not wait for a long header timeout', async () => {
    const { upstream, stand } = await held({ UPSTREAM_HEADER_TIMEOUT: '30s' });
    upstream.fault = () => stall();

    const [got, milliseconds] = await timed(() => stand.ask(TAG));

    expectStale(got);
    expect(milliseconds).toBeLessThan(10_000);
    expect(upstream.asked('HEAD', '/manifests/1')).toHaveLength(1);
  });
});

describe('the circuit breaker', () => {
  it('keeps a dead upstream from costing each request its timeout, and lets it recover by itself', async () => {
    const { upstream, stand } = await held(QUICK);
    upstream.fault = () => stall();
    for (let n = 0; n < 3; n += 1) expect((await stand.ask(NOT_HELD)).status).toBe(504);
    const asked = upstream.server.requests.length;

    const refused = await Promise.all(Array.from({ length: 10 }, () => stand.ask(NOT_HELD)));
    await expectHeld(stand);

    for (const got of refused) {
      expect([got.status, errorCode(got)]).toEqual([503, 'UNAVAILABLE']);
      expect(Number(got.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    }
    expect(upstream.server.requests).toHaveLength(asked);

    upstream.fault = () => undefined;
    const got = await eventually('it recovers', async () => {
      const again = await stand.ask(TAG);
      return again.headers.warning === undefined && again;
    });
    expect([got.status, got.headers['cache-status']]).toEqual([
      200,
      'tidegate; fwd=stale; fwd-status=200',
    ]);
    expect((await stand.ask(NOT_HELD)).status).toBe(404);
  });
});

describe('F8: an upstream that is out of quota', () => {
  it.each([
    ['a manifest', (url: string) => url.includes('/manifests/')],
    ['the token', (url: string) => url.startsWith('/token')],
  ])('429 with Retry-After on %s: obeyed, and what is held is served', async (_, limits) => {
    const upstream = await ScriptedRegistry.start();
    upstream.manifest('team/app', '1', MANIFEST);
    upstream.blob('team/app', LAYER);
    const realm = `${upstream.server.url.origin}/token`;
    const stand = await CachedStand.open({ ...upstream.settings, CACHE_TAG_TTL: '0s' });
    let limited = false;
    let token = 'first';
    upstream.opensWith = '';
    upstream.fault = ({ url, headers }) => {
      if (limited && limits(url)) return tooManyRequests('2');
      if (url.startsWith('/token')) return answer(200, JSON.stringify({ token }));
      if (headers.authorization !== `Bearer ${token}`)
        return answer(401, '', { 'www-authenticate': `Bearer realm="${realm}",service="s"` });
      upstream.opensWith = headers.authorization;
      return undefined;
    };
    await stand.ask(TAG);
    for (const path of [BY_DIGEST, BLOB]) await stand.untilHit(path);
    [limited, token] = [true, 'second'];

    const missing = await stand.ask(NO_TAG);
    const asked = upstream.server.requests.length;
    await expectHeld(stand);
    const again = await Promise.all([NO_TAG, NOT_HELD].map((path) => stand.ask(path)));

    for (const got of [missing, ...again]) {
      expect([got.status, errorCode(got)]).toEqual([429, 'TOOMANYREQUESTS']);
      expect(['1', '2']).toContain(got.headers['retry-after']);
    }
    expect(upstream.server.requests).toHaveLength(asked);

    limited = false;
    await eventually('it is asked again', async () => (await stand.ask(NO_TAG)).status === 404);
  });
});

describe('F9: an upstream that answers with errors', () => {
  it.each([500, 502, 503])('%d once: one retry, and nobody notices', async (status) => {
    const { upstream, stand } = await held();
    const fresh = randomBytes(1000);
    upstream.blob('team/app', fresh);
    upstream.server.queue(answer(status));
    const blob = await stand.ask(`/v2/team/app/blobs/${sha256(fresh)}`);
    upstream.server.queue(answer(status));
    const tag = await stand.ask(TAG);

    expect([blob.status, blob.body.equals(fresh)]).toEqual([200, true]);
    expect([tag.status, tag.headers.warning]).toEqual([200, undefined]);
    expect(upstream.asked('GET', sha256(fresh))).toHaveLength(2);
    expect(upstream.asked('HEAD', '/manifests/1')).toHaveLength(2);
  });

  it.each([500, 502, 503])('%d always: held as with one that is down, else 502', async (status) => {
    const { upstream, stand } = await held();
    upstream.fault = () => answer(status, '<html>oops</html>');

    await expectHeld(stand);
    for (const path of [NOT_HELD, NO_TAG]) {
      upstream.server.requests.length = 0;
      const got = await stand.ask(path);
      expect([path, got.status, errorCode(got)]).toEqual([path, 502, 'UNAVAILABLE']);
      expect(upstream.server.requests).toHaveLength(2);
    }
  });

  it('404 when a tag is asked for again forgets it: it does not come back when the upstream is away', async () => {
    const { upstream, stand } = await held();
    upstream.remove('team/app', '1');

    const gone = await stand.ask(TAG);
    await upstream.server.close();
    await stand.restart();
    const later = await stand.ask(TAG);
    const byDigest = await stand.ask(BY_DIGEST);

    expect([gone.status, errorCode(gone)]).toEqual([404, 'MANIFEST_UNKNOWN']);
    expect(later.status).toBe(503);
    expect(byDigest.status).toBe(200);
  });

  it.each([401, 403])(
    '%d when a tag is asked for again is passed on, and ends the link',
    async (status) => {
      const { upstream, stand } = await held();
      upstream.fault = () => answer(status, '', { 'www-authenticate': 'Basic realm="upstream"' });

      const refused = await stand.ask(TAG);
      await upstream.server.close();

      expect([401, 403]).toContain(refused.status);
      expect(errorCode(refused)).toMatch(/^(?:DENIED|UNAUTHORIZED)$/);
      for (const after of ['running', 'restarted']) {
        for (const path of [TAG, BY_DIGEST, BLOB]) {
          for (const method of ['GET', 'HEAD']) {
            const got = await stand.ask(path, { method });
            expect([after, method, path, got.status]).toEqual([after, method, path, 503]);
          }
        }
        await stand.restart({ CACHE_TAG_TTL: '60s' });
      }
    },
  );
});

describe('F10: redirects without end', () => {
  it.each<[string, Behaviour]>([
    [
      'in a loop',
      (request, response, seen) => redirect(request.url ?? '/')(request, response, seen),
    ],
    [
      'to each other',
      (request, response, seen) => {
        const to = request.url?.includes('other') ? '/one?' : '/other?';
        redirect(to)(request, response, seen);
      },
    ],
    [
      'in a chain of 50',
      (request, response, seen) => {
        const n = Number(/chain=(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
        const next = n < 50 ? redirect(`/blob?chain=${n + 1}`) : answer(200, LAYER);
        next(request, response, seen);
      },
    ],
  ])('%s: 502 after a few, and nothing is held', async (_, behaviour) => {
    const upstream = await ScriptedRegistry.start();
    const stand = await CachedStand.open(upstream.settings);
    upstream.fault = () => behaviour;

    for (const path of [BLOB, TAG]) {
      upstream.server.requests.length = 0;
      const got = await stand.ask(path);
      expect([path, got.status, errorCode(got)]).toEqual([path, 502, 'UNAVAILABLE']);
      expect(upstream.server.requests.length).toBeLessThanOrEqual(6);
    }
    expect(stand.files()).toEqual([]);
  });
});

describe('F12: the upstream’s token expires in the middle of a pull', () => {
  it('is renewed once for all, and every client sees 200', async () => {
    const upstream = await ScriptedRegistry.start();
    const layers = Array.from({ length: 8 }, () => randomBytes(1000));
    const manifest = manifestOf(layers);
    upstream.manifest('team/app', '1', manifest);
    for (const layer of layers) upstream.blob('team/app', layer);
    const realm = `${upstream.server.url.origin}/token`;
    let [good, issued] = ['', 0];
    upstream.fault = ({ url, headers }) => {
      if (url.startsWith('/token')) {
        good = `token-${(issued += 1)}`;
        return answer(200, JSON.stringify({ token: good, expires_in: 300 }));
      }
      if (headers.authorization !== `Bearer ${good}`)
        return answer(401, '', { 'www-authenticate': `Bearer realm="${realm}",service="s"` });
      upstream.opensWith = headers.authorization;
      return undefined;
    };
    const stand = await CachedStand.open(upstream.settings);
    expect((await stand.ask(TAG)).status).toBe(200);
    good = 'none';

    const pulls = layers.flatMap((layer) => [layer, layer]);
    const got = await Promise.all(
      pulls.map((layer) => stand.ask(`/v2/team/app/blobs/${sha256(layer)}`)),
    );

    expect(got.map(({ status, body }) => `${status} ${sha256(body)}`)).toEqual(
      pulls.map((layer) => `200 ${sha256(layer)}`),
    );
    expect(issued).toBe(2);
  });
});
