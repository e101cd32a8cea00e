/** What an answer must not tell, and what a browser must not make of it. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import { answer } from '../support/fault-server';
import { errorCode, sha256, unique, type Account } from '../support/http';
import { manifestOf, ROBOT, ScriptedRegistry } from '../support/scripted-registry';

const LOGIN = { UPSTREAM_USERNAME: ROBOT.username, UPSTREAM_PASSWORD: ROBOT.password };
const PAGE = Buffer.from('<!doctype html><script>fetch("/admin/users")</script>');

describe('S9: a reader who is refused', () => {
  const held = randomBytes(100_000);
  const manifest = manifestOf([held]);
  const DIGESTS = { blobs: sha256(held), manifests: manifest.digest } as const;
  let stand: CachedStand;
  let pusher: Account;

  beforeAll(async () => {
    const upstream = await ScriptedRegistry.start();
    upstream.close('secret/app');
    upstream.blob('secret/app', held);
    upstream.manifest('secret/app', '1', manifest);
    stand = await CachedStand.open({ ...upstream.settings, ...LOGIN, ANONYMOUS_ACCESS: 'pull' });
    for (const noun of ['blobs', 'manifests'] as const)
      await stand.untilHit(`/v2/secret/app/${noun}/${DIGESTS[noun]}`);
    pusher = await stand.account([{ repository: 'team/**', actions: ['pull', 'push'] }]);
    // A registry explains a refused GET, and cannot explain a refused HEAD.
    const words = '{"errors":[{"code":"NOT_HERE","message":"the registry’s own words"}]}';
    upstream.fault = ({ url }) => (url.includes('team/mine') ? answer(404, words) : undefined);
  });

  /**
   * All that the answer says, but for the digest itself and the request's own number. The name was never asked for
   * before.
   */
  async function said(path: string, digest: string, as: Account | null, method: string) {
    const got = await stand.ask(`${path}/${digest}`, { as, method });
    const names = Object.keys(got.headers).filter((name) => !/^(?:x-request-id|date)$/.test(name));
    return {
      status: got.status,
      text: got.text.replaceAll(digest, 'DIGEST'),
      headers: names.map((name) => `${name}: ${String(got.headers[name])}`),
    };
  }

  it.each(
    (['blobs', 'manifests'] as const).flatMap((noun) =>
      ['an account', 'a stranger'].flatMap((who) =>
        ['GET', 'HEAD'].map((method) => ({ noun, who, method })),
      ),
    ),
  )('$method of $noun by $who: cannot tell what is held from what is not', async (asked) => {
    const as = asked.who === 'a stranger' ? null : pusher;
    const path = `/v2/team/mine/${unique('')}/${asked.noun}`;
    const unknown = sha256(randomBytes(8));

    // Asked again: a no is remembered, of the one as of the other.
    for (const _ of ['first', 'again']) {
      const ofHeld = await said(path, DIGESTS[asked.noun], as, asked.method);
      const ofUnknown = await said(path, unknown, as, asked.method);

      expect(ofHeld).toEqual(ofUnknown);
      expect(ofHeld.status).toBe(404);
      expect(ofHeld.headers.filter((line) => line.startsWith('cache-status'))).toHaveLength(1);
    }
  });
});

describe('a manifest that calls itself a page', () => {
  const TYPES = [
    'text/html',
    'text/html; charset=utf-8',
    'application/xhtml+xml',
    'application/javascript',
    'image/svg+xml',
    'application/vnd.x+html',
  ];
  let upstream: ScriptedRegistry;
  let stand: CachedStand;

  beforeAll(async () => {
    upstream = await ScriptedRegistry.start();
    stand = await CachedStand.open(upstream.settings);
  });

  it.each(TYPES)(
    '%s: is refused when it is pushed, and never reaches the upstream',
    async (type) => {
      const path = '/v2/team/app/manifests/pushed';
      const headers = { 'content-type': type };

      const put = await stand.ask(path, { method: 'PUT', headers, body: PAGE });

      expect([put.status, errorCode(put)]).toEqual([400, 'MANIFEST_INVALID']);
      expect(upstream.asked('PUT')).toEqual([]);
    },
  );

  it.each(TYPES)('%s: is not passed on from upstream, nor held', async (type) => {
    const page = { mediaType: type, bytes: PAGE, digest: sha256(PAGE) };
    upstream.manifest('team/app', 'page', page);

    for (const reference of ['page', page.digest]) {
      const got = await stand.ask(`/v2/team/app/manifests/${reference}`);
      expect([reference, got.status, errorCode(got)]).toEqual([reference, 502, 'UNAVAILABLE']);
      expect(got.text).not.toContain('<script>');
    }
    expect(stand.holds(page.digest)).toBe(false);
  });
});

it('every answer forbids a browser to guess its type and to run any of it', async () => {
  const upstream = await ScriptedRegistry.start();
  const stand = await CachedStand.open({ ...upstream.settings, ANONYMOUS_ACCESS: 'pull' });
  const manifest = manifestOf([PAGE]);
  upstream.blob('team/app', PAGE);
  upstream.manifest('team/app', '1', manifest);
  const paths = [
    `/v2/team/app/blobs/${sha256(PAGE)}`,
    '/v2/team/app/manifests/1',
    `/v2/team/app/manifests/${manifest.digest}`,
    `/v2/team/app/blobs/${sha256('not there')}`,
    '/v2/team/app/manifests/not-there',
    '/v2/team/app/tags/list',
    '/v2/',
  ];

  // From upstream first, then as it is held.
  for (const path of [...paths, ...paths])
    for (const method of ['GET', 'HEAD']) {
      const { headers } = await stand.ask(path, { method });
      const said = [headers['x-content-type-options'], headers['content-security-policy']];
      expect([path, method, ...said]).toEqual([
        path,
        method,
        'nosniff',
        "default-src 'none'; sandbox",
      ]);
    }
});
