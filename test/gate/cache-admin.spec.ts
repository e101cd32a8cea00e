/** What operators see of the cache and do to it, with a real registry behind the gate. */
import { imageOf, indexOf, layersWith, MIB, type Image } from '../support/images';
import { eventually } from '../support/lifecycle';
import { seed, startStand, visit, type Stand, type Visitor } from '../support/stand';

interface Job {
  state: string;
  endedAt?: string;
  layers: { done: number; total: number };
  bytes: { done: number; total: number; held: number };
  error?: string;
}

interface Overview {
  enabled: boolean;
  contents: number;
  bytes: number;
  requests: number;
  hits: number;
  hitBytes: number;
  byteHitRatio: number;
}

describe('/admin/cache, before a real registry', () => {
  let stand: Stand;
  let who: Visitor;
  const images = { amd64: imageOf(layersWith(MIB)), arm64: imageOf(layersWith(2000), 'arm64') };
  const index = indexOf(images);

  beforeAll(async () => {
    stand = await startStand('token');
    for (const [tag, image] of Object.entries(images))
      await seed(stand.registry, 'team/app', tag, image);
    await seed(stand.registry, 'team/app', 'latest', index);
    who = await visit(stand.gate, stand.gate.admin, 'team/app', 'pull');
  });

  const rest = (method: string, path = '', body?: unknown) =>
    stand.gate.rest(method, `/cache${path}`, body);

  async function prefetch(image: string, platforms?: string[]): Promise<Job> {
    const { headers, status, text } = await rest('POST', '/prefetch', { image, platforms });
    if (status !== 202) throw new Error(`no job: ${status} ${text}`);
    const place = (headers.location ?? '').replace('/admin/cache', '');
    return eventually('the job has ended', async () => {
      const job = (await rest('GET', place)).json<Job>();
      return job.endedAt !== undefined && job;
    });
  }

  const overview = async () => (await rest('GET')).json<Overview>();

  async function pull({ digest, mediaType, blobs }: Image): Promise<void> {
    const headers = { accept: mediaType };
    const manifest = await who.ask(`/v2/team/app/manifests/${digest}`, { headers });
    expect(manifest.status).toBe(200);
    for (const [blob, bytes] of blobs) {
      const { status, body } = await who.ask(`/v2/team/app/blobs/${blob}`);
      expect([status, body.equals(bytes)]).toEqual([200, true]);
    }
  }

  /** GETs of content that reached the registry since the last call. */
  let seen = 0;
  async function fetched(): Promise<string[]> {
    const all = await stand.registry.requests();
    const fresh = all.slice(seen);
    seen = all.length;
    return fresh
      .filter(
        ({ method, path, status }) => method === 'GET' && status === 200 && /\/team\//.test(path),
      )
      .map(({ path }) => path);
  }

  it('prefetches one platform of an index: then a pull of it asks the registry for nothing', async () => {
    expect(await prefetch('team/app:latest', ['linux/amd64'])).toMatchObject({
      state: 'done',
      layers: { done: 5, total: 5 },
    });
    expect((await fetched()).filter((path) => path.includes('/blobs/'))).toHaveLength(5);

    await pull(images.amd64);

    expect(await fetched()).toEqual([]);
    const { hits, hitBytes, byteHitRatio } = await overview();
    expect([hits, byteHitRatio]).toEqual([6, 1]);
    expect(hitBytes).toBeGreaterThan(MIB);
  });

  it('forgets a repository when told to, and fetches it again for the next pull', async () => {
    await prefetch('team/app:latest');
    const name = `${stand.registry.host}/team/app`;
    const { repositories } = (await rest('GET', '/repositories')).json<{
      repositories: object[];
    }>();
    expect(repositories).toMatchObject([{ name }]);

    expect((await rest('DELETE', `/repositories/${name}`)).status).toBe(204);

    expect(await overview()).toMatchObject({ contents: 0, bytes: 0 });
    await fetched();
    await pull(images.arm64);
    expect((await fetched()).length).toBeGreaterThan(0);
  });

  it('takes one layer out, which is then fetched again, alone', async () => {
    await prefetch('team/app:arm64');
    const [digest = ''] = images.arm64.blobs.keys();
    await fetched();

    expect((await rest('DELETE', `/blobs/${digest}`)).status).toBe(204);
    await pull(images.arm64);

    expect(await fetched()).toEqual([`/v2/team/app/blobs/${digest}`]);
  });

  it('verifies what is held', async () => {
    await prefetch('team/app:latest');
    const { contents, bytes } = await overview();

    const { headers } = await rest('POST', '/verify');
    const place = (headers.location ?? '').replace('/admin/cache', '');
    const job = await eventually('it has ended', async () => {
      const told = (await rest('GET', place)).json<Job>();
      return told.endedAt !== undefined && told;
    });

    expect(job).toMatchObject({
      state: 'done',
      contents: { done: contents, total: contents },
      bytes: { done: bytes },
      damaged: 0,
    });
  });

  it('shows nothing of it to an account that is no admin', async () => {
    const account = await stand.gate.addAccount();

    for (const [method, path] of [
      ['GET', '/cache'],
      ['DELETE', '/cache'],
      ['GET', '/cache/jobs'],
      ['POST', '/cache/verify'],
    ] as const)
      expect((await stand.gate.rest(method, path, undefined, account)).status).toBe(403);
  });

  it('leaves no secret of the registry’s in jobs', async () => {
    await prefetch('team/app:none');

    const { text } = await rest('GET', '/jobs');

    expect(text).toContain('failed');
    expect(text).not.toContain(stand.registry.credentials?.password ?? 'nothing');
    expect(text).not.toMatch(/Bearer|Basic|eyJ/);
  });
});
