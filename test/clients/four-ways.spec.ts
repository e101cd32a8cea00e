import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { NOWHERE, skopeo, startContainerd, strict } from '../support/clients';
import { knowing } from '../support/host-names';
import { imageOf, layersWith } from '../support/images';
import { eventually, freshFolder } from '../support/lifecycle';
import { install, setupOf, startManyStand, type ManyStand } from '../support/many-registries';
import { contentAsked } from '../support/registry-blobs';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const REPOSITORY = 'docker.io/team/app';

describeWith(
  ['docker-registry', 'skopeo', 'containerd', 'ctr', 'unshare'],
  'one repository, reached in the four ways that the gate gives',
  () => {
    const image = imageOf(layersWith(300_000));
    const other = imageOf(layersWith(1000));
    let stand: ManyStand<'hub' | 'ghcr'>;

    beforeAll(async () => {
      stand = await startManyStand({
        hub: { name: 'docker.io', hosts: ['hub.localhost'] },
        ghcr: { name: 'ghcr.io', hosts: ['ghcr.localhost'] },
      });
      await seed(stand.upstreams.hub, 'team/app', '1', image);
      await seed(stand.upstreams.ghcr, 'team/app', '1', other);
    });

    /** skopeo at this machine's loopback, with the login that the gate names for docker, at each of its hosts. */
    async function copier() {
      const { username, password } = await stand.gate.addAccount([
        { repository: REPOSITORY, actions: ['pull'] },
      ]);
      const client = skopeo(NOWHERE, knowing('hub.localhost', 'ghcr.localhost'));
      const options = ['--src-tls-verify=false', '--src-creds', `${username}:${password}`];
      const copy = (source: string, out: string) =>
        client('copy', ...options, `docker://${source}`, `dir:${out}`);
      return { username, password, copy };
    }

    it('gives the same image by default, by path, by host and by ?ns=, as one entry of the cache', async () => {
      const { gate, upstreams } = stand;
      const { username, password, copy } = await copier();
      const { commands } = await setupOf(gate, 'docker');
      const ways = commands.flatMap(
        (line) => /^docker pull (\S+)\/library\/nginx:latest$/.exec(line)?.[1] ?? [],
      );

      expect(ways).toEqual([gate.host, `${gate.host}/docker.io`, `hub.localhost:${gate.port}`]);
      for (const way of ways) {
        const out = freshFolder('out');
        expect(await copy(`${way}/team/app:1`, out)).toMatchObject({ code: 0 });
        expect(readFileSync(join(out, 'manifest.json'))).toEqual(image.manifest);
        for (const [digest, bytes] of image.blobs)
          expect(readFileSync(join(out, digest.slice(7))).equals(bytes)).toBe(true);
      }
      const ctr = strict(await startContainerd(NOWHERE));
      const folder = join(install(await setupOf(gate, 'containerd')), 'etc/containerd/certs.d');
      const user = ['--user', `${username}:${password}`, '--snapshotter', 'native'];
      await ctr('images', 'pull', '--hosts-dir', folder, ...user, `${REPOSITORY}:1`);
      expect(await ctr('images', 'ls')).toContain(image.digest);

      const asked = await contentAsked(upstreams.hub, '/team/app/');
      for (const digest of image.blobs.keys())
        expect(asked.filter((each) => each === `GET blobs/${digest}`)).toHaveLength(1);
      expect(asked.filter((each) => each.startsWith('GET manifests/'))).toHaveLength(1);
      const held = await eventually('all of it is held', async () => {
        const { repositories } = (await gate.rest('GET', '/cache/repositories')).json<Held>();
        return (repositories[0]?.contents ?? 0) > image.blobs.size && repositories;
      });
      expect(held).toEqual([expect.objectContaining({ name: REPOSITORY })]);
    });

    it('opens nothing of the same name at another registry, in none of them', async () => {
      const { username, password, copy } = await copier();
      const before = (await contentAsked(stand.upstreams.ghcr)).length;

      for (const way of [`${stand.gate.host}/ghcr.io`, `ghcr.localhost:${stand.gate.port}`]) {
        const { code, output } = await copy(`${way}/team/app:1`, freshFolder('out'));
        expect(code).not.toBe(0);
        expect(output).toMatch(/denied|unauthorized|authentication required/i);
      }
      const ctr = await startContainerd(NOWHERE);
      const folder = join(
        install(await setupOf(stand.gate, 'containerd')),
        'etc/containerd/certs.d',
      );
      const user = ['--user', `${username}:${password}`];
      const refused = await ctr(
        'images',
        'pull',
        '--hosts-dir',
        folder,
        ...user,
        'ghcr.io/team/app:1',
      );

      expect(refused.code).not.toBe(0);
      expect(await contentAsked(stand.upstreams.ghcr)).toHaveLength(before);
    });
  },
);

interface Held {
  repositories: { name: string; contents: number }[];
}
