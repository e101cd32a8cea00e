import { join } from 'node:path';
import { NOWHERE, startContainerd, strict, type Client } from '../support/clients';
import type { Account } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { install, setupOf, startManyStand, type ManyStand } from '../support/many-registries';
import { succeed } from '../support/processes';
import { contentAsked } from '../support/registry-blobs';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

describeWith(
  ['docker-registry', 'containerd', 'ctr'],
  'containerd with the hosts.toml files that the gate gives',
  () => {
    const images = { hub: imageOf(layersWith(100_000)), ghcr: imageOf(layersWith(100_000)) };
    const names = { hub: 'docker.io/team/app:1', ghcr: 'ghcr.io/team/app:1' };
    let stand: ManyStand<'hub' | 'ghcr'>;
    let root: string;
    let ctr: Client;

    beforeAll(async () => {
      stand = await startManyStand({ hub: { name: 'docker.io' }, ghcr: { name: 'ghcr.io' } });
      await seed(stand.upstreams.hub, 'team/app', '1', images.hub);
      await seed(stand.upstreams.ghcr, 'team/app', '1', images.ghcr);
      root = install(await setupOf(stand.gate, 'containerd'));
      ctr = await startContainerd(NOWHERE);
    });

    const pull = ({ username, password }: Account, name: string, at = root) => {
      const hosts = ['--hosts-dir', join(at, 'etc/containerd/certs.d')];
      const user = ['--user', `${username}:${password}`, '--snapshotter', 'native'];
      return ctr('images', 'pull', ...hosts, ...user, name);
    };

    it('pulls the same name of two registries with its login, each from its own', async () => {
      const account = await stand.gate.addAccount();

      for (const name of Object.values(names))
        expect(await pull(account, name)).toMatchObject({ code: 0 });
      const held = await strict(ctr)('images', 'ls');

      for (const key of ['hub', 'ghcr'] as const) {
        expect(held).toMatch(new RegExp(`^${names[key]} .*${images[key].digest}`, 'm'));
        const asked = await contentAsked(stand.upstreams[key]);
        for (const blob of images[key].blobs.keys()) expect(asked).toContain(`GET blobs/${blob}`);
      }
      const seen = stand.gate.logs().filter(({ noun }) => noun === 'manifest');
      expect(new Set(seen.map(({ repository }) => repository))).toEqual(
        new Set(['docker.io/team/app', 'ghcr.io/team/app']),
      );
    });

    it('has there the rights of its account, and no more', async () => {
      const access = [{ repository: 'ghcr.io/**', actions: ['pull' as const] }];
      const account = await stand.gate.addAccount(access);

      const [other, own] = [await pull(account, names.hub), await pull(account, names.ghcr)];

      expect(own.code).toBe(0);
      expect(other.code).not.toBe(0);
    });

    it('asks nobody but the gate where that is the server, too', async () => {
      const account = await stand.gate.addAccount();
      const setup = await setupOf(stand.gate, 'containerd');
      const server = setup.notes
        .map((note) => /`(server = [^`]+)`\. /.exec(note)?.[1])
        .find(Boolean);
      const files = setup.files.map(({ path, content }) => ({
        path,
        content: path.endsWith('hosts.toml') ? `${server}\n${content}` : content,
      }));
      const strictly = install({ ...setup, files });

      const usual = await pull(account, 'ghcr.io/team/nothing:1');
      const alone = await pull(account, 'ghcr.io/team/nothing:1', strictly);

      expect(usual.output).toMatch(/proxyconnect/);
      expect(alone.code).not.toBe(0);
      expect(alone.output).toMatch(/not found/);
      expect(alone.output).not.toMatch(/proxyconnect/);
      expect(await pull(account, names.ghcr, strictly)).toMatchObject({ code: 0 });
    });

    it('reads the config.toml that the gate gives', async () => {
      const config = join(root, 'etc/containerd/config.toml');

      const read = await succeed('containerd', ['--config', config, 'config', 'dump']);

      expect(read).toMatch(/config_path = "\/etc\/containerd\/certs\.d"/);
    });
  },
);
