import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startContainerd, strict, type Client } from '../support/clients';
import { imageOf, indexOf, layersWith, layoutArchive, MIB, type Image } from '../support/images';
import { freshFolder } from '../support/lifecycle';
import { UPSTREAM_KINDS } from '../support/registry';
import { seed, startStand } from '../support/stand';
import { describeWith } from '../support/tools';

describeWith(['docker-registry', 'htpasswd', 'openssl', 'containerd', 'ctr'], 'containerd', () => {
  let ctr: Client;

  beforeAll(async () => {
    ctr = await startContainerd();
  });

  async function load(name: string, image: Image): Promise<void> {
    const file = join(freshFolder('archive'), 'image.tar');
    writeFileSync(file, layoutArchive(name, image));
    await strict(ctr)('images', 'import', '--no-unpack', file);
  }

  const wire = (user: { username: string; password: string }) => {
    return ['--plain-http', '--user', `${user.username}:${user.password}`];
  };

  it.each(UPSTREAM_KINDS)(
    'pushes and pulls the same image with its login before an upstream with login: %s',
    async (auth) => {
      const { gate, registry } = await startStand(auth);
      const account = await gate.addAccount();
      const image = imageOf(layersWith(64 * MIB));
      const name = `${gate.host}/team/app:1`;
      await load(name, image);

      await strict(ctr)('images', 'push', ...wire(account), name);
      await strict(ctr)('images', 'rm', '--sync', name);
      await strict(ctr)('images', 'pull', ...wire(account), '--snapshotter', 'native', name);
      const images = await strict(ctr)('images', 'ls');

      const headers = { accept: image.mediaType };
      const held = await registry.ask('/v2/team/app/manifests/1', { headers });
      expect(images).toMatch(new RegExp(`${name}.*${image.digest}`));
      expect(held.headers['docker-content-digest']).toBe(image.digest);
    },
  );

  it('pulls each platform of an index', async () => {
    const { gate, registry } = await startStand('token');
    const account = await gate.addAccount();
    const images = { amd64: imageOf(layersWith(1000)), arm64: imageOf(layersWith(1000), 'arm64') };
    const index = indexOf(images);
    for (const image of Object.values(images))
      await seed(registry, 'team/two', image.digest, image);
    await seed(registry, 'team/two', '1', { ...index, blobs: new Map() });

    for (const [architecture, image] of Object.entries(images)) {
      const name = `${gate.host}/team/two:1`;
      const platform = ['--platform', `linux/${architecture}`];
      await strict(ctr)(
        'images',
        'pull',
        ...wire(account),
        ...platform,
        '--snapshotter',
        'native',
        name,
      );
      const held = await strict(ctr)('content', 'ls', '--quiet');
      await strict(ctr)('images', 'rm', '--sync', name);

      expect(held).toContain(index.digest);
      for (const digest of image.blobs.keys()) expect(held).toContain(digest);
    }
  });

  it('reads what is wrong: the password, or a right that is missing', async () => {
    const { gate } = await startStand();
    const account = await gate.addAccount([{ repository: '**', actions: ['pull'] }]);
    const name = `${gate.host}/team/app:1`;
    await load(name, imageOf(layersWith(1000)));

    const wrong = await ctr('images', 'pull', ...wire({ ...account, password: 'wrong' }), name);
    const denied = await ctr('images', 'push', ...wire(account), name);

    expect(wrong.code).not.toBe(0);
    expect(wrong.output).toMatch(/401|unauthorized|authorization failed/i);
    expect(denied.code).not.toBe(0);
    expect(denied.output).toMatch(/401|403|denied|unauthorized|insufficient_scope/i);
  });
});
