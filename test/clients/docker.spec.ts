import { startDockerd, strict, type Client, type Docker } from '../support/clients';
import type { Gate } from '../support/gate';
import { dockerArchive, layersWith, MIB } from '../support/images';
import { UPSTREAM_KINDS } from '../support/registry';
import { startStand } from '../support/stand';
import { describeWith } from '../support/tools';

const PULL_ONLY = [{ repository: '**', actions: ['pull' as const] }];

describeWith(
  ['docker-registry', 'htpasswd', 'openssl', 'docker', 'dockerd'],
  'docker engine',
  () => {
    let engine: Docker;

    beforeAll(async () => {
      engine = await startDockerd();
      await engine.load(dockerArchive('large:1', layersWith(64 * MIB)));
      await engine.load(dockerArchive('small:1', layersWith(1000)));
    });

    const login = (client: Client, gate: Gate, username: string, password: string) => {
      return client('login', '--username', username, '--password', password, gate.host);
    };

    it.each(UPSTREAM_KINDS)(
      'logs in, pushes and pulls the same image before an upstream with login: %s',
      async (auth) => {
        const { gate, registry } = await startStand(auth);
        const { username, password } = await gate.addAccount();
        const client = engine.anotherUser();
        const docker = strict(client);
        const image = `${gate.host}/team/app:1`;

        expect((await login(client, gate, username, password)).stdout).toContain('Login Succeeded');
        await docker('tag', 'large:1', image);
        const pushed = /digest: (sha256:\w+)/.exec(await docker('push', image))?.[1];
        await docker('rmi', image, 'large:1');
        const pulled = /Digest: (sha256:\w+)/.exec(await docker('pull', image))?.[1];
        await docker('tag', image, 'large:1');

        const headers = { accept: 'application/vnd.docker.distribution.manifest.v2+json' };
        const held = await registry.ask('/v2/team/app/manifests/1', { headers });
        expect(pushed).toMatch(/^sha256:/);
        expect(pulled).toBe(pushed);
        expect(held.headers['docker-content-digest']).toBe(pushed);
      },
    );

    describe('tells its user what is wrong', () => {
      let gate: Gate;

      beforeAll(async () => ({ gate } = await startStand()));

      it('when the password is wrong', async () => {
        const { username } = await gate.addAccount();

        const answer = await login(engine.anotherUser(), gate, username, 'wrong');

        expect(answer.code).not.toBe(0);
        expect(answer.output).toMatch(/unauthorized|incorrect username or password/i);
      });

      it('when the account has been removed, although docker remembers its login', async () => {
        const account = await gate.addAccount();
        const client = engine.anotherUser();
        const image = `${gate.host}/team/removed:1`;
        await login(client, gate, account.username, account.password);
        await strict(client)('tag', 'small:1', image);
        await strict(client)('push', image);

        await gate.removeAccount(account);
        const answer = await client('pull', image);

        expect(answer.code).not.toBe(0);
        expect(answer.output).toMatch(/unauthorized|denied/i);
      });

      it('when it may pull only, and pushes', async () => {
        const { username, password } = await gate.addAccount(PULL_ONLY);
        const client = engine.anotherUser();
        const image = `${gate.host}/team/read-only:1`;
        await login(client, gate, username, password);
        await strict(client)('tag', 'small:1', image);

        const answer = await client('push', image);

        expect(answer.code).not.toBe(0);
        expect(answer.output).toMatch(/denied/);
      });

      it('when it is bound to other repositories, and pulls', async () => {
        const owner = await gate.addAccount();
        const other = await gate.addAccount([{ repository: 'team/**', actions: ['pull'] }]);
        const image = `${gate.host}/private/app:1`;
        const pusher = engine.anotherUser();
        await login(pusher, gate, owner.username, owner.password);
        await strict(pusher)('tag', 'small:1', image);
        await strict(pusher)('push', image);
        const client = engine.anotherUser();
        await login(client, gate, other.username, other.password);

        const answer = await client('pull', image);

        expect(answer.code).not.toBe(0);
        expect(answer.output).toMatch(/denied|unauthorized/i);
      });
    });

    it('logs in with an account the moment that it is made, and not once it is removed', async () => {
      const { gate } = await startStand();
      const account = await gate.addAccount();

      const before = await login(engine.anotherUser(), gate, account.username, account.password);
      await gate.removeAccount(account);
      const after = await login(engine.anotherUser(), gate, account.username, account.password);

      expect(before.code).toBe(0);
      expect(after.code).not.toBe(0);
    });
  },
);
