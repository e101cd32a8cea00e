import type { RequestListener } from 'node:http';
import { faultsOf } from '../../test/support/admin-room';
import { openCacheRoom } from '../../test/support/cache-room';
import { errorCode, type Answer } from '../../test/support/http';
import { imageOf, layersWith } from '../../test/support/images';
import { eventually } from '../../test/support/lifecycle';
import type { JobDocument } from './cache';

const MIB = 1024 * 1024;
const image = imageOf(layersWith(MIB));

/** A registry of one image, `team/app:1`; of `team/slow` it never sends the layers. */
const upstream: RequestListener = ({ url = '', method }, response) => {
  const reference = /\/manifests\/(.+)$/.exec(url)?.[1];
  const digest = /\/blobs\/(.+)$/.exec(url)?.[1];
  const bytes =
    reference === '1' || reference === image.digest
      ? image.manifest
      : image.blobs.get(digest ?? '');
  if (url === '/v2/') response.end('{}');
  else if (digest && url.includes('/team/slow/') && method === 'GET') response.flushHeaders();
  else if (!bytes) response.writeHead(404).end();
  else {
    response.writeHead(200, {
      'content-type': reference ? image.mediaType : 'application/octet-stream',
      'content-length': bytes.length,
      'docker-content-digest': reference ? image.digest : digest,
    });
    response.end(method === 'HEAD' ? undefined : bytes);
  }
};

let gate: Awaited<ReturnType<typeof openCacheRoom>>;

beforeAll(async () => {
  gate = await openCacheRoom({ upstream });
});

const jobAt = async (place: string | undefined) =>
  (await gate.ask(place ?? '')).json<JobDocument>();

function ended(place: string | undefined) {
  return eventually('the job has ended', async () => {
    const job = await jobAt(place);
    return job.endedAt !== undefined && job;
  });
}

const placeIn = ({ headers }: Answer) => headers.location;

describe('POST /admin/cache/prefetch', () => {
  it('starts a job, at a place where its progress is told, and ends with the image held', async () => {
    const answer = await gate.order('/admin/cache/prefetch', { image: 'team/app:1' });

    expect(answer.status).toBe(202);
    expect(placeIn(answer)).toMatch(/^\/admin\/cache\/jobs\/[0-9a-f-]{36}$/);
    expect(answer.json()).toMatchObject({
      kind: 'prefetch',
      state: 'running',
      image: `${gate.registry}/team/app:1`,
      createdAt: expect.stringMatching(/Z$/),
    });
    const total = [...image.blobs.values()].reduce((all, { length }) => all + length, 0);
    expect(await ended(placeIn(answer))).toMatchObject({
      state: 'done',
      layers: { done: 5, total: 5 },
      bytes: { done: total, total, held: 0 },
      faults: [],
      notes: [],
    });
    for (const digest of image.blobs.keys())
      expect((await gate.remove(`/admin/cache/blobs/${digest}`)).status).toBe(204);
    expect(gate.audited('cache.prefetch').at(-1)).toMatchObject({
      actor: 'admin',
      target: `${gate.registry}/team/app:1`,
    });
  });

  it('fails in words where the image is not there', async () => {
    const answer = await gate.order('/admin/cache/prefetch', { image: 'team/app:2' });

    expect(await ended(placeIn(answer))).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('unknown'),
    });
  });

  it('is cancelled by DELETE, and lets go of what it fetches', async () => {
    const answer = await gate.order('/admin/cache/prefetch', { image: 'team/slow:1' });
    const place = placeIn(answer) ?? '';
    await eventually('layers are being fetched', async () => {
      const { fetches } = (await gate.ask('/admin/cache')).json<{ fetches: object[] }>();
      return fetches.length === 3;
    });
    expect(await jobAt(place)).toMatchObject({ state: 'running', layers: { done: 0, total: 5 } });

    const cancelled = await gate.remove(place);

    expect([cancelled.status, cancelled.text]).toEqual([204, '']);
    expect((await jobAt(place)).state).toBe('cancelled');
    await eventually('nothing is fetched any more', async () => {
      const { fetches } = (await gate.ask('/admin/cache')).json<{ fetches: object[] }>();
      return fetches.length === 0;
    });
    expect((await gate.remove(place)).status).toBe(204);
  });

  it.each([
    [{}, 'image', 'is missing; give'],
    [{ image: '' }, 'image', 'give the name of an image'],
    [{ image: 7 }, 'image', 'give the name of an image'],
    [{ image: 'x'.repeat(1025) }, 'image', 'give the name of an image'],
    [
      { image: 'other.example/org/app:1' },
      'image',
      'names a registry that this gate does not know',
    ],
    [{ image: 'nginx', platforms: 'linux/amd64' }, 'platforms', 'give a list of platforms'],
    [{ image: 'nginx', platforms: ['amd64'] }, 'platforms.0', 'os/architecture[/variant]'],
    [{ image: 'nginx', platforms: Array(33).fill('linux/amd64') }, 'platforms', 'at most 32'],
    [{ image: 'nginx', tag: '1' }, '', 'give image, platforms'],
  ])('refuses %j with what would be right', async (body, path, why) => {
    const answer = await gate.order('/admin/cache/prefetch', body);

    expect([answer.status, errorCode(answer)]).toEqual([400, 'BODY_INVALID']);
    expect(faultsOf(answer)[0]).toEqual({ path, message: expect.stringContaining(why) });
  });

  it('refuses a registry whose blobs the clients fetch by themselves', async () => {
    const passing = await openCacheRoom({ redirects: 'pass' });

    const answer = await passing.order('/admin/cache/prefetch', { image: 'nginx' });

    expect([answer.status, errorCode(answer)]).toEqual([409, 'CONFLICT']);
    expect(answer.text).toContain('UPSTREAM_REDIRECTS=follow');
  });
});

describe('POST /admin/cache/verify', () => {
  it('hashes what is held, and tells how much of it', async () => {
    await gate.remove('/admin/cache');
    await gate.hold(100, 'docker.io/team/a');
    await gate.hold(200, 'docker.io/team/a');

    const answer = await gate.order('/admin/cache/verify');

    expect([answer.status, answer.json()]).toEqual([
      202,
      expect.objectContaining({ kind: 'verify', state: 'running' }),
    ]);
    expect(await ended(placeIn(answer))).toMatchObject({
      state: 'done',
      contents: { done: 2, total: 2 },
      bytes: { done: 300, total: 300 },
      damaged: 0,
    });
    expect(gate.audited('cache.verify')).toHaveLength(1);
  });

  it('is one at a time, and leads to the one that runs', async () => {
    const answers = await Promise.all([1, 2].map(() => gate.order('/admin/cache/verify')));

    const [first, second] = answers.sort((one, other) => one.status - other.status);
    expect([first?.status, second?.status]).toEqual([202, 409]);
    expect(placeIn(second!)).toBe(placeIn(first!));
    expect(second?.text).toContain(placeIn(first!));
    await ended(placeIn(first!));
  });
});

describe('/admin/cache/jobs', () => {
  it('lists jobs, the newest first', async () => {
    const places: (string | undefined)[] = [];
    for (const tag of ['1', '2', '3']) {
      const answer = await gate.order('/admin/cache/prefetch', { image: `team/app:${tag}` });
      places.push(placeIn(answer));
    }

    const { jobs } = (await gate.ask('/admin/cache/jobs')).json<{ jobs: JobDocument[] }>();

    expect(jobs.slice(0, 3).map(({ id }) => `/admin/cache/jobs/${id}`)).toEqual(places.reverse());
    for (const place of places) await ended(place);
  });

  it.each(['GET', 'DELETE'])('answers %s of one that is not there with 404', async (method) => {
    const answer = await gate.ask('/admin/cache/jobs/0b3a1f5c', { method });

    expect([answer.status, errorCode(answer)]).toEqual([404, 'NOT_FOUND']);
    expect(answer.text).toContain('restart');
  });

  it('end with the gate', async () => {
    const ending = await openCacheRoom({ upstream });
    const answer = await ending.order('/admin/cache/prefetch', { image: 'team/slow:1' });
    await eventually('layers are being fetched', () => ending.cache?.downloads.all.length === 3);

    await ending.app.close();

    expect(answer.status).toBe(202);
    expect(ending.cache?.downloads.all).toEqual([]);
  });
});
