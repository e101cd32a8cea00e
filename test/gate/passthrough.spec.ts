/** AUTH_MODE=passthrough: the registry's challenge reaches the client untouched, and the client's header the registry. */
import { startGate, type Gate } from '../support/gate';
import { askToken, basic, send, type Account } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry, type Registry } from '../support/registry';
import { openUpload, seed, visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const [digest = ''] = image.blobs.keys();

describeWith(['docker-registry', 'htpasswd', 'openssl'], 'passthrough', () => {
  let registry: Registry;
  let gate: Gate;
  let owner: Account;

  /** A token as the client gets it at the registry's own realm. */
  async function tokenFor(scope: string): Promise<string> {
    const { realm, service } = registry.tokens!;
    const url = `${realm}?service=${service}&scope=${scope}`;
    return (await send(url, { headers: basic(owner) })).json<{ token: string }>().token;
  }

  beforeAll(async () => {
    registry = await startRegistry({ auth: 'token' });
    owner = registry.credentials!;
    await seed(registry, 'team/app', '1', image);
    gate = await startGate({ AUTH_MODE: 'passthrough', UPSTREAM_REGISTRY: registry.url });
  });

  it.each(['/v2/', '/v2/team/app/manifests/1', `/v2/team/app/blobs/${digest}`])(
    'shows the registry’s own challenge at %s',
    async (path) => {
      const own = await send(`${registry.url}${path}`);
      const answer = await send(`${gate.url}${path}`);

      expect(answer.status).toBe(401);
      expect(answer.headers['www-authenticate']).toBe(own.headers['www-authenticate']);
      expect(answer.headers['www-authenticate']).toContain(registry.tokens!.realm);
    },
  );

  it('takes the token that the client fetched there, for pulls and pushes', async () => {
    const who = visitor(gate, await tokenFor('repository:team/app:pull,push'));

    const manifest = await who.ask('/v2/team/app/manifests/1');
    const blob = await who.ask(`/v2/team/app/blobs/${digest}`);

    expect((await who.ask('/v2/')).status).toBe(200);
    expect(manifest.body.equals(image.manifest)).toBe(true);
    expect(blob.body.equals(image.blobs.get(digest)!)).toBe(true);
    expect(await openUpload(who, 'team/app')).toContain('/v2/team/app/blobs/uploads/');
  });

  it('gives what is held to nobody whom the registry does not give it', async () => {
    const who = visitor(gate, await tokenFor('repository:team/app:pull'));
    const narrow = visitor(gate, await tokenFor('repository:team/other:pull'));
    await who.ask(`/v2/team/app/blobs/${digest}`);

    expect((await narrow.ask(`/v2/team/app/blobs/${digest}`)).status).toBe(401);
    expect((await send(`${gate.url}/v2/team/app/blobs/${digest}`)).status).toBe(401);
  });

  it('gives out no tokens itself', async () => {
    expect((await askToken(gate.url, owner)).status).toBe(404);
  });
});
