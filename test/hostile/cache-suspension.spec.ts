/**
 * The gate's own credentials are refused: what was seen by them is closed, for as long as that is so, and nothing else
 * is.
 */
import { randomBytes } from 'node:crypto';
import { ADMIN, CachedStand } from '../support/cached-stand';
import { answer, challenge, json } from '../support/fault-server';
import { sha256 } from '../support/http';
import { manifestOf, ROBOT, ScriptedRegistry } from '../support/scripted-registry';
import { openWays } from '../support/open-ways';

const LOGIN = { UPSTREAM_USERNAME: ROBOT.username, UPSTREAM_PASSWORD: ROBOT.password };
const BYTES = randomBytes(100_000);
const MANIFEST = manifestOf([BYTES]);
const BLOB = `/v2/secret/app/blobs/${sha256(BYTES)}`;
const TAG = '/v2/secret/app/manifests/1';
const BY_DIGEST = `/v2/secret/app/manifests/${MANIFEST.digest}`;

async function before() {
  const upstream = await ScriptedRegistry.start();
  upstream.blob('secret/app', BYTES);
  upstream.manifest('secret/app', '1', MANIFEST);
  const stand = await CachedStand.open({ ...upstream.settings, ...LOGIN });
  return { upstream, stand };
}

describe('S9: credentials that were refused for another repository', () => {
  it('stay refused across a restart, and open what they saw again when they are taken', async () => {
    const { upstream, stand } = await before();
    for (const name of ['secret/app', 'secret/other']) upstream.close(name);
    upstream.manifest('secret/other', '1', MANIFEST);
    for (const path of [TAG, BY_DIGEST, BLOB]) await stand.untilHit(path);
    const { opensWith } = upstream;
    upstream.opensWith = 'Basic bm90OnRoaXM=';
    await stand.ask('/v2/secret/other/manifests/x');

    await stand.restart();
    const open = [
      ...(await openWays(stand, TAG, ADMIN, MANIFEST.bytes)),
      ...(await openWays(stand, BY_DIGEST, ADMIN, MANIFEST.bytes)),
      ...(await openWays(stand, BLOB, ADMIN, BYTES)),
    ];
    upstream.opensWith = opensWith;
    await stand.restart();
    const back = await stand.ask('/v2/secret/other/manifests/1');
    const again = await stand.ask(BLOB);

    expect(open).toEqual([]);
    expect(back.status).toBe(200);
    expect([again.status, again.body.equals(BYTES)]).toEqual([200, true]);
    expect(upstream.asked('GET', BLOB)).toHaveLength(1);
  });

  it('stay refused when the registry cannot be asked after the restart', async () => {
    const { upstream, stand } = await before();
    upstream.close('secret/app');
    for (const path of [BY_DIGEST, BLOB]) await stand.untilHit(path);
    upstream.opensWith = 'Basic bm90OnRoaXM=';
    await stand.ask('/v2/secret/other/manifests/x');

    await stand.restart();
    upstream.fault = () => answer(503);
    const got = [await stand.ask(BY_DIGEST), await stand.ask(BLOB)];

    for (const { status, body } of got) {
      expect(status).toBeGreaterThanOrEqual(400);
      expect(body.includes(BYTES.subarray(0, 5))).toBe(false);
    }
  });
});

it('a repository that the token endpoint forbids closes no other: those are held without a question, and in an outage', async () => {
  const { upstream, stand } = await before();
  let down = false;
  upstream.opensWith = 'Bearer t';
  upstream.fault = ({ url, headers }) => {
    if (down) return ({ socket }) => void socket.destroy();
    if (url.startsWith('/token'))
      return url.includes('forbidden')
        ? answer(403, '{"errors":[{"code":"DENIED"}]}')
        : json({ token: 't', expires_in: 300 });
    return headers.authorization === undefined
      ? challenge(`Bearer realm="${upstream.server.url.origin}/token",service="s"`)
      : undefined;
  };
  for (const path of [BY_DIGEST, BLOB]) await stand.untilHit(path);
  const mallory = await stand.account([{ repository: 'forbidden/**', actions: ['pull'] }]);

  const refused = await stand.ask('/v2/forbidden/x/manifests/1', { as: mallory });
  const asked = upstream.asked().length;
  const online = [await stand.ask(BY_DIGEST), await stand.ask(BLOB)];
  const questions = upstream.asked().length - asked;
  down = true;
  const away = [await stand.ask(BY_DIGEST), await stand.ask(BLOB)];

  expect(refused.status).toBeGreaterThanOrEqual(400);
  for (const got of [...online, ...away])
    expect([got.status, got.headers['cache-status']]).toEqual([200, 'tidegate; hit']);
  expect(questions).toBe(0);
});

it.each([400, 404])(
  'F9: a repository whose token is refused is closed, though the endpoint answers %d to no scope at all',
  async (status) => {
    const upstream = await ScriptedRegistry.start();
    upstream.blob('secret/app', BYTES);
    upstream.manifest('secret/app', '1', MANIFEST);
    const stand = await CachedStand.open({ ...upstream.settings, ...LOGIN, CACHE_TAG_TTL: '0s' });
    let withdrawn = false;
    upstream.opensWith = 'Bearer t';
    upstream.fault = ({ url, headers }) => {
      if (url.startsWith('/token')) {
        if (!url.includes('scope=')) return answer(status, '{}');
        // It ends before it could be used again.
        return withdrawn ? answer(403, '{}') : json({ token: 't', expires_in: 1 });
      }
      return withdrawn || headers.authorization === undefined
        ? challenge(`Bearer realm="${upstream.server.url.origin}/token",service="s"`)
        : undefined;
    };
    await stand.ask(TAG);
    for (const path of [BY_DIGEST, BLOB]) await stand.untilHit(path);

    withdrawn = true;
    const got = [await stand.ask(TAG), await stand.ask(BLOB), await stand.ask(BY_DIGEST)];

    for (const { status: refused } of got) expect(refused).toBeGreaterThanOrEqual(400);
  },
);
