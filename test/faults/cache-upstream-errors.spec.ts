/** An upstream that answers with errors, leads in circles, or lets its tokens expire. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import { answer, redirect, type Behaviour } from '../support/fault-server';
import { errorCode, sha256 } from '../support/http';
import {
  BLOB,
  BY_DIGEST,
  expectHeld,
  LAYER,
  NO_TAG,
  NOT_HELD,
  standWithImage,
  TAG,
} from '../support/held-image';
import { manifestOf, ScriptedRegistry } from '../support/scripted-registry';

describe('F9: an upstream that answers with errors', () => {
  it.each([500, 502, 503])('%d once: one retry, and nobody notices', async (status) => {
    const { upstream, stand } = await standWithImage();
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
    const { upstream, stand } = await standWithImage();
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
    const { upstream, stand } = await standWithImage();
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
      const { upstream, stand } = await standWithImage();
      upstream.fault = () => answer(status, '', { 'www-authenticate': 'Basic realm="upstream"' });

      const refused = await stand.ask(TAG);
      await upstream.server.close();

      // It is the gate that is refused there, and the client is not asked to log in anew.
      expect([refused.status, errorCode(refused)]).toEqual([403, 'DENIED']);
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

/** So many redirects, one after the other, and then the layer. */
function chainOf(length: number): Behaviour {
  return (request, response, seen) => {
    const n = Number(/chain=(\d+)/.exec(request.url ?? '')?.[1] ?? 0);
    const next = n < length ? redirect(`/blob?chain=${n + 1}`) : answer(200, LAYER);
    return next(request, response, seen);
  };
}

describe('F10: redirects without end', () => {
  it.each<[string, number, Behaviour]>([
    [
      'in a loop: 502 at once',
      1,
      (request, response, seen) => redirect(request.url ?? '/')(request, response, seen),
    ],
    [
      'to each other, each time spelled anew: 502 after five',
      6,
      (request, response, seen) => {
        const to = request.url?.includes('other') ? '/one?' : '/other?';
        redirect(to)(request, response, seen);
      },
    ],
    ['in a chain of 50: 502 after five', 6, chainOf(50)],
    ['in a chain of six: 502 after five', 6, chainOf(6)],
  ])('%s, and nothing is held', async (_, requests, behaviour) => {
    const upstream = await ScriptedRegistry.start();
    const stand = await CachedStand.open(upstream.settings);
    upstream.fault = () => behaviour;

    for (const path of [BLOB, TAG]) {
      upstream.server.requests.length = 0;
      const got = await stand.ask(path);
      expect([path, got.status, errorCode(got)]).toEqual([path, 502, 'UNAVAILABLE']);
      expect(upstream.server.requests).toHaveLength(requests);
    }
    expect(stand.files()).toEqual([]);
  });

  it('five are followed', async () => {
    const upstream = await ScriptedRegistry.start();
    const stand = await CachedStand.open(upstream.settings);
    upstream.fault = () => chainOf(5);

    const got = await stand.ask(BLOB);

    expect([got.status, got.body.equals(LAYER)]).toEqual([200, true]);
    expect(upstream.server.requests).toHaveLength(6);
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
