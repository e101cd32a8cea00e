/**
 * What the README of go-docker-proxy has its users type and expect, with PRESET=go-docker-proxy. Each test says which line it
 * stands for. The whole host table of it and of cloudflare-docker-proxy: test/gate/hosts.spec.ts.
 *
 * Left out, since it is about the old program itself: `git clone`, `go mod tidy`, `go run .`; and the DNS records. Elsewhere:
 * `docker-compose up -d` and the Kubernetes deployment (test/deploy), what is evicted from the cache and when
 * (test/faults/cache-disk.spec.ts).
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { NOWHERE, startDockerd, strict, type Docker } from '../support/clients';
import { startDockerHub, type DockerHub } from '../support/docker-hub';
import { startGate, type Gate, type LogLine } from '../support/gate';
import { askAt, checkConfig, FOR_A_GATE_ALONE, startGateAlone } from '../support/gate-alone';
import { hostsAt } from '../support/host-table';
import { knowing } from '../support/host-names';
import { basic, bearer, errorCode, send } from '../support/http';
import { dockerArchive, imageOf, layersWith } from '../support/images';
import { eventually, freshFolder } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { contentAsked } from '../support/registry-blobs';
import { seed } from '../support/stand';
import { describeWith } from '../support/tools';

const PRESET = 'go-docker-proxy';
const CUSTOM_DOMAIN = 'your-domain.com';
const HUB = `registry.docker.${CUSTOM_DOMAIN}`;
const QUAY = `quay.registry.docker.${CUSTOM_DOMAIN}`;
const GCR = `gcr.registry.docker.${CUSTOM_DOMAIN}`;

/** Each registry of the README's table by its host and the URL that the list of routes shows. */
const PRODUCTION = {
  [HUB]: 'https://registry-1.docker.io',
  [QUAY]: 'https://quay.io',
  [GCR]: 'https://gcr.io',
  [`k8s-gcr.registry.docker.${CUSTOM_DOMAIN}`]: 'https://k8s.gcr.io',
  [`k8s.registry.docker.${CUSTOM_DOMAIN}`]: 'https://registry.k8s.io',
  [`ghcr.registry.docker.${CUSTOM_DOMAIN}`]: 'https://ghcr.io',
  [`cloudsmith.registry.docker.${CUSTOM_DOMAIN}`]: 'https://docker.cloudsmith.io',
  [`ecr.registry.docker.${CUSTOM_DOMAIN}`]: 'https://public.ecr.aws',
  // "简化路由"
  [`docker.${CUSTOM_DOMAIN}`]: 'https://registry-1.docker.io',
  [`hub.${CUSTOM_DOMAIN}`]: 'https://registry-1.docker.io',
  [`registry.${CUSTOM_DOMAIN}`]: 'https://registry-1.docker.io',
};

describeWith(FOR_A_GATE_ALONE, 'go-docker-proxy.md, started', () => {
  it('"CUSTOM_DOMAIN (默认: example.com)", "PORT (默认: 8080)", "CACHE_DIR (默认: ./cache)", "DEBUG (默认: false)": with nothing set', async () => {
    const folder = freshFolder('alone');
    const { listensOn, curl } = await startGateAlone({ PRESET }, { folder });

    const routes = await curl('http://registry.docker.other.com:8080/');

    expect(listensOn).toBe('0.0.0.0:8080');
    expect(Object.keys(routesIn(routes))).toContain('registry.docker.example.com');
    expect(existsSync(join(folder, 'cache'))).toBe(true);
    expect((await checkConfig({ PRESET })).stdout).toMatch(/\nLOG_LEVEL: info\n/);
  });

  it('"curl http://unknown-domain.com:8080/", "Available registry routes": the list of routes', async () => {
    const { curl } = await startGateAlone({ PRESET, CUSTOM_DOMAIN, PORT: '8080' });
    const status = ['--write-out', '\n%{http_code} %{redirect_url}'];

    const [body = '', code] = (await curl(...status, 'http://unknown-domain.com:8080/')).split(
      '\n',
    );
    const [, moved] = (await curl(...status, `http://${HUB}:8080/`)).split('\n');

    expect(code).toBe('404 ');
    expect(JSON.parse(body)).toMatchObject({ message: 'Available registry routes' });
    expect(routesIn(body)).toMatchObject(PRODUCTION);
    // "GET /: 重定向到 /v2/ 或返回路由信息"
    expect(moved).toBe(`301 http://${HUB}:8080/v2/`);
  });

  it('"export CUSTOM_DOMAIN=localhost", "export DEBUG=true", "export PORT=8080": docker., hub. and registry.localhost lead to Docker Hub', async () => {
    const env = { PRESET, CUSTOM_DOMAIN: 'localhost', DEBUG: 'true', PORT: '8080' };
    const { listensOn, curl } = await startGateAlone(env);

    const routes = routesIn(await curl('http://unknown-domain.com:8080/'));

    expect(listensOn).toBe('0.0.0.0:8080');
    for (const host of ['docker.localhost', 'hub.localhost', 'registry.localhost'])
      expect([host, routes[host]]).toEqual([host, 'https://registry-1.docker.io']);
    expect((await checkConfig(env)).stdout).toMatch(/\nLOG_LEVEL: debug\n/);
  });
});

function routesIn(text: string): Record<string, string> {
  return (JSON.parse(text) as { routes: Record<string, string> }).routes;
}

describeWith(
  ['docker-registry', 'htpasswd', 'openssl', 'docker', 'dockerd', 'unshare'],
  'go-docker-proxy.md before Docker Hub, Quay and GCR',
  () => {
    const nginx = imageOf(layersWith(1000));
    const prometheus = imageOf(layersWith(1000));
    const pause = imageOf(layersWith(1000));
    const CACHE_DIR = join(freshFolder('cache-of'), 'cache');
    let hub: DockerHub;
    let quay: DockerHub;
    let gcr: Registry;
    let gate: Gate;
    let engine: Docker;

    beforeAll(async () => {
      [hub, quay, gcr] = await Promise.all([
        startDockerHub({ 'library/nginx:latest': nginx, 'private/app:1': nginx }),
        startDockerHub({ 'prometheus/prometheus:latest': prometheus }),
        startRegistry(),
      ]);
      await seed(gcr, 'google-containers/pause', 'latest', pause);
      gate = await startGate({ PRESET, CUSTOM_DOMAIN, CACHE_DIR, ...registries() });
      const mirror = `${HUB}:${gate.port}`;
      const settings = { 'registry-mirrors': [`http://${mirror}`] };
      const names = [HUB, QUAY, GCR, 'docker.localhost'];
      engine = await startDockerd(settings, NOWHERE, knowing(...names));
      await engine.load(dockerArchive('app:1', layersWith(1000)));
    });

    const registries = () =>
      hub.settings(
        {},
        { name: 'quay.io', url: quay.registry.url },
        { name: 'gcr.io', url: gcr.url },
      );

    const at = (host: string, on = gate) => `${host}:${on.port}`;

    it.each([
      [HUB, 'library/nginx', nginx.digest],
      [QUAY, 'prometheus/prometheus', prometheus.digest],
      [GCR, 'google-containers/pause', pause.digest],
    ])(
      '"docker pull %s/%s:latest": by the full name, without a login',
      async (host, name, digest) => {
        const pulled = await strict(engine.anotherUser())('pull', `${at(host)}/${name}:latest`);

        expect(pulled).toContain(`Digest: ${digest}`);
      },
    );

    it('"registry-mirrors": ["https://registry.docker.your-domain.com"]: Docker Hub by its usual names', async () => {
      const pulled = await strict(engine.docker)('pull', 'nginx:latest');

      expect(pulled).toContain(`Digest: ${nginx.digest}`);
    });

    it('"支持Docker Hub library镜像自动重定向": answered at once under its full name, with its query, at no other registry', async () => {
      const scope = 'repository:nginx:pull';
      const { token } = await tokenAt(HUB, scope);
      const ask = (host: string, path: string) => askAt(gate, at(host), path, bearer(token));

      const manifest = await ask(HUB, '/v2/nginx/manifests/latest');
      const tags = await ask(HUB, '/v2/nginx/tags/list?n=1');

      expect([manifest.status, manifest.body.equals(nginx.manifest)]).toEqual([200, true]);
      expect([tags.status, tags.json()['tags']]).toEqual([200, ['latest']]);
      const elsewhere = await send(`${gate.url}/v2/pause/tags/list`, {
        headers: { host: at(GCR) },
      });
      expect([elsewhere.status, errorCode(elsewhere)]).toEqual([404, 'NAME_UNKNOWN']);
    });

    /** A token at that host, of a reader without a login. */
    async function tokenAt(host: string, scope: string) {
      const answer = await askAt(gate, at(host), `/v2/auth?service=x&scope=${scope}`);
      return answer.json<{ token: string }>();
    }

    it('"GET /v2/", "GET /v2/auth": each host asks for a login at itself, and asks its own registry for the token', async () => {
      const before = [hub, quay].map(({ registry }) => registry.tokens!.asked.length);

      for (const host of [HUB, QUAY]) {
        const refused = await askAt(gate, at(host), '/v2/');
        const { token } = await tokenAt(host, 'repository:prometheus/prometheus:pull');
        expect(refused.headers['www-authenticate']).toContain(`realm="http://${at(host)}/v2/auth"`);
        expect((await askAt(gate, at(host), '/v2/', bearer(token))).status).toBe(200);
      }

      const asked = [hub, quay].map(({ registry }) => registry.tokens!.asked.length);
      expect(asked).toEqual(before.map((count) => count + 1));
    });

    it('"完整的Docker Hub认证处理": docker login, a private image, and a push, which the old one lost', async () => {
      const client = engine.anotherUser();
      const docker = strict(client);
      const { username, password } = hub.owner;
      const name = `${at(HUB)}/private/pushed:1`;

      expect((await client('pull', `${at(HUB)}/private/app:1`)).code).not.toBe(0);
      await docker('login', '-u', username, '-p', password, at(HUB));
      expect(await docker('pull', `${at(HUB)}/private/app:1`)).toContain(nginx.digest);
      await docker('tag', 'app:1', name);
      await docker('push', name);

      const held = await hub.registry.ask('/v2/private/pushed/tags/list');
      expect(held.json()['tags']).toEqual(['1']);
    });

    it('"支持内存缓存和文件缓存双重机制", "自动缓存 manifest 和 blob 数据", "CACHE_DIR": what was pulled once is not asked again', async () => {
      const pull = async () => {
        const docker = strict(engine.anotherUser());
        const name = `${at(QUAY)}/prometheus/prometheus:latest`;
        await docker('pull', name);
        await docker('rmi', '--force', name);
      };
      await pull();
      await pull();

      const asked = await contentAsked(quay.registry, '/prometheus/prometheus/');
      for (const blob of prometheus.blobs.keys())
        expect(asked.filter((each) => each === `GET blobs/${blob}`)).toHaveLength(1);
      const files = readdirSync(CACHE_DIR, { recursive: true }).map(String);
      for (const blob of prometheus.blobs.keys())
        expect(files.some((file) => file.endsWith(blob.slice('sha256:'.length)))).toBe(true);
    });

    it('does not give what is held to those whom the registry does not give it, as the old one did', async () => {
      const scope = 'repository:private/app:pull';
      const query = `/v2/auth?service=x&scope=${scope}`;
      const owners = await askAt(gate, at(HUB), query, basic(hub.owner));
      const path = `/v2/private/app/blobs/${[...nginx.blobs.keys()][0]}`;
      const own = await askAt(gate, at(HUB), path, bearer(owners.json<{ token: string }>().token));
      const { token } = await tokenAt(HUB, scope);

      const other = await askAt(gate, at(HUB), path, bearer(token));

      expect([own.status, other.status]).toEqual([200, 401]);
    });

    describe('"调试模式"', () => {
      let debugging: Gate;

      beforeAll(async () => {
        const target = { TARGET_UPSTREAM: gcr.url, DEBUG: 'true', CUSTOM_DOMAIN: 'localhost' };
        debugging = await startGate({ PRESET, ...registries(), ...target });
      });

      it('"TARGET_UPSTREAM: 调试模式下的默认上游": where an unknown host leads then', async () => {
        const path = '/v2/google-containers/pause/tags/list';

        const answer = await askAt(debugging, 'unknown-domain.com:8080', path);

        expect([answer.status, answer.json()['tags']]).toEqual([200, ['latest']]);
      });

      it('"本地开发路由", "docker.localhost → Docker Hub": docker pulls there', async () => {
        const name = `${at('docker.localhost', debugging)}/library/nginx:latest`;

        expect(await strict(engine.anotherUser())('pull', name)).toContain(nginx.digest);
      });

      it('"调试模式会输出详细的请求日志和路由信息": what each request led to, at which registry, which is not in the log else', async () => {
        const query = '/v2/auth?service=x&scope=repository:nginx:pull';
        const { token } = (await askAt(debugging, 'hub.localhost', query)).json<{
          token: string;
        }>();
        await askAt(debugging, 'hub.localhost', '/v2/nginx/manifests/latest', bearer(token));

        const routed = (logs: LogLine[]) =>
          logs.some(
            ({ msg, upstream, host, path }) =>
              msg === 'asked upstream' &&
              upstream === 'docker.io' &&
              host === hub.registry.host &&
              path === '/v2/library/nginx/manifests/latest',
          );
        await eventually('the log says so', () => routed(debugging.logs()));
        expect(gate.logs().filter(({ msg }) => msg === 'asked upstream')).toEqual([]);
      });
    });
  },
);

it('go-docker-proxy.md "路由配置": every host of the README is one of the table that test/gate/hosts.spec.ts goes through', () => {
  const table = hostsAt(CUSTOM_DOMAIN).map(([host, , url]) => [host, url]);

  expect(table).toEqual(expect.arrayContaining(Object.entries(PRODUCTION)));
});
