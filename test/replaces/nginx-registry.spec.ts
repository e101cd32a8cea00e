/**
 * What the README of nginx + registry:2 + Traefik (nginx-registry-traefik.md) has its users type and expect, with
 * PRESET=nginx-registry. Each test says which line it stands for. nginx with TLS stands where Traefik stood.
 *
 * Elsewhere: `.env` with TRAEFIK_NETWORK, TRAEFIK_CERTRESOLVER and TRAEFIK_ENTRYPOINT, the labels and `docker-compose up -d`
 * (test/deploy/compose.spec.ts); several registries at once (test/clients/four-ways.spec.ts), rights of each user and
 * credentials for private images (test/gate/rights.spec.ts), which it could not do. Left out, since it is about docker and Traefik themselves: `docker network create`,
 * `docker-compose ps`, `docker volume rm`, what may be wrong with certificates; and `worker_processes`, which the gate has not.
 */
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { startDockerd, strict, type Docker } from '../support/clients';
import { startDockerHub, type DockerHub } from '../support/docker-hub';
import { startGate, type Gate } from '../support/gate';
import { checkConfig, FOR_A_GATE_ALONE, startGateAlone } from '../support/gate-alone';
import { knowing } from '../support/host-names';
import {
  askToken,
  basic,
  bearer,
  errorCode,
  send,
  tokenFor,
  unique,
  type Account,
} from '../support/http';
import { imageOf, layersWith, MIB } from '../support/images';
import { atTheEnd, eventually, freshFolder } from '../support/lifecycle';
import { succeed } from '../support/processes';
import { proxyPorts, startNginx, type ProxyPorts } from '../support/reverse-proxy';
import { describeWith, type Tool } from '../support/tools';

const PRESET = 'nginx-registry';
const DOMAIN = 'docker-proxy.yourdomain.com';

const newUser = (): Account => ({ username: unique('user-'), password: unique('pass-') });

/** `htpasswd -Bbn <username> <password> >> auth/htpasswd`, as the README has it and setup.sh does it. */
async function addUser(folder: string, { username, password }: Account): Promise<void> {
  const line = await succeed('htpasswd', ['-Bbn', username, password]);
  appendFileSync(join(folder, 'auth/htpasswd'), line);
}

/** The folder of the old set-up, with its users. */
async function setUp(...users: Account[]): Promise<string> {
  const folder = freshFolder('old-set-up');
  mkdirSync(join(folder, 'auth'));
  for (const user of users) await addUser(folder, user);
  return folder;
}

describeWith(
  [...FOR_A_GATE_ALONE, 'htpasswd'] satisfies Tool[],
  'nginx-registry-traefik.md, started',
  () => {
    it('"./setup.sh", "docker-compose up -d", "curl http://localhost/health": port 80, the users that there were, none of them an administrator, and its health', async () => {
      const user = { ...newUser(), username: 'admin' };
      const folder = await setUp(user);
      const { listensOn, curl } = await startGateAlone({ PRESET }, { folder });
      const code = ['--output', '/dev/null', '--write-out', '%{http_code}'];
      const login = ['--user', `${user.username}:${user.password}`];

      expect(listensOn).toBe('0.0.0.0:80');
      expect(await curl(...code, 'http://localhost/health')).toBe('200');
      expect(await curl(...code, ...login, 'http://localhost/v2/')).toBe('200');
      expect(await curl(...code, ...login, 'http://localhost/admin/users')).toBe('403');
      expect(await curl(...code, 'http://localhost/v2/')).toBe('401');
    });

    it.each([
      ['"个人使用": rate=10r/s, burst=20, conn=10, with nothing set', {}, '10', '20', '10'],
      [
        '"小团队": rate=20r/s, burst=50, conn=20',
        { RATE_LIMIT: '20', RATE_BURST: '50', MAX_CONNECTIONS: '20' },
        '20',
        '50',
        '20',
      ],
      [
        '"中等规模": rate=50r/s, burst=100, conn=50',
        { RATE_LIMIT: '50', RATE_BURST: '100', MAX_CONNECTIONS: '50' },
        '50',
        '100',
        '50',
      ],
    ])('"建议值" %s', async (_line, env, rate, burst, connections) => {
      const { code, stdout } = await checkConfig({ PRESET, ...env }, await setUp());

      expect(code).toBe(0);
      expect(stdout).toContain(`\nRATE_LIMIT: ${rate}/s\nRATE_BURST: ${burst}\n`);
      expect(stdout).toContain(`\nMAX_CONNECTIONS: ${connections}\n`);
      expect(stdout).toContain('\nAUTH_MODE: accounts\n');
    });

    it('"REGISTRY_DOMAIN=docker-proxy.yourdomain.com", "remoteurl: https://gcr.io": the name by which clients come, and another registry', async () => {
      const folder = await setUp();
      const env = { PRESET, REGISTRY_DOMAIN: DOMAIN, UPSTREAM_REGISTRY: 'https://gcr.io' };
      const { curl } = await startGateAlone(env, { folder });

      const refused = await curl('--include', 'http://localhost/v2/');

      expect(refused).toContain(`realm="https://${DOMAIN}/v2/auth"`);
      expect(JSON.parse(await curl('http://localhost/'))).toMatchObject({ upstream: 'gcr.io' });
    });

    it('"htpasswd -Bbn <username> <password> >> auth/htpasswd", a second time for one user: refused with both lines, where registry:2 took the last', async () => {
      const user = newUser();
      const folder = await setUp(user, { ...user, password: unique('newer-') });

      const { code, stderr } = await checkConfig({ PRESET }, folder);

      expect(code).toBe(1);
      expect(stderr).toMatch(/line \d+.* line 1 once more; delete one of the two lines/);
      expect(stderr).not.toContain('$2y$');
    });

    it('"无法登录": 检查 `auth/htpasswd`: a folder that is not there is told at start, with the remedy', async () => {
      const { code, stderr } = await checkConfig({ PRESET });

      expect(code).toBe(1);
      expect(stderr).toContain('HTPASSWD_FILE=');
      expect(stderr).toContain(
        '/auth/htpasswd" lies in a folder that is not there; make the folder',
      );
    });
  },
);

describeWith(
  ['docker-registry', 'htpasswd', 'openssl', 'docker', 'dockerd', 'nginx', 'unshare'],
  'nginx-registry-traefik.md, used',
  () => {
    const user = newUser();
    const official = imageOf(layersWith(1000));
    const bitnami = imageOf(layersWith(1000));
    const large = imageOf(layersWith(32 * MIB));
    let folder: string;
    let hub: DockerHub;
    let ports: ProxyPorts;
    let gate: Gate;
    let engine: Docker;

    beforeAll(async () => {
      folder = await setUp(user);
      hub = await startDockerHub({
        'library/nginx:alpine': official,
        'bitnami/nginx:latest': bitnami,
        'large/app:1': large,
      });
      ports = await proxyPorts();
      const REGISTRY_DOMAIN = `${DOMAIN}:${ports.tls}`;
      const env = { PRESET, REGISTRY_DOMAIN, TRUST_PROXY: 'loopback', ...hub.settings() };
      gate = await startGate(env, ['env', '-C', folder]);
      await startNginx(ports, gate);
      engine = await startDockerd({}, {}, knowing(DOMAIN));
    });

    const at = () => `${DOMAIN}:${ports.tls}`;
    const login = ({ username, password }: Account) => [
      'login',
      '--username',
      username,
      '--password',
      password,
      at(),
    ];

    it('"docker login docker-proxy.yourdomain.com", "docker pull …/library/nginx:alpine", "docker pull …/bitnami/nginx:latest"', async () => {
      const docker = strict(engine.anotherUser());

      expect(await docker(...login(user))).toContain('Login Succeeded');
      expect(await docker('pull', `${at()}/library/nginx:alpine`)).toContain(official.digest);
      expect(await docker('pull', `${at()}/bitnami/nginx:latest`)).toContain(bitnami.digest);
    });

    it('"官方镜像需要加 `library/` 前缀": it may be left out', async () => {
      const docker = strict(engine.anotherUser());
      await docker(...login(user));

      expect(await docker('pull', `${at()}/nginx:alpine`)).toContain(official.digest);
    });

    it('"docker login 失败，提示 `unauthorized`", "防止未授权访问": with a wrong password, and without a login', async () => {
      const client = engine.anotherUser();

      const refused = await client(...login({ ...user, password: 'wrong' }));
      const pulled = await client('pull', `${at()}/library/nginx:alpine`);

      expect([refused.code, pulled.code]).toEqual([1, 1]);
      expect(refused.output).toMatch(/unauthorized|incorrect username or password/i);
      expect(pulled.output).not.toContain('Digest:');
    });

    it('"添加更多用户": `htpasswd -Bbn … >> auth/htpasswd` counts without a restart; "删除用户": so does the line that is taken out, for tokens, too', async () => {
      const alice = newUser();
      const listed = async () => (await gate.rest('GET', `/users/${alice.username}`)).status;

      await addUser(folder, alice);
      await eventually('she is known', async () => (await listed()) === 200);
      const { token } = await tokenFor(gate.url, alice, 'repository:library/nginx:pull');
      const ask = () =>
        send(`${gate.url}/v2/library/nginx/manifests/alpine`, { headers: bearer(token) });
      const before = await ask();

      const file = join(folder, 'auth/htpasswd');
      const lines = readFileSync(file, 'utf8').split('\n');
      const kept = lines.filter((line) => !line.startsWith(`${alice.username}:`));
      writeFileSync(file, kept.join('\n'));
      await eventually('she is gone', async () => (await listed()) !== 200);

      expect([before.status, (await ask()).status]).toEqual([200, 401]);
      expect((await askToken(gate.url, alice)).status).toBe(401);
      expect((await askToken(gate.url, user)).status).toBe(200);
    });

    it('"rate=10r/s", burst=20, "503 Service Temporarily Unavailable": a stranger over it gets 429 with Retry-After, which clients wait for', async () => {
      const from = '127.0.0.30';
      const began = performance.now();

      const knocks = Array.from({ length: 80 }, () => send(`${gate.url}/v2/`, { from }));
      const answers = await Promise.all(knocks);

      const filled = Math.ceil((performance.now() - began) / 100);
      const [let_in, refused] = [401, 429].map((code) =>
        answers.filter(({ status }) => status === code),
      );
      expect(let_in!.length + refused!.length).toBe(80);
      expect(let_in!.length).toBeGreaterThanOrEqual(20);
      expect(let_in!.length).toBeLessThanOrEqual(20 + filled);
      for (const answer of refused!) {
        expect(errorCode(answer)).toBe('TOOMANYREQUESTS');
        expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0);
      }
      // "检查 Nginx 日志中的 `limiting requests` 消息"
      await eventually('it is in the log', () =>
        gate.logs().some(({ code, address }) => code === 'TOOMANYREQUESTS' && address === from),
      );
    });

    it('"rate=10r/s": a user over it waits for the turn, and loses no pull', async () => {
      const sending = { headers: basic(user), from: '127.0.0.31' };
      const path = `${gate.url}/v2/library/nginx/manifests/alpine`;

      const answers = await Promise.all(Array.from({ length: 35 }, () => send(path, sending)));

      expect([...new Set(answers.map(({ status }) => status))]).toEqual([200]);
    });

    it('"limit_conn_zone", conn=10: the eleventh transfer of a user waits until one of the ten ends', async () => {
      const digest = [...large.blobs].find(([, bytes]) => bytes.length > MIB)![0];
      const path = `${gate.url}/v2/large/app/blobs/${digest}`;
      const ten = await Promise.all(Array.from({ length: 10 }, () => begin(path)));
      let answered = false;
      const eleventh = begin(path).finally(() => (answered = true));

      // Other requests of the same user pass meanwhile.
      const sending = { method: 'HEAD', headers: basic(user), from: CALM };
      for (const _ of [1, 2, 3]) expect((await send(path, sending)).status).toBe(200);
      expect([ten.map(({ statusCode }) => statusCode), answered]).toEqual([
        Array(10).fill(200),
        false,
      ]);

      ten[0]!.destroy();

      expect((await eleventh).statusCode).toBe(200);
    });

    /** Begins a download, and reads none of it. */
    function begin(path: string): Promise<IncomingMessage> {
      return new Promise((resolve, reject) => {
        const outgoing = request(path, { agent: false, headers: basic(user), localAddress: CALM });
        atTheEnd(() => outgoing.destroy());
        outgoing.on('response', (response) => resolve(response.on('error', () => undefined)));
        outgoing.on('error', reject).end();
      });
    }

    it('"docker-compose logs -f", "tail -f access.log": each request with who asked for what, from where', async () => {
      const sending = { headers: basic(user), from: '127.0.0.32' };
      await send(`${gate.url}/v2/bitnami/nginx/manifests/latest`, sending);

      const line = await eventually('it is in the log', () =>
        gate.logs().find(({ msg, address }) => msg === 'request' && address === sending.from),
      );

      expect(line).toMatchObject({
        method: 'GET',
        account: user.username,
        repository: 'docker.io/bitnami/nginx',
        status: 200,
      });
    });

    it('"清理临时数据": what is held is let go while the gate runs, and pulled again', async () => {
      const path = `${gate.url}/v2/library/nginx/manifests/alpine`;
      await send(path, { headers: basic(user) });

      const cleared = await gate.rest('DELETE', '/cache');
      const again = await send(path, { headers: basic(user) });

      expect(cleared.status).toBe(204);
      expect(again.status).toBe(200);
      expect(again.headers['cache-status']).not.toContain('hit');
    });
  },
);

/** An address that no other test asks from. */
const CALM = '127.0.0.40';
