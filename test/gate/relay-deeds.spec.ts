/** In relay a made-up login reaches the registry, which refuses it: by then nothing of what others may see is closed. */
import { startGate, type Gate } from '../support/gate';
import { basic, send, tokenFor } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { eventually } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { seed, visitor, type Visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const [digest = ''] = image.blobs.keys();
const TAG = '/v2/team/app/manifests/1';
const BLOB = `/v2/team/app/blobs/${digest}`;
const SCOPE = 'repository:team/app:pull,push,delete';

const deeds = [
  ['DELETE', `/v2/team/app/manifests/${image.digest}`, undefined],
  ['DELETE', BLOB, undefined],
  ['PUT', TAG, image.manifest],
] as const;

describeWith(['docker-registry', 'htpasswd', 'openssl'], 'a made-up login in relay', () => {
  let registry: Registry;
  let gate: Gate;
  let owner: Visitor;
  const liar = { authorization: 'Bearer made-up' };

  beforeEach(async () => {
    registry = await startRegistry({ auth: 'token' });
    await seed(registry, 'team/app', '1', image);
    gate = await startGate({ AUTH_MODE: 'relay', UPSTREAM_REGISTRY: registry.url });
    owner = visitor(gate, (await tokenFor(gate.url, registry.credentials!, SCOPE)).token);
    await owner.ask(BLOB);
    await eventually('it is held', async () => {
      const [tag, blob] = await Promise.all([owner.ask(TAG), owner.ask(BLOB)]);
      return [tag, blob].every(({ headers }) => /; hit/.test(String(headers['cache-status'])));
    });
  });

  it.each([
    ['answers', 401],
    ['is away', 503],
  ])('closes nothing by its pushes and deletions while the registry %s', async (state, refusal) => {
    if (state === 'is away') await registry.stop();

    for (const [method, path, body] of deeds) {
      const headers = { ...liar, 'content-type': image.mediaType };
      const answer = await send(`${gate.url}${path}`, { method, headers, body });
      expect([method, answer.status]).toEqual([method, refusal]);
    }

    for (const path of [TAG, BLOB]) {
      const { status, headers } = await owner.ask(path);
      expect([path, status]).toEqual([path, 200]);
      expect(headers['cache-status']).toContain('hit');
    }
  });

  it('is another matter than a deletion that the registry did', async () => {
    const deleted = await owner.ask(BLOB, { method: 'DELETE' });

    expect(deleted.status).toBe(202);
    expect((await owner.ask(BLOB)).status).toBe(404);
  });
});

describeWith(
  ['docker-registry'],
  'a stranger in relay, before a registry that asks for no login',
  () => {
    it('closes nothing by pushes and deletions that the registry does not do', async () => {
      const registry = await startRegistry({ deletes: false });
      await seed(registry, 'team/app', '1', image);
      const gate = await startGate({ AUTH_MODE: 'relay', UPSTREAM_REGISTRY: registry.url });
      const reader = { headers: basic({ username: 'any', password: 'body' }) };
      const read = (path: string) => send(`${gate.url}${path}`, reader);
      await read(BLOB);
      await eventually('it is held', async () => {
        const answers = await Promise.all([read(TAG), read(BLOB)]);
        return answers.every(({ headers }) => /; hit/.test(String(headers['cache-status'])));
      });

      const refusals: number[] = [];
      for (const [method, path] of deeds) {
        const headers = { ...reader.headers, 'content-type': image.mediaType };
        const body = method === 'PUT' ? imageOf(layersWith(10)).manifest : undefined;
        refusals.push((await send(`${gate.url}${path}`, { method, headers, body })).status);
      }

      expect(refusals).toEqual([405, 405, 400]);
      for (const path of [TAG, BLOB]) {
        const { status, headers } = await read(path);
        expect([path, status]).toEqual([path, 200]);
        expect(headers['cache-status']).toContain('hit');
      }
    });
  },
);
