import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { skopeo, strict } from '../support/clients';
import { imageOf, indexOf, layersWith, MIB, writeLayout, type Image } from '../support/images';
import { freshFolder } from '../support/lifecycle';
import { UPSTREAM_KINDS } from '../support/registry';
import { startStand } from '../support/stand';
import { describeWith } from '../support/tools';

const PLAIN = ['--src-tls-verify=false', '--dest-tls-verify=false'];

describeWith(['docker-registry', 'htpasswd', 'openssl', 'skopeo'], 'skopeo', () => {
  function layoutOf(image: Image): string {
    const folder = freshFolder('layout');
    writeLayout(folder, '1', image);
    return folder;
  }

  it.each(UPSTREAM_KINDS)(
    'logs in, copies in and out the same image before an upstream with login: %s',
    async (auth) => {
      const { gate, registry } = await startStand(auth);
      const { username, password } = await gate.addAccount();
      const image = imageOf(layersWith(64 * MIB));
      const client = strict(skopeo());
      const [remote, out] = [`docker://${gate.host}/team/app:1`, freshFolder('out')];

      await client('login', '--tls-verify=false', '-u', username, '-p', password, gate.host);
      await client('copy', ...PLAIN, `oci:${layoutOf(image)}:1`, remote);
      await client('copy', ...PLAIN, remote, `dir:${out}`);

      const headers = { accept: image.mediaType };
      const held = await registry.ask('/v2/team/app/manifests/1', { headers });
      expect(held.headers['docker-content-digest']).toBe(image.digest);
      expect(readFileSync(join(out, 'manifest.json'))).toEqual(image.manifest);
      for (const [digest, bytes] of image.blobs) {
        expect(readFileSync(join(out, digest.slice(7))).equals(bytes)).toBe(true);
      }
    },
  );

  it('copies an index in and out with all its platforms, bytes unchanged, and each alone', async () => {
    const { gate } = await startStand('htpasswd');
    const { username, password } = await gate.addAccount();
    const amd64 = imageOf(layersWith(5000));
    const arm64 = imageOf(layersWith(5000), 'arm64');
    const index = indexOf({ amd64, arm64 });
    const client = strict(skopeo());
    const remote = `docker://${gate.host}/team/two:1`;
    await client('login', '--tls-verify=false', '-u', username, '-p', password, gate.host);

    await client('copy', '--all', ...PLAIN, `oci:${layoutOf(index)}:1`, remote);
    const out = freshFolder('out');
    await client('copy', '--all', ...PLAIN, remote, `dir:${out}`);

    expect(readFileSync(join(out, 'manifest.json'))).toEqual(index.manifest);
    for (const image of [amd64, arm64]) {
      const file = join(out, `${image.digest.slice(7)}.manifest.json`);
      expect(readFileSync(file)).toEqual(image.manifest);
    }
    for (const [architecture, image] of Object.entries({ amd64, arm64 })) {
      const one = freshFolder(architecture);
      await client('--override-arch', architecture, 'copy', ...PLAIN, remote, `dir:${one}`);
      expect(readFileSync(join(one, 'manifest.json'))).toEqual(image.manifest);
    }
  });

  it('lists tags, inspects and deletes', async () => {
    const { gate } = await startStand();
    const { username, password } = await gate.addAccount();
    const layout = layoutOf(imageOf(layersWith(1000)));
    const client = strict(skopeo());
    const repository = `docker://${gate.host}/team/app`;
    await client('login', '--tls-verify=false', '-u', username, '-p', password, gate.host);
    for (const tag of ['a', 'b'])
      await client('copy', ...PLAIN, `oci:${layout}:1`, `${repository}:${tag}`);

    const tags = await client('list-tags', '--tls-verify=false', repository);
    const seen = await client('inspect', '--tls-verify=false', `${repository}:a`);
    await client('delete', '--tls-verify=false', `${repository}:a`);

    expect((JSON.parse(tags) as { Tags: string[] }).Tags.sort()).toEqual(['a', 'b']);
    expect(JSON.parse(seen)).toMatchObject({ Architecture: 'amd64' });
    const after = await skopeo()('inspect', '--tls-verify=false', `${repository}:a`);
    expect(after.code).not.toBe(0);
  });

  it('reads what is wrong: the password, a removed account, a right that is missing', async () => {
    const { gate } = await startStand();
    const account = await gate.addAccount([{ repository: 'team/**', actions: ['pull'] }]);
    const layout = layoutOf(imageOf(layersWith(1000)));
    const client = skopeo();
    const credentials = ['--dest-creds', `${account.username}:${account.password}`];
    const push = ['copy', ...PLAIN, ...credentials, `oci:${layout}:1`];

    const wrong = await client(
      'login',
      '--tls-verify=false',
      '-u',
      account.username,
      '-p',
      'no',
      gate.host,
    );
    const denied = await client(...push, `docker://${gate.host}/team/app:1`);
    await gate.removeAccount(account);
    const removed = await client(...push, `docker://${gate.host}/team/app:1`);

    expect(wrong.output).toMatch(/invalid username\/password|unauthorized/i);
    expect(denied.output).toMatch(/denied|unauthorized|authentication required/i);
    expect(removed.output).toMatch(/invalid username\/password|unauthorized/i);
    expect([wrong.code, denied.code, removed.code]).not.toContain(0);
  });
});
