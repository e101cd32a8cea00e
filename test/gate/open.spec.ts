/** AUTH_MODE=open: whoever reaches the gate may pull what its own credentials may see. */
import { startGate, type Gate } from '../support/gate';
import { basic, bearer, send } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry } from '../support/registry';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const [digest = ''] = image.blobs.keys();

describeWith(['docker-registry', 'htpasswd'], 'an open gate', () => {
  let gate: Gate;

  beforeAll(async () => {
    const registry = await startRegistry({ auth: 'htpasswd' });
    await seed(registry, 'team/app', '1', image);
    gate = await startGate({ ...registry.settings, AUTH_MODE: 'open' });
  });

  it('serves pulls with no login, by the credentials of the gate', async () => {
    const manifest = await send(`${gate.url}/v2/team/app/manifests/1`);
    const blob = await send(`${gate.url}/v2/team/app/blobs/${digest}`);
    const tags = await send(`${gate.url}/v2/team/app/tags/list`);

    expect((await send(`${gate.url}/v2/`)).status).toBe(200);
    expect(manifest.body.equals(image.manifest)).toBe(true);
    expect(blob.body.equals(image.blobs.get(digest)!)).toBe(true);
    expect(tags.json()).toEqual({ name: 'team/app', tags: ['1'] });
  });

  it.each([
    ['POST', '/v2/team/app/blobs/uploads/'],
    ['PUT', '/v2/team/app/manifests/2'],
    ['DELETE', '/v2/team/app/manifests/1'],
  ])('denies %s %s, to admins too', async (method, path) => {
    const answers = await Promise.all([
      send(`${gate.url}${path}`, { method }),
      send(`${gate.url}${path}`, { method, headers: basic(gate.admin) }),
    ]);

    expect(answers.map(({ status }) => status)).toEqual([403, 403]);
  });

  it('does not look at what is shown as a login, however often', async () => {
    const logins = [basic({ username: 'any', password: 'body' }), bearer('any-token')];
    for (let attempt = 0; attempt < 15; attempt += 1)
      for (const headers of logins)
        expect((await send(`${gate.url}/v2/team/app/tags/list`, { headers })).status).toBe(200);
  });

  it('asks operators for their accounts all the same', async () => {
    expect((await send(`${gate.url}/admin/users`)).status).toBe(401);
    expect((await gate.rest('GET', '/users')).status).toBe(200);
  });
});
