/** What the README of dockerpush has its users type and expect, at a gate with PRESET=dockerpush. */
import { startDockerd, strict, type Client, type Docker } from '../support/clients';
import { startGate, type Gate } from '../support/gate';
import { send } from '../support/http';
import { dockerArchive, layersWith, MIB } from '../support/images';
import { startRegistry, type Registry } from '../support/registry';
import { configFile } from '../support/several-registries';
import { describeWith } from '../support/tools';

describeWith(
  ['docker-registry', 'openssl', 'docker', 'dockerd'],
  'PRESET=dockerpush does what its README says',
  () => {
    let engine: Docker;
    /** Stands in for Docker Hub. */
    let hub: Registry;
    let gate: Gate;
    let user: Client;

    beforeAll(async () => {
      engine = await startDockerd();
      await engine.load(dockerArchive('alpine:latest', layersWith(4 * MIB)));
      hub = await startRegistry({ auth: 'token' });
      gate = await startGate({
        PRESET: 'dockerpush',
        // `PROXY_LISTEN_ADDR`: the port is a free one, not :5002.
        HOST: '',
        PORT: '',
        PROXY_LISTEN_ADDR: '127.0.0.1:0',
        UPSTREAM_REGISTRY_HOST: 'registry-1.docker.io',
        ...configFile({ name: 'docker.io', url: hub.url }),
      });
      user = engine.anotherUser();
    });

    it('docker login yourdomain.com, with the credentials of Docker Hub', async () => {
      const { username, password } = hub.credentials!;

      const right = await user('login', '-u', username, '-p', password, gate.host);
      const wrong = await engine.anotherUser()('login', '-u', username, '-p', 'wrong', gate.host);

      expect(right.stdout).toContain('Login Succeeded');
      expect(wrong.code).not.toBe(0);
    });

    it('docker tag alpine:latest yourdomain.com/username/alpine:latest; docker push …', async () => {
      const docker = strict(user);
      const image = `${gate.host}/username/alpine:latest`;

      await docker('tag', 'alpine:latest', image);
      const pushed = /digest: (sha256:\w+)/.exec(await docker('push', image))?.[1];

      const headers = { accept: 'application/vnd.docker.distribution.manifest.v2+json' };
      const held = await hub.ask('/v2/username/alpine/manifests/latest', { headers });
      expect(pushed).toMatch(/^sha256:/);
      expect(held.headers['docker-content-digest']).toBe(pushed);
    });

    it('the status at yourdomain.com', async () => {
      const { text } = await send(`${gate.url}/`);

      expect(text).toBe(
        `{"status":"ok","service":"docker-registry-proxy","upstream":"${hub.host}"}`,
      );
    });

    it('Www-Authenticate leads to the proxy itself', async () => {
      const { status, headers } = await send(`${gate.url}/v2/`);

      expect(status).toBe(401);
      expect(headers['www-authenticate']).toContain(`realm="${gate.url}/v2/auth"`);
    });
  },
);
