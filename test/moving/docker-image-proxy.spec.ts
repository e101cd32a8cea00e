/** What the README of docker-image-proxy has its users set and type, at a gate with PRESET=docker-image-proxy. */
import { NOWHERE, startDockerd, strict, type Docker } from '../support/clients';
import { FaultServer, json } from '../support/fault-server';
import { freePort } from '../support/free-port';
import { startGate, type Gate } from '../support/gate';
import { basic, bearer, claimsOf, send, type TokenAnswer } from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { atTheEnd } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { configFile } from '../support/several-registries';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const PRESET = 'docker-image-proxy';
const image = imageOf(layersWith(20_000));
const KNOWN = { username: 'ann', password: 'ann-secret' };
const ACCOUNTS = Buffer.from(`${KNOWN.username}:${KNOWN.password}`).toString('base64');

describeWith(
  ['docker-registry', 'openssl', 'docker', 'dockerd'],
  'PRESET=docker-image-proxy does what its README says',
  () => {
    /** Without authentication, and with a token service. */
    let open: Registry;
    let closed: Registry;

    beforeAll(async () => {
      [open, closed] = await Promise.all([startRegistry(), startRegistry({ auth: 'token' })]);
      for (const registry of [open, closed]) await seed(registry, 'library/nginx', 'latest', image);
    });

    describe('for users', () => {
      let index: FaultServer;
      let gate: Gate;
      let engine: Docker;

      beforeAll(async () => {
        const found = [{ name: 'nginx', description: '', star_count: 1 }];
        index = await FaultServer.start({ handler: json({ num_results: 1, results: found }) });
        atTheEnd(() => index.close());
        const hub = { name: 'docker.io', url: open.url, search: index.url.origin };
        gate = await startGate({ PRESET, ...configFile(hub) });
        engine = await startDockerd({ 'registry-mirrors': [gate.url] }, NOWHERE);
      });

      it('"registry-mirrors": […]; docker pull nginx:latest', async () => {
        const told = await strict(engine.docker)('pull', 'nginx:latest');

        expect(told).toContain(`Digest: ${image.digest}`);
      });

      it('docker search nginx', async () => {
        expect(await strict(engine.docker)('search', `${gate.host}/nginx`)).toMatch(/^nginx /m);
      });

      it('curl http://localhost:8080/v2/nginx/tags/list', async () => {
        const { status, text } = await send(`${gate.url}/v2/nginx/tags/list`);

        expect([status, JSON.parse(text)]).toEqual([200, { name: 'nginx', tags: ['latest'] }]);
      });

      it('GET /v2/_catalog, with a token that anybody is given', async () => {
        const query = 'service=docker-image-proxy&scope=registry:catalog:*';
        const granted = await send(`${gate.url}/v2/auth?${query}`);
        const headers = bearer(granted.json<TokenAnswer>().token);

        const { status, text } = await send(`${gate.url}/v2/_catalog`, { headers });

        expect([status, JSON.parse(text)]).toEqual([200, { repositories: ['library/nginx'] }]);
      });
    });

    it('PORT=5000 UPSTREAM_REGISTRY=https://registry.example.com ./docker-image-proxy', async () => {
      const port = await freePort();

      const gate = await startGate({ PRESET, PORT: String(port), UPSTREAM_REGISTRY: closed.url });

      const { status, headers } = await send(`http://127.0.0.1:${port}/v2/`);
      expect([gate.port, status]).toEqual([port, 401]);
      // The registry's own service, and a realm that is here.
      expect(headers['www-authenticate']).toMatch(
        `Bearer realm="${gate.url}/v2/auth",service="${closed.tokens!.service}"`,
      );
    });

    it('SELF_REGISTRY, SELF_AUTH_SERVICE, SERVER_SECRET: before a registry without authentication', async () => {
      const gate = await startGate({
        PRESET,
        UPSTREAM_REGISTRY: open.url,
        SELF_REGISTRY: 'https://proxy.example.com',
        SERVER_SECRET: 'a secret of the tests, which is long enough',
        ACCOUNTS,
      });

      const challenge = (await send(`${gate.url}/v2/`)).headers['www-authenticate'];
      const query = 'service=docker-image-proxy&scope=repository:library/nginx:pull';
      const answer = await send(`${gate.url}/v2/auth?${query}`, { headers: basic(KNOWN) });

      expect(challenge).toContain(
        'realm="https://proxy.example.com/v2/auth",service="docker-image-proxy"',
      );
      expect(claimsOf(answer.json<TokenAnswer>().token)['iss']).toBe('docker-image-proxy');
    });

    it('ACCOUNTS: who is not listed fails', async () => {
      const env = { PRESET, UPSTREAM_REGISTRY: open.url, ACCOUNTS };
      const gate = await startGate(env);
      const ask = (password: string) =>
        send(`${gate.url}/v2/auth`, { headers: basic({ ...KNOWN, password }) });

      expect([(await ask(KNOWN.password)).status, (await ask('wrong')).status]).toEqual([200, 401]);
    });

    it('SKIP_AUTH_PROXY=true: the authentication of the registry is used directly', async () => {
      const env = { PRESET, UPSTREAM_REGISTRY: closed.url, SKIP_AUTH_PROXY: 'true' };
      const gate = await startGate(env);

      const { headers } = await send(`${gate.url}/v2/`);

      expect(headers['www-authenticate']).toContain(`realm="${closed.tokens!.realm}"`);
    });
  },
);
