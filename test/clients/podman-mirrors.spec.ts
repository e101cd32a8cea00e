import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { containerTool, NOWHERE, skopeo, strict } from '../support/clients';
import { sha256 } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { freshFolder } from '../support/lifecycle';
import { install, setupOf, startManyStand, type ManyStand } from '../support/many-registries';
import { contentAsked } from '../support/registry-blobs';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

describeWith(
  ['docker-registry', 'podman', 'skopeo'],
  'podman and skopeo with the registries.conf that the gate gives',
  () => {
    const images = { hub: imageOf(layersWith(100_000)), ghcr: imageOf(layersWith(100_000)) };
    const names = { hub: 'docker.io/team/app:1', ghcr: 'ghcr.io/team/app:1' };
    let stand: ManyStand<'hub' | 'ghcr'>;
    let env: Record<string, string>;

    beforeAll(async () => {
      stand = await startManyStand({ hub: { name: 'docker.io' }, ghcr: { name: 'ghcr.io' } });
      await seed(stand.upstreams.hub, 'team/app', '1', images.hub);
      await seed(stand.upstreams.ghcr, 'team/app', '1', images.ghcr);
      const root = install(await setupOf(stand.gate, 'podman'));
      const file = join(root, 'etc/containers/registries.conf.d/tidegate.conf');
      env = { ...NOWHERE, CONTAINERS_REGISTRIES_CONF: file };
    });

    /** Arguments of the login that the gate names, without asking. */
    async function login() {
      const { username, password } = await stand.gate.addAccount();
      const { commands } = await setupOf(stand.gate, 'podman');
      const args = commands
        .find((line) => line.startsWith('podman login '))!
        .split(' ')
        .slice(1);
      return [...args, '--username', username, '--password', password];
    }

    it('pull the same name of two registries with the login of the mirror, each from its own', async () => {
      const podman = strict(containerTool('podman', env));
      await podman(...(await login()));

      for (const name of Object.values(names)) await podman('pull', name);
      const held = await podman(
        'images',
        '--digests',
        '--no-trunc',
        '--format',
        '{{.Repository}}:{{.Tag}} {{.Digest}}',
      );

      for (const key of ['hub', 'ghcr'] as const) {
        expect(held).toContain(`${names[key]} ${images[key].digest}`);
        const asked = await contentAsked(stand.upstreams[key]);
        for (const blob of images[key].blobs.keys()) expect(asked).toContain(`GET blobs/${blob}`);
      }
    });

    it('inspect and copy by the usual name, too', async () => {
      const client = strict(skopeo(env));
      await client(...(await login()), '--tls-verify=false');

      // podman knows its file by a variable, skopeo by an option.
      const file = ['--registries-conf', env['CONTAINERS_REGISTRIES_CONF'] ?? ''];
      const out = freshFolder('out');
      const read = await client(...file, 'inspect', '--raw', `docker://${names.ghcr}`);
      await client(...file, 'copy', `docker://${names.hub}`, `dir:${out}`);

      expect(sha256(read)).toBe(images.ghcr.digest);
      expect(readFileSync(join(out, 'manifest.json'))).toEqual(images.hub.manifest);
    });

    it('are not served without that login', async () => {
      const { code, output } = await containerTool('podman', env)('pull', names.ghcr);

      expect(code).not.toBe(0);
      expect(output).toMatch(/unauthorized|authentication required|Authentication is required/i);
    });

    it('log in to the gate by its name, which the file says to be without TLS', async () => {
      const nothing = join(freshFolder('nothing'), 'registries.conf');
      writeFileSync(nothing, '');
      const without = containerTool('podman', { ...env, CONTAINERS_REGISTRIES_CONF: nothing });

      const [refused, taken] = [
        await without(...(await login())),
        await containerTool('podman', env)(...(await login())),
      ];

      expect(refused.code).not.toBe(0);
      expect(taken).toMatchObject({ code: 0 });
    });
  },
);
