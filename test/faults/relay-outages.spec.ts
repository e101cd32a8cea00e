/**
 * F1 in relay: what is held is served while the registry's yes to that very login is remembered, and to nobody else.
 */
import { startGate } from '../support/gate';
import { errorCode, tokenFor } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { startRegistry } from '../support/registry';
import { eventually } from '../support/lifecycle';
import { seed, visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const image = imageOf(layersWith(1000));
const [digest = ''] = image.blobs.keys();
const SCOPE = 'repository:team/app:pull';

describeWith(
  ['docker-registry', 'htpasswd', 'openssl'],
  'F1: relay before a registry that goes away',
  () => {
    it('serves what is held to whom it was shown, and 503 to everybody else', async () => {
      const registry = await startRegistry({ auth: 'token' });
      await seed(registry, 'team/app', '1', image);
      const env = { AUTH_MODE: 'relay', UPSTREAM_REGISTRY: registry.url, CACHE_TAG_TTL: '0s' };
      const gate = await startGate(env);
      const [seen, unseen] = await Promise.all(
        [1, 2].map(async () =>
          visitor(gate, (await tokenFor(gate.url, registry.credentials!, SCOPE)).token),
        ),
      );
      const paths = ['/v2/team/app/manifests/1', `/v2/team/app/blobs/${digest}`];
      for (const path of paths) expect((await seen!.ask(path)).status).toBe(200);

      // It is answered before it is on the disk for good.
      await eventually('the tag is remembered', async () =>
        String((await seen!.ask(paths[0]!)).headers['cache-status']).includes('fwd=stale'),
      );

      await registry.stop();
      const held = await Promise.all(paths.map((path) => seen!.ask(path)));
      const refused = await Promise.all(paths.map((path) => unseen!.ask(path)));

      expect(held.map(({ status }) => status)).toEqual([200, 200]);
      expect(held[0]!.headers.warning).toMatch(/^299 - "stale: /);
      expect(held[1]!.body.equals(image.blobs.get(digest)!)).toBe(true);
      expect(refused.map(({ status }) => status)).toEqual([503, 503]);
      expect(refused.map(errorCode)).toEqual(['UNAVAILABLE', 'UNAVAILABLE']);
    });
  },
);
