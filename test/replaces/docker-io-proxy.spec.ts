/**
 * What the README of docker-io-proxy has its users type and expect, with PRESET=docker-io-proxy. Each test says which line it
 * stands for.
 *
 * Left out, since it is about the old program itself: `git clone`, `mvn clean package`, Java. Elsewhere: the systemd unit
 * (test/deploy/systemd.spec.ts). `systemctl restart docker`, `systemctl restart nginx`: they are started with those files.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { containerTool, NOWHERE, startDockerd, strict } from '../support/clients';
import { startDockerHub, type DockerHub } from '../support/docker-hub';
import { startGate, type Gate } from '../support/gate';
import { askAt, FOR_A_GATE_ALONE, startGateAlone } from '../support/gate-alone';
import { knowing } from '../support/host-names';
import { basic, bearer, send, type TokenAnswer } from '../support/http';
import { imageOf, indexOf, layersWith } from '../support/images';
import { eventually, freshFolder } from '../support/lifecycle';
import { prepareOldNginx, startOldNginx, type OldNginx } from '../support/old-nginx';
import { describeWith } from '../support/tools';

const PRESET = 'docker-io-proxy';
const NAME = 'docker.max-kb.com';
const REPOSITORY = '1panel/openresty';
const TAG = '1.27.1.2-0-1-focal';
const IMAGE = `${REPOSITORY}:${TAG}`;

/** "Nginx 反向代理配置", as it stands there. */
const NGINX = (gate: Gate) => `
server {
  listen 80;
  server_name docker.max-kb.com;

  location / {
    proxy_pass http://127.0.0.1:${gate.port};
    proxy_pass_header Set-Cookie;
    proxy_set_header Host $host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto https;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection "upgrade";
    error_log  /var/log/nginx/backend.error.log;
    access_log  /var/log/nginx/backend.access.log;
  }
}
`;

/** "Podman（registries.conf 配置）", as it stands there but for the port. */
const REGISTRIES = (at: string) => `
short-name-mode = "permissive"
unqualified-search-registries = [
  "${at}",
  "registry.access.redhat.com",
  "registry.redhat.io",
  "docker.io"
]
[[registry]]
prefix = "${at}"
location = "${at}"
insecure = false
`;

describeWith(FOR_A_GATE_ALONE, 'docker-io-proxy.md, started', () => {
  it.each([
    ['"默认监听 8004 端口"', [], '8004'],
    ['"java -jar … --server.port=8004", the systemd unit’s ExecStart', ['8004'], '8004'],
    ['"如需指定端口，可替换 --server.port 参数值"', ['8010'], '8010'],
  ])('%s', async (_line, ports, expected) => {
    const args = ports.map((port) => `--server.port=${port}`);
    const { listensOn, curl } = await startGateAlone({ PRESET }, { args });

    expect(listensOn).toBe(`0.0.0.0:${expected}`);
    expect(JSON.parse(await curl(`http://${NAME}:${expected}`))).toMatchObject({ status: 'ok' });
  });
});

describeWith(
  [
    'docker-registry',
    'htpasswd',
    'openssl',
    'docker',
    'dockerd',
    'podman',
    'skopeo',
    'nginx',
    'unshare',
  ],
  'docker-io-proxy.md, used',
  () => {
    const platforms = {
      amd64: imageOf(layersWith(1000), 'amd64'),
      arm64: imageOf(layersWith(1000), 'arm64'),
    };
    const index = indexOf(platforms);
    let hub: DockerHub;
    let gate: Gate;
    let nginx: OldNginx;

    beforeAll(async () => {
      hub = await startDockerHub({ [IMAGE]: index, 'private/app:1': platforms.amd64 });
      [gate, nginx] = await behindNginx(({ plain }) => ({
        PUBLIC_URL: `http://${NAME}:${plain}`,
        TRUST_PROXY: 'loopback',
      }));
    });

    /** A gate behind the README's nginx, with these settings of its own. */
    async function behindNginx(
      env: (ports: OldNginx) => Record<string, string>,
    ): Promise<[Gate, OldNginx]> {
      const ports = await prepareOldNginx(NAME);
      const behind = await startGate({ PRESET, ...env(ports), ...hub.settings() });
      await startOldNginx(ports, NGINX(behind));
      return [behind, ports];
    }

    const query = `scope=repository:${REPOSITORY}:pull&service=registry.docker.io`;

    it('"registry-mirrors": ["http://docker.max-kb.com"], "insecure-registries", "proxy_pass http://127.0.0.1:8004", "docker pull 1panel/openresty:1.27.1.2-0-1-focal"', async () => {
      const at = `${NAME}:${nginx.plain}`;
      const daemon = { 'registry-mirrors': [`http://${at}`], 'insecure-registries': [at] };
      const { docker } = await startDockerd(daemon, NOWHERE, knowing(NAME));

      expect(await strict(docker)('pull', IMAGE)).toContain(`Digest: ${index.digest}`);
      // "无需重启服务即可生效", by its full name.
      expect(await strict(docker)('pull', `${at}/${IMAGE}`)).toContain(`Digest: ${index.digest}`);
    });

    it('"podman pull docker.max-kb.com/1panel/openresty:1.27.1.2-0-1-focal", "保存配置后立即生效": by TLS, as `insecure = false` asks for, and by its short name', async () => {
      const [, { tls, certificates }] = await behindNginx((ports) => ({
        PUBLIC_URL: `https://${NAME}:${ports.tls}`,
        TRUST_PROXY: 'loopback',
      }));
      const at = `${NAME}:${tls}`;
      const file = join(freshFolder('containers'), 'registries.conf');
      writeFileSync(file, REGISTRIES(at));
      const env = { ...NOWHERE, NO_PROXY: NAME, CONTAINERS_REGISTRIES_CONF: file };
      const podman = strict(containerTool('podman', env, knowing(NAME)));

      for (const [name, arch] of [
        [`${at}/${IMAGE}`, 'amd64'],
        [IMAGE, 'arm64'],
      ] as const) {
        await podman('pull', '--cert-dir', certificates, '--arch', arch, name);
        const inspected = await podman('image', 'inspect', `${at}/${IMAGE}`);
        expect(JSON.parse(inspected)).toMatchObject([{ Architecture: arch }]);
      }
    });

    it('"Nginx 反向代理配置" with PRESET and nothing else: on port 80 the gate is known by the name that nginx passes on', async () => {
      const [, { plain }] = await behindNginx(() => ({}));

      const refused = await send(`http://127.0.0.1:${plain}/v2/`, { headers: { host: NAME } });

      expect(refused.headers['www-authenticate']).toContain(`realm="http://${NAME}/v2/auth"`);
    });

    it('"镜像拉取完整流程", "获取索引清单", "选择平台清单", "拉取镜像配置文件", "依次拉取各层 layer": each to the byte', async () => {
      const token = await send(`${gate.url}/token?${query}`);
      const headers = bearer(token.json<TokenAnswer>().token);
      const ask = (rest: string) => send(`${gate.url}/v2/${REPOSITORY}/${rest}`, { headers });

      const list = await ask(`manifests/${TAG}`);
      expect([list.status, list.body.equals(index.manifest)]).toEqual([200, true]);
      expect(list.headers['content-type']).toBe(index.mediaType);
      const { manifests } = list.json<{ manifests: { digest: string }[] }>();
      expect(manifests.map(({ digest }) => digest)).toEqual(
        Object.values(platforms).map(({ digest }) => digest),
      );
      for (const platform of Object.values(platforms)) {
        const manifest = await ask(`manifests/${platform.digest}`);
        expect(manifest.body.equals(platform.manifest)).toBe(true);
        const { config, layers } = manifest.json<Parts>();
        for (const { digest } of [config, ...layers])
          expect((await ask(`blobs/${digest}`)).body.equals(platform.blobs.get(digest)!)).toBe(
            true,
          );
      }
    });

    it('"GET https://docker.max-kb.com/token?scope=…&service=registry.docker.io": a token without a login, as from /v2/auth', async () => {
      for (const path of ['/token', '/v2/auth']) {
        const answer = await askAt(gate, NAME, `${path}?${query}`);
        const { token, access_token: same, expires_in: life } = answer.json<TokenAnswer>();

        expect([answer.status, same]).toEqual([200, token]);
        expect(life).toBeGreaterThanOrEqual(60);
        const pulled = await askAt(gate, NAME, `/v2/${REPOSITORY}/manifests/${TAG}`, bearer(token));
        expect(pulled.status).toBe(200);
      }
    });

    it('"Token 请求…仍会默认走官方 auth.docker.io": the token that a client fetched there is good at the gate, too, and its own realm is the gate', async () => {
      const fetched = await send(`${hub.registry.tokens!.realm}?${query}`);
      const { token } = fetched.json<TokenAnswer>();

      const path = `/v2/${REPOSITORY}/manifests/${TAG}`;
      const pulled = await askAt(gate, NAME, path, bearer(token));
      const refused = await askAt(gate, NAME, '/v2/');

      expect(pulled.status).toBe(200);
      expect(refused.headers['www-authenticate']).toContain(
        `realm="http://${NAME}:${nginx.plain}/v2/auth"`,
      );
    });

    it('"简单处理公开镜像的 JWT Token 转发": a private one needs its owner’s login, at /token, too', async () => {
      const asked = '/token?service=registry.docker.io&scope=repository:private/app:pull';
      const tokens = [
        await askAt(gate, NAME, asked),
        await askAt(gate, NAME, asked, basic(hub.owner)),
      ];

      const pulls = tokens.map((each) => {
        const headers = bearer(each.json<TokenAnswer>().token);
        return askAt(gate, NAME, '/v2/private/app/manifests/1', headers);
      });

      expect((await Promise.all(pulls)).map(({ status }) => status)).toEqual([401, 200]);
    });

    it('"观察 proxy 日志确认是否有 `/v2/` 请求": each is a line of the log, by what it asks for and of which repository', async () => {
      const from = '127.0.0.33';
      const { token } = (await askAt(gate, NAME, `/token?${query}`)).json<TokenAnswer>();
      for (const path of ['/v2/', `/v2/${REPOSITORY}/manifests/${TAG}`])
        await send(`${gate.url}${path}`, { headers: bearer(token), from });

      const lines = await eventually('they are in the log', () => {
        const own = gate.logs().filter(({ msg, address }) => msg === 'request' && address === from);
        return own.length === 2 && own;
      });

      expect(lines).toMatchObject([
        { method: 'GET', noun: 'base', status: 200 },
        { method: 'GET', noun: 'manifest', repository: `docker.io/${REPOSITORY}`, status: 200 },
      ]);
      expect(gate.output()).not.toContain(token);
    });
  },
);

interface Parts {
  config: { digest: string };
  layers: { digest: string }[];
}
