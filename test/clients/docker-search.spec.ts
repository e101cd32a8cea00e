import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { selfSigned } from '../support/certificates';
import { startDockerd, strict, type Docker } from '../support/clients';
import { FaultServer, json } from '../support/fault-server';
import { openGateOfMany, registryAt, type GateOfMany } from '../support/gate-of-many';
import { unique } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { atTheEnd, freshFolder } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const hit = (name: string) => ({
  name,
  description: `about ${name}`,
  star_count: 3,
  is_official: !name.includes('/'),
  is_automated: false,
});

const pageOf = (...names: string[]) =>
  json({
    num_pages: 1,
    num_results: names.length,
    page: 1,
    page_size: 25,
    query: 'x',
    results: names.map(hit),
  });

describeWith(
  ['docker-registry', 'openssl', 'docker', 'dockerd'],
  'docker search through the gate',
  () => {
    let engine: Docker;
    let registry: Registry;
    /** Stands in for index.docker.io, and for a registry that has a search of its own. */
    let index: FaultServer;

    beforeAll(async () => {
      engine = await startDockerd();
      registry = await startRegistry();
      index = await FaultServer.start();
      atTheEnd(() => index.close());
      const image = imageOf(layersWith(1000));
      await seed(registry, 'library/nginx', 'latest', image);
      await seed(registry, 'org/app', 'latest', image);
    });

    beforeEach(() => {
      index.handler = pageOf('nginx', 'bitnami/nginx');
      index.requests.length = 0;
    });

    // Whoever searched, and with whatever login: none reaches the search host, which owns none.

    const open = (env: Record<string, string>): Promise<GateOfMany> => {
      const url = new URL(registry.url);
      const more = { search: index.url, credentials: [{ username: 'robot', password: 'secret' }] };
      return openGateOfMany(
        [
          registryAt('docker.io', url, { ...more, library: true }),
          registryAt('ghcr.io', url, { ...more, hosts: [] }),
        ],
        env,
      );
    };

    /** What docker prints, by name. */
    const namesIn = (table: string) =>
      table
        .split('\n')
        .slice(1)
        .flatMap((line) => line.split(/\s+/)[0] || []);

    it('finds images without a login, and pulls what it found by the name that it shows', async () => {
      const gate = await open({ ANONYMOUS_ACCESS: 'pull' });
      const docker = strict(engine.anotherUser());

      const [nginx] = namesIn(await docker('search', `${gate.host}/nginx`));
      index.handler = pageOf('org/app');
      const [app] = namesIn(await docker('search', '--limit', '5', `${gate.host}/ghcr.io/app`));

      expect([nginx, app]).toEqual(['nginx', 'ghcr.io/org/app']);
      expect(index.requests.map(({ url }) => url)).toEqual([
        '/v1/search?q=nginx&n=25',
        '/v1/search?q=app&n=5',
      ]);
      for (const name of [nginx, app])
        expect(await docker('pull', `${gate.host}/${name}`)).toContain('Downloaded newer image');
    });

    it('is told that a stranger may not search', async () => {
      const gate = await open({});

      const refused = await engine.anotherUser()('search', `${gate.host}/nginx`);

      expect([refused.code, index.requests.length]).toEqual([1, 0]);
      expect(refused.output).toContain('401');
    });

    describe.each(['http', 'https'])('with a login, over %s', (scheme) => {
      const account = { username: unique('user-'), password: unique('pass-') };
      const basic = Buffer.from(`${account.username}:${account.password}`).toString('base64');
      let gate: GateOfMany;

      beforeAll(async () => {
        const accounts = { ACCOUNTS: basic };
        gate = await open(scheme === 'https' ? { ...accounts, ...certificate() } : accounts);
      });

      it('finds images after docker login', async () => {
        const docker = strict(engine.anotherUser());
        const { username, password } = account;
        await docker('login', '--username', username, '--password', password, gate.host);

        expect(namesIn(await docker('search', `${gate.host}/nginx`))).toEqual([
          'nginx',
          'bitnami/nginx',
        ]);
      });

      it('finds images with a password from the configuration file', async () => {
        const folder = freshFolder('docker-config');
        const auths = { [gate.host]: { auth: basic } };
        writeFileSync(join(folder, 'config.json'), JSON.stringify({ auths }));
        const docker = strict(engine.anotherUser());

        const found = await docker('--config', folder, 'search', `${gate.host}/nginx`);

        expect(namesIn(found)).toEqual(['nginx', 'bitnami/nginx']);
      });
    });
  },
);

/** Loopback needs no trust: docker takes any certificate there. */
function certificate(): Record<string, string> {
  const folder = freshFolder('certificate');
  const { key, cert } = selfSigned(['localhost'], ['127.0.0.1']);
  const files = { TLS_KEY_FILE: join(folder, 'key.pem'), TLS_CERT_FILE: join(folder, 'cert.pem') };
  writeFileSync(files.TLS_KEY_FILE, key);
  writeFileSync(files.TLS_CERT_FILE, cert);
  return files;
}
