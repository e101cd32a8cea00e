import { openCacheRoom } from '../../test/support/cache-room';
import { errorCode, type Answer } from '../../test/support/http';

let gate: Awaited<ReturnType<typeof openCacheRoom>>;
let off: Awaited<ReturnType<typeof openCacheRoom>>;

beforeAll(async () => {
  gate = await openCacheRoom();
  off = await openCacheRoom({ on: false });
});

afterEach(() => gate.remove('/admin/cache'));

const held = async () =>
  (await gate.ask('/admin/cache')).json<{ contents: number; bytes: number }>();
const namesOf = (answer: Answer) =>
  answer.json<{ repositories: { name: string }[] }>().repositories.map(({ name }) => name);

describe('GET /admin/cache', () => {
  it('shows what is held, the limits, and what was counted', async () => {
    await gate.hold(100, 'docker.io/library/nginx');

    const answer = await gate.ask('/admin/cache');

    expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store']);
    expect(answer.json()).toEqual({
      enabled: true,
      storing: true,
      contents: 1,
      bytes: 100,
      free: expect.any(Number),
      limits: { maxSize: 100_000_000, minFree: 1, maxAge: 3600 },
      since: expect.stringMatching(/^\d{4}-/),
      requests: 0,
      hits: 0,
      collapsed: 0,
      bypassed: 0,
      servedBytes: 0,
      hitBytes: 0,
      mismatches: 0,
      damaged: 0,
      evicted: 0,
      fetches: [],
    });
  });

  it('says with CACHE=off that there is none', async () => {
    const answer = await off.ask('/admin/cache');

    expect([answer.status, answer.json()]).toEqual([200, { enabled: false }]);
  });
});

describe('GET /admin/cache/repositories', () => {
  it('lists names with what is held of them, page by page', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await gate.hold(10, `docker.io/team/${name}`);

    const first = await gate.ask('/admin/cache/repositories?n=3');
    expect(namesOf(first)).toEqual(['docker.io/team/a', 'docker.io/team/b', 'docker.io/team/c']);
    const next = /^<(\/admin\/cache\/repositories\?[^>]+)>; rel="next"$/.exec(
      String(first.headers.link),
    )?.[1];
    const second = await gate.ask(next ?? '');

    expect(second.json()).toEqual({
      repositories: [
        {
          name: 'docker.io/team/d',
          contents: 1,
          bytes: 10,
          usedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        },
      ],
    });
    expect(second.headers.link).toBeUndefined();
  });

  it.each([
    ['?n=0', 200],
    ['?n=1000000', 200],
    ['?last=zzz', 200],
    ['?n=-1', 400],
    ['?n=1&n=2', 400],
    ['?last=%00', 400],
  ])('answers %s with %d', async (query, status) => {
    expect((await gate.ask(`/admin/cache/repositories${query}`)).status).toBe(status);
  });
});

describe('DELETE /admin/cache', () => {
  it('takes all of it out, and says so in the audit trail', async () => {
    await gate.hold(100, 'docker.io/library/nginx');
    await gate.hold(10, 'docker.io/team/a');

    const answer = await gate.remove('/admin/cache');

    expect([answer.status, answer.text]).toEqual([204, '']);
    expect(await held()).toMatchObject({ contents: 0, bytes: 0 });
    expect(gate.audited('cache.cleared').at(-1)).toMatchObject({
      actor: 'admin',
      address: '127.0.0.1',
      request: answer.headers['x-request-id'],
      detail: { contents: 2, bytes: 110 },
    });
  });
});

describe('DELETE /admin/cache/repositories/<name>', () => {
  it.each([
    ['in full', (registry: string) => `${registry}/team/app`],
    ['for short, of the default registry', () => 'team/app'],
  ])('takes a repository out, named %s', async (_how, written) => {
    const target = `${gate.registry}/team/app`;
    await gate.hold(100, target);
    await gate.hold(10, target, 'other.example/team/app');

    const answer = await gate.remove(`/admin/cache/repositories/${written(gate.registry)}`);

    expect(answer.status).toBe(204);
    expect(await held()).toMatchObject({ contents: 1, bytes: 10 });
    expect(namesOf(await gate.ask('/admin/cache/repositories'))).toEqual([
      'other.example/team/app',
    ]);
    expect(gate.audited('cache.removed').at(-1)).toMatchObject({
      actor: 'admin',
      target,
      detail: { contents: 1, bytes: 100 },
    });
  });

  it('takes out what a registry left behind that is no longer in the settings', async () => {
    await gate.hold(1, 'gone.example:5000/team/app');

    const answer = await gate.remove('/admin/cache/repositories/gone.example:5000/team/app');

    expect(answer.status).toBe(204);
    expect(await held()).toMatchObject({ contents: 0 });
  });

  it.each([
    ['team/nothing', 404, 'NAME_UNKNOWN'],
    ['gone.example/nothing', 404, 'NAME_UNKNOWN'],
    ['team/-x', 400, 'NAME_INVALID'],
    ['gone.example/-x', 400, 'NAME_INVALID'],
    ['gone.example:1', 400, 'NAME_INVALID'],
    ['Team/app', 404, 'NOT_FOUND'],
    ['team%2fapp', 404, 'NOT_FOUND'],
    ['team/app/', 404, 'NOT_FOUND'],
    ['a:b/app', 404, 'NOT_FOUND'],
    ['team/../app', 404, 'NOT_FOUND'],
  ])('answers %s with %d %s', async (name, status, code) => {
    const answer = await gate.remove(`/admin/cache/repositories/${name}`);

    expect([answer.status, errorCode(answer)]).toEqual([status, code]);
  });
});

describe('DELETE /admin/cache/blobs/<digest>', () => {
  it('takes one content out for all, once', async () => {
    const digest = await gate.hold(10, 'docker.io/team/a', 'docker.io/team/b');
    const path = `/admin/cache/blobs/${digest}`;

    expect((await gate.remove(path)).status).toBe(204);

    expect(await held()).toMatchObject({ contents: 0 });
    expect(gate.audited('cache.removed').at(-1)).toMatchObject({ actor: 'admin', target: digest });
    const again = await gate.remove(path);
    expect([again.status, errorCode(again)]).toEqual([404, 'BLOB_UNKNOWN']);
  });

  it.each([
    ['sha256:abc', 400, 'DIGEST_INVALID'],
    ['md5:d41d8cd98f00b204e9800998ecf8427e', 400, 'DIGEST_INVALID'],
    ['nginx', 400, 'DIGEST_INVALID'],
    [`sha256:${'A'.repeat(64)}`, 404, 'NOT_FOUND'],
    [`sha256%3a${'a'.repeat(64)}`, 404, 'NOT_FOUND'],
    ['sha256:../../x', 404, 'NOT_FOUND'],
  ])('answers %s with %d %s (S14)', async (digest, status, code) => {
    const answer = await gate.remove(`/admin/cache/blobs/${digest}`);

    expect([answer.status, errorCode(answer)]).toEqual([status, code]);
  });
});

describe('/admin/cache', () => {
  it.each([
    ['PUT', '', 'GET, HEAD, DELETE'],
    ['POST', '/repositories', 'GET, HEAD'],
    ['DELETE', '/repositories', 'GET, HEAD'],
    ['GET', '/repositories/docker.io/library/nginx', 'DELETE'],
    ['GET', `/blobs/sha256:${'a'.repeat(64)}`, 'DELETE'],
    ['GET', '/prefetch', 'POST'],
    ['GET', '/verify', 'POST'],
    ['POST', '/jobs', 'GET, HEAD'],
    ['PATCH', '/jobs/x', 'GET, HEAD, DELETE'],
  ])('refuses %s of %s with what it takes', async (method, path, allow) => {
    const answer = await gate.ask(`/admin/cache${path}`, { method });

    expect([answer.status, answer.headers.allow]).toEqual([405, allow]);
  });

  it.each(['/nothing', '/blobs', '/jobs/x/y', '/prefetch/x'])('has nothing at %s', async (path) => {
    expect((await gate.ask(`/admin/cache${path}`)).status).toBe(404);
  });

  it.each([
    ['DELETE', ''],
    ['GET', '/repositories'],
    ['DELETE', '/repositories/nginx'],
    ['DELETE', `/blobs/sha256:${'a'.repeat(64)}`],
    ['POST', '/prefetch'],
    ['POST', '/verify'],
    ['GET', '/jobs'],
    ['GET', '/jobs/x'],
    ['DELETE', '/jobs/x'],
  ])('with CACHE=off refuses %s of %s, and names the setting', async (method, path) => {
    const body = method === 'POST' ? '{"image":"nginx"}' : undefined;
    const answer = await off.ask(`/admin/cache${path}`, { method, body });

    expect([answer.status, errorCode(answer)]).toEqual([409, 'CONFLICT']);
    expect(answer.text).toContain('CACHE');
  });

  it('refuses what a page of another site sends (S29)', async () => {
    await gate.hold(10, 'docker.io/team/a');
    const headers = { origin: 'https://evil.example' };

    for (const path of ['', '/repositories/docker.io/team/a', '/verify', '/prefetch']) {
      const method = path.startsWith('/repo') || path === '' ? 'DELETE' : 'POST';
      expect((await gate.ask(`/admin/cache${path}`, { method, headers })).status).toBe(403);
    }

    expect(await held()).toMatchObject({ contents: 1 });
  });
});
