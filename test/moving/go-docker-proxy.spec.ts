/** What the README of go-docker-proxy has its users set and type, at a gate with PRESET=go-docker-proxy. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NOWHERE, skopeo } from '../support/clients';
import { startGate, type Gate } from '../support/gate';
import { send } from '../support/http';
import { imageOf, layersWith, type Image } from '../support/images';
import { freshFolder } from '../support/lifecycle';
import { knowing } from '../support/host-names';
import { startRegistry } from '../support/registry';
import { configFile } from '../support/several-registries';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const DOMAIN = 'your-domain.com';

describeWith(
  ['docker-registry', 'skopeo', 'unshare'],
  'PRESET=go-docker-proxy does what its README says',
  () => {
    const images = ['docker.io', 'quay.io', 'gcr.io'].map(
      (name) => [name, imageOf(layersWith(10_000))] as const,
    );
    const repositories = ['library/nginx', 'prometheus/prometheus', 'google-containers/pause'];
    const cache = join(freshFolder('old'), 'cache');
    let gate: Gate;

    beforeAll(async () => {
      mkdirSync(cache);
      const entries = await Promise.all(
        images.map(async ([name, image], index) => {
          const registry = await startRegistry();
          await seed(registry, repositories[index] ?? '', 'latest', image);
          return { name, url: registry.url };
        }),
      );
      gate = await startGate({
        PRESET: 'go-docker-proxy',
        CUSTOM_DOMAIN: DOMAIN,
        CACHE_DIR: cache,
        ...configFile(...entries),
      });
    });

    it.each([
      ['registry.docker', 'library/nginx', 0],
      ['quay.registry.docker', 'prometheus/prometheus', 1],
      ['gcr.registry.docker', 'google-containers/pause', 2],
    ])('docker pull %s.your-domain.com/%s:latest', async (host, repository, index) => {
      const [, image] = images[index] as readonly [string, Image];
      const name = `${host}.${DOMAIN}`;
      const out = freshFolder('out');

      // skopeo in docker's place: it can be told where the host is.
      const { code, output } = await skopeo(NOWHERE, knowing(name))(
        'copy',
        '--src-tls-verify=false',
        `docker://${name}:${gate.port}/${repository}:latest`,
        `dir:${out}`,
      );

      expect([code, output]).toEqual([0, expect.any(String)]);
      expect(readFileSync(join(out, 'manifest.json'))).toEqual(image.manifest);
    });

    it.each([
      'docker',
      'hub',
      'registry',
      'quay',
      'gcr',
      'k8s',
      'k8s-gcr',
      'ghcr',
      'cloudsmith',
      'ecr',
    ])('GET / at %s.{CUSTOM_DOMAIN} leads to /v2/', async (first) => {
      const headers = { host: `${first}.${DOMAIN}` };
      const { status, headers: told } = await send(`${gate.url}/`, { headers });

      expect([status, told.location]).toEqual([301, '/v2/']);
    });

    it('curl http://unknown-domain.com:8080/ gives the routes', async () => {
      const headers = { host: 'unknown-domain.com:8080' };

      const { status, text } = await send(`${gate.url}/`, { headers });

      expect(status).toBe(404);
      expect(JSON.parse(text)).toMatchObject({
        routes: { [`ecr.registry.docker.${DOMAIN}`]: 'https://public.ecr.aws' },
        message: 'Available registry routes',
      });
    });

    it('CUSTOM_DOMAIN=localhost DEBUG=true TARGET_UPSTREAM=…: where an unknown host leads', async () => {
      const target = await startRegistry();
      await seed(target, 'team/app', '1', images[0]![1]);
      const own = await startGate({
        PRESET: 'go-docker-proxy',
        CUSTOM_DOMAIN: 'localhost',
        CACHE_DIR: join(freshFolder('other'), 'cache'),
        DEBUG: 'true',
        TARGET_UPSTREAM: target.url,
      });
      const tags = (host: string) =>
        send(`${own.url}/v2/team/app/tags/list`, { headers: { host } });

      const unknown = await tags('unknown-domain.com');
      const known = await send(`${own.url}/`, { headers: { host: 'docker.localhost' } });

      expect([unknown.status, known.status]).toEqual([200, 301]);
      expect(JSON.parse(unknown.text)).toEqual({ name: 'team/app', tags: ['1'] });
    });
  },
);
