import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { containerTool, strict } from '../support/clients';
import type { Gate } from '../support/gate';
import { imageOf, layersWith, MIB, writeLayout } from '../support/images';
import { freshFolder } from '../support/lifecycle';
import { UPSTREAM_KINDS } from '../support/registry';
import { startStand } from '../support/stand';
import { describeWith } from '../support/tools';

const ACCEPT = { accept: 'application/vnd.oci.image.manifest.v1+json' };

describe.each(['podman', 'buildah'] as const)('with %s', (name) => {
  describeWith(['docker-registry', 'htpasswd', 'openssl', name], 'a developer', () => {
    let layout: string;

    beforeAll(() => {
      layout = freshFolder('layout');
      writeLayout(layout, '1', imageOf(layersWith(64 * MIB)));
    });

    const login = (gate: Gate, username: string, password: string) => {
      return ['login', '--tls-verify=false', '-u', username, '-p', password, gate.host];
    };

    it.each(UPSTREAM_KINDS)(
      'logs in, pushes and pulls the same image before an upstream with login: %s',
      async (auth) => {
        const { gate, registry } = await startStand(auth);
        const { username, password } = await gate.addAccount();
        const image = `${gate.host}/team/app:1`;
        const digestFile = join(freshFolder('digest'), 'digest');

        const pusher = strict(containerTool(name));
        await pusher(...login(gate, username, password));
        const id = (await pusher('pull', '--quiet', `oci:${layout}:1`)).trim();
        const push = ['push', '--tls-verify=false', '--digestfile', digestFile];
        await pusher(...push, id, `docker://${image}`);
        const puller = strict(containerTool(name)); // with an empty store
        await puller(...login(gate, username, password));
        await puller('pull', '--tls-verify=false', image);
        const images = await puller('images', '--digests', '--no-trunc');

        const pushed = readFileSync(digestFile, 'utf8').trim();
        const held = await registry.ask('/v2/team/app/manifests/1', { headers: ACCEPT });
        expect(pushed).toMatch(/^sha256:/);
        expect(images).toContain(pushed);
        expect(held.headers['docker-content-digest']).toBe(pushed);
      },
    );

    it('reads what is wrong: the password, or a right that is missing', async () => {
      const { gate } = await startStand();
      const { username, password } = await gate.addAccount([
        { repository: '**', actions: ['pull'] },
      ]);
      const tool = containerTool(name);

      const wrong = await tool(...login(gate, username, 'wrong'));
      await strict(tool)(...login(gate, username, password));
      const id = (await strict(tool)('pull', '--quiet', `oci:${layout}:1`)).trim();
      const denied = await tool('push', '--tls-verify=false', id, `docker://${gate.host}/team/x:1`);

      expect(wrong.code).not.toBe(0);
      expect(wrong.output).toMatch(/invalid username\/password|unauthorized/i);
      expect(denied.code).not.toBe(0);
      expect(denied.output).toMatch(/denied|unauthorized|authentication required/i);
    });
  });
});
