/** Tags and what is not there: asked for upstream once for many, and no more often than needed. */
import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import { ADMIN, CachedStand } from '../support/cached-stand';
import { answer } from '../support/fault-server';
import { basic, errorCode, send, sha256 } from '../support/http';
import { eventually } from '../support/lifecycle';
import { IMAGE, manifestOf, ROBOT, ScriptedRegistry } from '../support/scripted-registry';

let upstream: ScriptedRegistry;
let stand: CachedStand;

beforeAll(async () => {
  upstream = await ScriptedRegistry.start();
  stand = await CachedStand.open(upstream.settings);
});

beforeEach(() => {
  upstream.fault = () => undefined;
  upstream.server.requests.length = 0;
});

/** Requests that are answered at once, one after the other: by then the gate has long read those that came before. */
async function untilAllAreHeard(gate: CachedStand): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await send(`${gate.url}/health/live`);
}

const at = (reference: string) => `/v2/team/app/manifests/${reference}`;

describe('a tag that is asked for anew', () => {
  it('is asked for by one HEAD for many clients at once', async () => {
    const manifest = manifestOf([randomBytes(5)]);
    upstream.manifest('team/app', 'herd', manifest);
    const eager = await CachedStand.open({ ...upstream.settings, CACHE_TAG_TTL: '0s' });
    await eager.untilHit(at(manifest.digest));
    await eager.ask(at('herd'));
    await eventually('the tag is known', async () => {
      const { headers } = await eager.ask(at('herd'));
      return headers['cache-status']?.includes('fwd=stale');
    });
    upstream.server.requests.length = 0;
    let go: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => (go = resolve));
    upstream.fault = () => async (_request, response) => {
      await gate;
      response.writeHead(200, {
        'content-type': IMAGE,
        'content-length': manifest.bytes.length,
        'docker-content-digest': manifest.digest,
      });
      response.end();
    };

    const all = Array.from({ length: 30 }, () => eager.ask(at('herd')));
    await eventually('it is asked', () => upstream.server.requests.length > 0);
    await untilAllAreHeard(eager);
    go();
    const got = await Promise.all(all);

    expect(new Set(got.map(({ status, body }) => `${status} ${sha256(body)}`))).toEqual(
      new Set([`200 ${manifest.digest}`]),
    );
    const asked = upstream.asked();
    expect(new Set(asked)).toEqual(new Set([`HEAD ${at('herd')}`]));
    expect(asked.length).toBe(1);
  });

  it('a cold tag is fetched by one GET for many clients at once', async () => {
    const manifest = manifestOf([randomBytes(5)]);
    upstream.manifest('team/app', 'cold', manifest);

    const got = await Promise.all(Array.from({ length: 30 }, () => stand.ask(at('cold'))));

    for (const { status, body } of got)
      expect([status, body.equals(manifest.bytes)]).toEqual([200, true]);
    expect(upstream.asked()).toEqual([`GET ${at('cold')}`]);
  });
});

describe('a 404', () => {
  it('is remembered, and forgotten by a push through the gate', async () => {
    const manifest = manifestOf([randomBytes(5)]);
    const missing = await stand.ask(at('later'));
    upstream.manifest('team/app', 'later', manifest);
    const still = await stand.ask(at('later'));
    const head = await stand.ask(at('later'), { method: 'HEAD' });
    const asked = upstream.asked('/later');

    const sending = { method: 'PUT', headers: { 'content-type': IMAGE }, body: manifest.bytes };
    const put = await stand.ask(at('later'), sending);
    const found = await stand.ask(at('later'));

    expect([missing, still, head].map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(errorCode(still)).toBe('MANIFEST_UNKNOWN');
    expect(asked).toEqual([`GET ${at('later')}`]);
    expect([put.status, found.status, found.body.equals(manifest.bytes)]).toEqual([201, 200, true]);
  });

  it('of a digest is remembered, and forgotten by a push under a tag', async () => {
    const manifest = manifestOf([randomBytes(5)]);
    const path = at(manifest.digest);
    const [one, two] = [await stand.ask(path), await stand.ask(path)];

    const sending = { method: 'PUT', headers: { 'content-type': IMAGE }, body: manifest.bytes };
    await stand.ask(at('by-tag'), sending);
    const found = await stand.ask(path);

    expect([one.status, two.status, found.status]).toEqual([404, 404, 200]);
    expect(upstream.asked(path)).toHaveLength(2);
  });

  it('is remembered for ten seconds', async () => {
    await stand.ask(at('ten'));
    upstream.manifest('team/app', 'ten', manifestOf([randomBytes(5)]));
    const now = performance.now.bind(performance);
    const clock = jest.spyOn(performance, 'now');
    try {
      clock.mockImplementation(() => now() + 9_000);
      const before = await stand.ask(at('ten'));
      clock.mockImplementation(() => now() + 11_000);
      // The cache of 404s looks at the clock once a millisecond at most.
      const after = await eventually('it is asked for again', async () => {
        const got = await stand.ask(at('ten'));
        return got.status !== 404 && got;
      });

      expect([before.status, after.status]).toEqual([404, 200]);
    } finally {
      clock.mockRestore();
    }
  });

  it('is one credential’s own: what a stranger may not see, an account is still asked for', async () => {
    const registry = await ScriptedRegistry.start();
    const secret = await CachedStand.open({
      ...registry.settings,
      UPSTREAM_USERNAME: ROBOT.username,
      UPSTREAM_PASSWORD: ROBOT.password,
      ANONYMOUS_ACCESS: 'pull',
    });
    const manifest = manifestOf([randomBytes(5)]);
    registry.manifest('team/app', '1', manifest);
    let challenged = false;
    // As some registries do: to a stranger, what is private does not exist.
    registry.fault = ({ headers, url }) =>
      headers.authorization === undefined && url.includes('/manifests/') && !challenged
        ? answer(404, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
        : undefined;
    registry.close('team/app');

    const stranger = await secret.ask(at('1'), { as: null });
    challenged = true;
    const account = await secret.ask(at('1'));

    expect([stranger.status, account.status]).toEqual([404, 200]);
  });
});

it('a client that leaves while a cold manifest is fetched does not end it for the others', async () => {
  const manifest = manifestOf([randomBytes(5)]);
  upstream.manifest('team/app', 'left', manifest);
  const waiting = Promise.withResolvers<void>();
  upstream.fault = () => async (_request, response) => {
    await waiting.promise;
    const headers = { 'content-type': IMAGE, 'docker-content-digest': manifest.digest };
    response.writeHead(200, { ...headers, 'content-length': manifest.bytes.length });
    response.end(manifest.bytes);
  };

  const controller = new AbortController();
  const { signal } = controller;
  const leaving = fetch(`${stand.url}${at('left')}`, { headers: basic(ADMIN), signal });
  await eventually('it is asked', () => upstream.asked('/left').length === 1);
  const staying = stand.ask(at('left'));
  // The second is there when its neighbour has been answered: requests are taken in their order.
  await stand.ask('/v2/');
  controller.abort();
  await expect(leaving).rejects.toThrow();
  waiting.resolve();

  const got = await staying;
  expect([got.status, got.body.equals(manifest.bytes)]).toEqual([200, true]);
  expect(upstream.asked('/left')).toHaveLength(1);
});
