/**
 * What the README of docker-image-proxy has its users type and expect, with PRESET=docker-image-proxy: its settings, its
 * examples, and each branch of its flow chart. Each test says which line it stands for.
 *
 * Left out, since it is about the old program itself: `go build`, `git clone`, `go mod tidy`, `go test`; and
 * `systemctl restart docker`: the engine is started with the daemon.json.
 */
import { startDockerd, strict, NOWHERE } from '../support/clients';
import { listed, startDockerHub, type DockerHub } from '../support/docker-hub';
import { FaultServer, json } from '../support/fault-server';
import { runGate, startGate, type Gate } from '../support/gate';
import { askAt, FOR_A_GATE_ALONE, startGateAlone } from '../support/gate-alone';
import {
  askToken,
  basic,
  bearer,
  claimsOf,
  errorCode,
  send,
  tokenFor,
  unique,
  type Account,
  type Answer,
} from '../support/http';
import { imageOf, layersWith } from '../support/images';
import { atTheEnd } from '../support/lifecycle';
import { startRegistry, type Registry } from '../support/registry';
import { manifestOf, ScriptedRegistry } from '../support/scripted-registry';
import { seed, visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const PRESET = 'docker-image-proxy';
const image = imageOf(layersWith(1000));
const [digest = ''] = image.blobs.keys();
const stranger: Account = { username: 'stranger', password: 'never-heard-of' };
/** The defaults of the README, written out; an empty one is not set. */
const DEFAULTS = {
  PORT: '8080',
  UPSTREAM_REGISTRY: 'https://registry-1.docker.io',
  SELF_REGISTRY: 'http://localhost:8080',
  SELF_AUTH_SERVICE: 'docker-image-proxy',
  ACCOUNTS: '',
  SKIP_AUTH_PROXY: 'false',
  SERVER_SECRET: '',
};

const challengeOf = ({ headers }: Answer) => String(headers['www-authenticate']);

describeWith(FOR_A_GATE_ALONE, 'docker-image-proxy.md, started', () => {
  it.each([
    ['"./docker-image-proxy"', {}, '8080', 'registry-1.docker.io'],
    ['"配置", every default written out', DEFAULTS, '8080', 'registry-1.docker.io'],
    [
      '"PORT=5000 UPSTREAM_REGISTRY=https://registry.example.com ./docker-image-proxy"',
      { PORT: '5000', UPSTREAM_REGISTRY: 'https://registry.example.com' },
      '5000',
      'registry.example.com',
    ],
  ])('%s', async (_line, env, port, upstream) => {
    const { listensOn, curl } = await startGateAlone({ PRESET, ...env });

    expect(listensOn).toBe(`0.0.0.0:${port}`);
    expect(JSON.parse(await curl(`http://localhost:${port}`))).toMatchObject({ upstream });
  });
});

describeWith(
  ['docker-registry', 'htpasswd', 'openssl', 'docker', 'dockerd'],
  'docker-image-proxy.md before Docker Hub',
  () => {
    const friend = { username: 'friend', password: unique('friend-') };
    let hub: DockerHub;
    let index: FaultServer;
    let gate: Gate;

    beforeAll(async () => {
      hub = await startDockerHub({ 'library/nginx:latest': image, 'private/app:1': image });
      index = await FaultServer.start({ handler: json(FOUND) });
      atTheEnd(() => index.close());
      gate = await gateWith({});
    });

    const gateWith = (env: Record<string, string>) =>
      startGate({ PRESET, ...hub.settings({ search: index.url.origin }), ...env });

    it('"registry-mirrors": ["http://localhost:8080"], "docker pull nginx:latest", "docker search nginx": by its usual name, without a login', async () => {
      const mirrors = { 'registry-mirrors': [`http://localhost:${gate.port}`] };
      const engine = await startDockerd(mirrors, NOWHERE);
      const docker = strict(engine.docker);

      const pulled = await docker('pull', 'nginx:latest');
      const plain = await engine.docker('search', 'nginx');
      const found = await docker('search', `localhost:${gate.port}/nginx`);

      expect(pulled).toContain(`Digest: ${image.digest}`);
      // "docker search nginx" asks index.docker.io, whatever mirrors there are: the gate has to be named.
      expect([plain.code, plain.output]).toEqual([1, expect.stringContaining('index.docker.io')]);
      expect(found).toMatch(/^nginx\s+Official build of Nginx/m);
      expect(index.requests.map(({ url }) => url)).toEqual(['/v1/search?q=nginx&n=25']);
    });

    it('"curl http://localhost:8080/v2/nginx/tags/list": the tags, once the login that the answer asks for is shown', async () => {
      const refused = await askAt(gate, gate.host, '/v2/nginx/tags/list');
      const [, realm = '', service = '', scope = ''] =
        /^Bearer realm="([^"]+)",service="([^"]+)",scope="([^"]+)"$/.exec(challengeOf(refused)) ??
        [];
      const { token } = (await send(`${realm}?service=${service}&scope=${scope}`)).json<{
        token: string;
      }>();

      const tags = await send(`${gate.url}/v2/nginx/tags/list`, { headers: bearer(token) });

      expect([refused.status, scope]).toEqual([401, 'repository:nginx:pull']);
      expect([tags.status, tags.json()['tags']]).toEqual([200, ['latest']]);
    });

    it('"GET /v2/", "WWW-Authenticate是否为空 → 否": realm is /v2/auth of this service, and the service of the registry is kept', async () => {
      expect(challengeOf(await send(`${gate.url}/v2/`))).toBe(
        `Bearer realm="${gate.url}/v2/auth",service="${hub.registry.tokens!.service}"`,
      );
    });

    it('"SELF_REGISTRY": the realm is below it, whatever the request names as its host', async () => {
      const named = await gateWith({ SELF_REGISTRY: 'https://proxy.example.com' });

      const answers = [await send(`${named.url}/v2/`), await askAt(named, 'evil.example', '/v2/')];

      for (const answer of answers)
        expect(challengeOf(answer)).toContain('realm="https://proxy.example.com/v2/auth"');
    });

    it('"GET /v2/auth", "源站有鉴权服务，使用源站鉴权", "返回源站签名的TOKEN": asks there, and what it gives is good for what the registry says', async () => {
      const before = hub.registry.tokens!.asked.length;

      const { token } = await tokenFor(gate.url, hub.owner, 'repository:private/app:pull');

      expect(hub.registry.tokens!.asked.length).toBe(before + 1);
      const who = visitor(gate, token);
      expect((await who.ask('/v2/private/app/manifests/1')).body.equals(image.manifest)).toBe(true);
      expect((await who.ask(`/v2/private/app/blobs/${digest}`)).status).toBe(200);
      expect((await who.ask('/v2/private/app/tags/list')).json()['tags']).toEqual(['1']);
    });

    it('"不是当前服务签名的TOKEN,跳过中间件", "保留完整请求头": a token that the client fetched at the registry itself reaches it', async () => {
      const { realm, service } = hub.registry.tokens!;
      const query = `service=${service}&scope=repository:private/app:pull`;
      const fetched = await send(`${realm}?${query}`, { headers: basic(hub.owner) });

      const who = visitor(gate, fetched.json<{ token: string }>().token);

      expect((await who.ask('/v2/private/app/manifests/1')).status).toBe(200);
    });

    it('"服务中配置了ACCOUNTS环境变量 → no", "SKIP ACCOUNT CHECKING": the registry alone decides, and refuses a stranger', async () => {
      hub.registry.tokens!.owns(stranger);

      expect((await askToken(gate.url, hub.owner)).status).toBe(200);
      expect((await askToken(gate.url, stranger)).status).toBe(401);
    });

    it('"用户名、密码匹配ACCOUNTS中任意base64字符串": each of them is let through, anybody else is "auth failed" without being relayed', async () => {
      hub.registry.tokens!.owns(friend);
      const limited = await gateWith(listed(friend, hub.owner));
      const scope = 'repository:library/nginx:pull';
      const { token } = await tokenFor(limited.url, hub.owner, scope);
      const before = hub.registry.tokens!.asked.length;

      const refused = [
        await askToken(limited.url, stranger, scope),
        await askToken(limited.url, undefined, scope),
        await askToken(limited.url, { ...hub.owner, password: 'wrong' }, scope),
      ];

      expect(refused.map(({ status }) => status)).toEqual([401, 401, 401]);
      expect(hub.registry.tokens!.asked.length).toBe(before);
      const pulled = await visitor(limited, token).ask('/v2/library/nginx/manifests/latest');
      expect(pulled.status).toBe(200);
      // Listed, and unknown there: the list opens the gate, not the registry.
      expect((await askToken(limited.url, friend, scope)).status).toBe(401);
    });

    describe('"SkipAuthProxy是否为true → 是"', () => {
      let skipping: Gate;

      beforeAll(async () => {
        skipping = await gateWith({ SKIP_AUTH_PROXY: 'true' });
      });

      it('"不做改写": the challenge is the registry’s own, and /v2/auth gives out nothing', async () => {
        const own = await send(`${hub.registry.url}/v2/`);

        expect(challengeOf(await send(`${skipping.url}/v2/`))).toBe(challengeOf(own));
        expect((await askToken(skipping.url, hub.owner)).status).toBe(404);
      });

      it('"本服务没有改写过鉴权，跳过中间件": the client’s header is the registry’s to judge', async () => {
        const { realm, service } = hub.registry.tokens!;
        const query = `service=${service}&scope=repository:private/app:pull`;
        const fetched = await send(`${realm}?${query}`, { headers: basic(hub.owner) });
        const { token } = fetched.json<{ token: string }>();

        const path = '/v2/private/app/manifests/1';

        expect((await visitor(skipping, token).ask(path)).body.equals(image.manifest)).toBe(true);
        expect((await visitor(skipping, `${token}x`).ask(path)).status).toBe(401);
      });

      it('with ACCOUNTS, which had no effect there: refused at start, with the remedy', async () => {
        const { code, stderr } = await runGate({
          PRESET,
          SKIP_AUTH_PROXY: 'true',
          ...listed(hub.owner),
        });

        expect(code).toBe(1);
        expect(stderr).toContain('ACCOUNTS has no effect with AUTH_MODE=passthrough');
        expect(stderr).not.toContain(hub.owner.password);
      });
    });
  },
);

describeWith(
  ['docker-registry'],
  'docker-image-proxy.md before a registry without a login, "WWW-Authenticate是否为空 → 是"',
  () => {
    const friend = { username: 'friend', password: unique('friend-') };
    const SERVER_SECRET = 'a secret that is longer than thirty-two bytes';
    const scope = 'repository:team/app:pull';
    let registry: Registry;
    let gate: Gate;
    let limited: Gate;

    beforeAll(async () => {
      registry = await startRegistry();
      await seed(registry, 'team/app', '1', image);
      [gate, limited] = await Promise.all([gateWith({}), gateWith(listed(friend))]);
    });

    const gateWith = (env: Record<string, string>) =>
      startGate({ PRESET, UPSTREAM_REGISTRY: registry.url, SERVER_SECRET, ...env });

    it('"新增WWW-Authenticate响应头，realm为当前服务/v2/auth路径，service为SelfAuthService"', async () => {
      const named = await gateWith({ SELF_AUTH_SERVICE: 'my-service' });

      expect(challengeOf(await send(`${gate.url}/v2/`))).toBe(
        `Bearer realm="${gate.url}/v2/auth",service="docker-image-proxy"`,
      );
      expect(challengeOf(await send(`${named.url}/v2/`))).toContain('service="my-service"');
      const { token } = await tokenFor(named.url, stranger, scope);
      expect(claimsOf(token)['iss']).toBe('my-service');
    });

    it('"源站没有鉴权，使用本站鉴权", "返回本站签名的TOKEN", "HMAC-SHA256", "ISS字段": the gate signs by itself, and knows its own', async () => {
      const { token } = await tokenFor(gate.url, stranger, scope);

      const [head = ''] = token.split('.');
      expect(JSON.parse(Buffer.from(head, 'base64url').toString())).toMatchObject({ alg: 'HS256' });
      expect(claimsOf(token)['iss']).toBe('docker-image-proxy');
      const who = visitor(gate, token);
      expect((await who.ask('/v2/')).status).toBe(200);
      expect((await who.ask('/v2/team/app/manifests/1')).body.equals(image.manifest)).toBe(true);
    });

    it('"GET /v2/_catalog", "GET /v2/:name/tags/list", "manifests/:reference", "blobs/:digest"', async () => {
      const { token } = await tokenFor(gate.url, stranger, scope, 'registry:catalog:*');
      const who = visitor(gate, token);

      expect((await who.ask('/v2/_catalog')).json()).toEqual({ repositories: ['team/app'] });
      expect((await who.ask('/v2/team/app/tags/list')).json()).toEqual({
        name: 'team/app',
        tags: ['1'],
      });
      expect((await who.ask(`/v2/team/app/manifests/${image.digest}`)).status).toBe(200);
      const blob = await who.ask(`/v2/team/app/blobs/${digest}`);
      expect(blob.body.equals(image.blobs.get(digest)!)).toBe(true);
    });

    it('"curl http://localhost:8080/v2/…/tags/list": as typed, where the registry asks nobody for a login', async () => {
      expect((await send(`${gate.url}/v2/team/app/tags/list`)).json()['tags']).toEqual(['1']);
    });

    it('"ACCOUNTS: 如果配置了，必须用相应账号名和密码进行调用，否则会报错": on deep paths, too, where it did not', async () => {
      const { token } = await tokenFor(limited.url, friend, scope);

      const pulled = await visitor(limited, token).ask('/v2/team/app/manifests/1');

      expect(pulled.status).toBe(200);
      expect((await askToken(limited.url, stranger, scope)).status).toBe(401);
      expect((await send(`${limited.url}/v2/team/app/manifests/1`)).status).toBe(401);
    });

    it('"TOKEN签名教研是否合法 → 否", "非法请求，结束请求": a forged one never reaches the registry', async () => {
      const { token } = await tokenFor(gate.url, stranger, scope);
      const [head, claims] = token.split('.');
      const before = (await registry.requests()).length;

      const answer = await visitor(gate, `${head}.${claims}.${'A'.repeat(43)}`).ask(
        '/v2/team/app/manifests/1',
      );

      expect([answer.status, errorCode(answer)]).toEqual([401, 'UNAUTHORIZED']);
      expect((await registry.requests()).length).toBe(before);
    });

    it('"SERVER_SECRET": gates with the same one take each other’s tokens, others do not; kept over a restart where it is not set', async () => {
      const { token } = await tokenFor(gate.url, stranger, scope);
      const [same, other] = await Promise.all([gateWith({}), gateWith({ SERVER_SECRET: '' })]);
      const own = await tokenFor(other.url, stranger, scope);

      await other.restart();

      const pull = async (at: Gate, text: string) =>
        (await visitor(at, text).ask('/v2/team/app/manifests/1')).status;
      expect([await pull(same, token), await pull(other, token)]).toEqual([200, 401]);
      expect(await pull(other, own.token)).toBe(200);
    });

    it('"SERVER_SECRET" of less than 32 bytes is refused at start, with the remedy and without the secret', async () => {
      const { code, stderr } = await runGate({ PRESET, SERVER_SECRET: 'too-short-a-secret' });

      expect(code).toBe(1);
      expect(stderr).toMatch(/SERVER_SECRET is too short; give at least 32 bytes/);
      expect(stderr).not.toContain('too-short-a-secret');
    });
  },
);

it('docker-image-proxy.md "上下文中是否绑定了token → 是", "从请求头中去除authrozation头": the registry sees no token of the gate’s own', async () => {
  const registry = await ScriptedRegistry.start();
  registry.manifest('team/app', '1', manifestOf([]));
  const gate = await startGate({ PRESET, ...registry.settings });
  const { token } = await tokenFor(gate.url, stranger, 'repository:team/app:pull');

  const answer = await visitor(gate, token).ask('/v2/team/app/manifests/1');

  expect(answer.status).toBe(200);
  expect(registry.asked('manifests').length).toBeGreaterThan(0);
});

const FOUND = {
  num_pages: 1,
  num_results: 1,
  page: 1,
  page_size: 25,
  query: 'nginx',
  results: [
    {
      name: 'nginx',
      description: 'Official build of Nginx',
      star_count: 1,
      is_official: true,
      is_automated: false,
    },
  ],
};
