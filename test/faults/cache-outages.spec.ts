/**
 * What is held is there when the upstream is away, slow, or out of quota; what is not says so soon, and says it right.
 */
import { CachedStand } from '../support/cached-stand';
import { answer, reset, stall, tooManyRequests } from '../support/fault-server';
import { errorCode, sha256 } from '../support/http';
import {
  BLOB,
  BY_DIGEST,
  expectHeld,
  expectStale,
  LAYER,
  MANIFEST,
  NO_TAG,
  NOT_HELD,
  standWithImage,
  TAG,
} from '../support/held-image';
import { eventually } from '../support/lifecycle';
import { ROBOT, ScriptedRegistry } from '../support/scripted-registry';

const QUICK = { UPSTREAM_HEADER_TIMEOUT: '300ms', UPSTREAM_CONNECT_TIMEOUT: '300ms' };

/**
 * Seconds for which an upstream asks to be left alone: more than it takes to see that it is, on a busy machine, too.
 */
const PATIENCE = 5;

/** What it gives, and in how many milliseconds. */
async function timed<T>(work: () => Promise<T>): Promise<[T, number]> {
  const began = performance.now();
  return [await work(), performance.now() - began];
}

describe('F1: an upstream that is down', () => {
  it.each([
    ['since the gate runs', false],
    ['when it starts, too', true],
  ])('%s: what is held is served, and what is not is 503 soon', async (_, restarted) => {
    const { upstream, stand } = await standWithImage();
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
    const { upstream, stand } = await standWithImage();
    upstream.fault = () => reset();

    await expectHeld(stand);
    const got = await stand.ask(NOT_HELD);

    expect([got.status, errorCode(got)]).toEqual([503, 'UNAVAILABLE']);
  });

  it('what is held is served to those alone who may see it: nobody learns more by waiting for an outage', async () => {
    const upstream = await ScriptedRegistry.start();
    for (const name of ['secret/app', 'team/mine']) upstream.close(name);
    upstream.manifest('secret/app', '1', MANIFEST);
    upstream.blob('secret/app', LAYER);
    const login = { UPSTREAM_USERNAME: ROBOT.username, UPSTREAM_PASSWORD: ROBOT.password };
    const settings = { ...upstream.settings, ...login, ANONYMOUS_ACCESS: 'pull' };
    const stand = await CachedStand.open(settings);
    const owner = await stand.account([{ repository: 'secret/**', actions: ['pull'] }]);
    const other = await stand.account([{ repository: 'team/**', actions: ['pull', 'push'] }]);
    const held = [
      ['manifests/1', MANIFEST.bytes],
      [`manifests/${MANIFEST.digest}`, MANIFEST.bytes],
      [`blobs/${sha256(LAYER)}`, LAYER],
    ] as const;
    for (const [what] of held) await stand.untilHit(`/v2/secret/app/${what}`, { as: owner });
    await upstream.server.close();

    for (const [what, bytes] of held) {
      const got = await stand.ask(`/v2/secret/app/${what}`, { as: owner });
      expect([what, got.status, got.body.equals(bytes)]).toEqual([what, 200, true]);
      for (const name of ['secret/app', 'team/mine'])
        for (const as of [other, null])
          for (const method of ['GET', 'HEAD']) {
            const { status, body } = await stand.ask(`/v2/${name}/${what}`, { as, method });
            const seen = body.includes(bytes.subarray(0, 20));
            expect([name, what, method, [401, 403, 404, 503].includes(status), seen]).toEqual([
              name,
              what,
              method,
              true,
              false,
            ]);
          }
    }
  });

  it('a fresh tag is a hit, without a warning', async () => {
    const { upstream, stand } = await standWithImage();
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
    const { upstream, stand } = await standWithImage(QUICK);
    upstream.fault = () => stall();

    const [missing, milliseconds] = await timed(() => stand.ask(NOT_HELD));
    await expectHeld(stand);

    expect([missing.status, errorCode(missing)]).toEqual([504, 'UNAVAILABLE']);
    expect(milliseconds).toBeGreaterThanOrEqual(290);
    expect(milliseconds).toBeLessThan(5_000);
  });

  it('a tag that is held does not wait for a long header timeout', async () => {
    const { upstream, stand } = await standWithImage({ UPSTREAM_HEADER_TIMEOUT: '30s' });
    upstream.fault = () => stall();

    const [got, milliseconds] = await timed(() => stand.ask(TAG));

    expectStale(got);
    expect(milliseconds).toBeLessThan(10_000);
    expect(upstream.asked('HEAD', '/manifests/1')).toHaveLength(1);
  });
});

describe('the circuit breaker', () => {
  it('keeps a dead upstream from costing each request its timeout, and lets it recover by itself', async () => {
    const { upstream, stand } = await standWithImage(QUICK);
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
      if (limited && limits(url)) return tooManyRequests(String(PATIENCE));
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
      const seconds = Number(got.headers['retry-after']);
      expect([seconds > 0, seconds <= PATIENCE]).toEqual([true, true]);
    }
    expect(upstream.server.requests).toHaveLength(asked);

    limited = false;
    const isAsked = async () => (await stand.ask(NO_TAG)).status === 404;
    await eventually('it is asked again', isAsked, 20_000);
  });
});
