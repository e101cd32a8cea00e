/**
 * What the README of dockerpush has its users type and expect, with PRESET=dockerpush. Each test says which line it stands for.
 *
 * Left out, since it is about the old program itself: `go build -o dockerpush`, `docker build -t dockerpush .`. Elsewhere: the
 * systemd unit (test/deploy/systemd.spec.ts), large layers in constant memory (test/clients/large-blob.spec.ts).
 */
import { startDockerd, strict, type Docker } from '../support/clients';
import { startDockerHub, type DockerHub } from '../support/docker-hub';
import { answer, challenge, FaultServer, redirect } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { askAt, checkConfig, FOR_A_GATE_ALONE, startGateAlone } from '../support/gate-alone';
import { askToken, basic, errorCode, send, sha256, tokenFor } from '../support/http';
import { knowing } from '../support/host-names';
import { dockerArchive, imageOf, layersWith, MIB } from '../support/images';
import { atTheEnd, eventually } from '../support/lifecycle';
import { proxyPorts, startNginx } from '../support/reverse-proxy';
import { openUpload, visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const PRESET = 'dockerpush';
const STATUS =
  '{"status":"ok","service":"docker-registry-proxy","upstream":"registry-1.docker.io"}';
const DOMAIN = 'yourdomain.com';

describeWith(FOR_A_GATE_ALONE, 'dockerpush.md, started', () => {
  it('"./dockerpush", "服务将在`5002`端口启动", "docker run -p 5002:5002", "预期输出": port 5002 and its status page', async () => {
    const { listensOn, curl } = await startGateAlone({ PRESET });

    expect(listensOn).toBe('0.0.0.0:5002');
    expect(await curl('http://localhost:5002')).toBe(STATUS);
    expect(await curl(`http://${DOMAIN}:5002`)).toBe(STATUS);
  });

  it.each([
    ['their defaults', 'registry-1.docker.io', ':5002', '0.0.0.0:5002'],
    ['others', 'registry.example.com', '127.0.0.1:5003', '127.0.0.1:5003'],
  ])(
    '"配置参数", `UPSTREAM_REGISTRY_HOST` and `PROXY_LISTEN_ADDR` with %s',
    async (_what, upstream, address, expected) => {
      const { listensOn, curl } = await startGateAlone({
        PRESET,
        UPSTREAM_REGISTRY_HOST: upstream,
        PROXY_LISTEN_ADDR: address,
      });

      expect(listensOn).toBe(expected);
      expect(JSON.parse(await curl(`http://${expected}`))).toMatchObject({ upstream });
    },
  );

  it('"配置参数": neither has to be set, and clients log in with what the registry takes', async () => {
    const { code, stdout } = await checkConfig({ PRESET });

    expect(code).toBe(0);
    expect(stdout).toContain('\nAUTH_MODE: relay\n');
    expect(stdout).toContain('\nUPSTREAM_REGISTRY: https://registry-1.docker.io\n');
  });
});

describeWith(
  ['docker-registry', 'htpasswd', 'openssl', 'docker', 'dockerd', 'unshare', 'nginx'],
  'dockerpush.md "Docker客户端使用教程"',
  () => {
    let hub: DockerHub;
    let gate: Gate;
    let engine: Docker;

    beforeAll(async () => {
      hub = await startDockerHub({ 'private/app:1': imageOf(layersWith(1000)) });
      gate = await startGate({ PRESET, ...hub.settings() });
      engine = await startDockerd({}, {}, knowing(DOMAIN));
      await engine.load(dockerArchive('alpine:latest', layersWith(8 * MIB)));
    });

    /** docker login, tag and push at that address, as the README has them; what the registry then holds under the name. */
    async function pushThrough(at: string, repository: string) {
      const docker = strict(engine.anotherUser());
      const { username, password } = hub.owner;
      const name = `${at}/${repository}:latest`;
      const login = await docker('login', '-u', username, '-p', password, at);
      await docker('tag', 'alpine:latest', name);
      const pushed = /digest: (sha256:\w+)/.exec(await docker('push', name))?.[1];
      await docker('rmi', name);
      const pulled = /Digest: (sha256:\w+)/.exec(await docker('pull', name))?.[1];
      const headers = { accept: 'application/vnd.docker.distribution.manifest.v2+json' };
      const held = await hub.registry.ask(`/v2/${repository}/manifests/latest`, { headers });
      return { login, pushed, pulled, held: held.headers['docker-content-digest'] };
    }

    it('"docker login yourdomain.com", "docker tag alpine:latest …", "docker push yourdomain.com/username/alpine:latest", "访问Docker hub页面查看推送成功"', async () => {
      const { login, pushed, pulled, held } = await pushThrough(
        `${DOMAIN}:${gate.port}`,
        'private/alpine',
      );

      expect(login).toContain('Login Succeeded');
      expect(pushed).toMatch(/^sha256:/);
      expect([pulled, held]).toEqual([pushed, pushed]);
    });

    it('"然你反向代理到域名并开启HTTPS": the same by https, behind a reverse proxy that TRUST_PROXY names', async () => {
      const ports = await proxyPorts();
      const behind = await startGate({ PRESET, TRUST_PROXY: 'loopback', ...hub.settings() });
      await startNginx(ports, behind);

      const { pushed, held } = await pushThrough(`${DOMAIN}:${ports.tls}`, 'username/alpine');

      expect(pushed).toMatch(/^sha256:/);
      expect(held).toBe(pushed);
    });

    it('"输入用户名，然后输入密码或者token": is refused with a wrong one, in the words of docker', async () => {
      const login = ['login', '-u', hub.owner.username, '-p', 'wrong', `${DOMAIN}:${gate.port}`];

      const { code, output } = await engine.anotherUser()(...login);

      expect(code).not.toBe(0);
      expect(output).toMatch(/unauthorized|incorrect username or password/i);
    });

    it('"认证代理 (handleAuth)": 401 names the gate as realm, and the service as the registry does', async () => {
      const host = `${DOMAIN}:${gate.port}`;
      const { realm, service } = hub.registry.tokens!;

      const refused = await askAt(gate, host, '/v2/');

      expect(refused.status).toBe(401);
      expect(refused.headers['www-authenticate']).toBe(
        `Bearer realm="http://${host}/v2/auth",service="${service}"`,
      );
      expect(refused.headers['www-authenticate']).not.toContain(new URL(realm).host);
    });

    it('"中继认证请求到原始Docker Hub认证服务", "透传JWT token给客户端": the token of the registry, wrapped, which opens what is the client’s alone', async () => {
      const before = hub.registry.tokens!.asked.length;

      const scope = 'repository:private/app:pull,push';
      const { token } = await tokenFor(gate.url, hub.owner, scope);
      const nobody = (await askToken(gate.url, undefined, scope)).json<{ token: string }>();

      expect(hub.registry.tokens!.asked.length).toBe(before + 2);
      const ask = (text: string) => visitor(gate, text).ask('/v2/private/app/tags/list');
      expect((await ask(token)).status).toBe(200);
      expect((await ask(nobody.token)).status).toBe(401);
    });

    it('"Location重写 (rewriteLocationHeader)": the address of an upload is the gate’s', async () => {
      const { token } = await tokenFor(gate.url, hub.owner, 'repository:private/new:pull,push');

      const location = await openUpload(visitor(gate, token), 'private/new');

      expect(location).toMatch(/^\/v2\/private\/new\/blobs\/uploads\//);
      expect(location).not.toContain(hub.registry.host);
    });
  },
);

describe('dockerpush.md, features', () => {
  it('"CDN检测与优化 (isExternalCDN)", "处理CDN重定向": the bytes come from wherever the registry leads, and the login goes there not', async () => {
    const owner = { username: 'username', password: 'only-for-the-registry' };
    const own = [basic(owner).authorization];
    const [registry, cdn] = [await FaultServer.start({ own }), await FaultServer.start()];
    atTheEnd(() => Promise.all([registry.close(), cdn.close()]));
    const layer = imageOf(layersWith(1000)).blobs.values().next().value!;
    registry.handler = (request, response, seen) => {
      const known = request.headers.authorization === basic(owner).authorization;
      const reply = !known
        ? challenge('Basic realm="hub"')
        : seen.url.includes('/blobs/')
          ? redirect(new URL('/signed?by=the-registry', cdn.url))
          : answer(200, '{}');
      return reply(request, response, seen);
    };
    cdn.handler = answer(200, layer);
    const gate = await startGate({ PRESET, UPSTREAM_REGISTRY_HOST: registry.url.origin });
    const path = `${gate.url}/v2/username/alpine/blobs/${sha256(layer)}`;

    const got = await send(path, { headers: basic(owner) });

    expect([got.status, got.headers.location, got.body.equals(layer)]).toEqual([
      200,
      undefined,
      true,
    ]);
    expect(cdn.requests.length).toBeGreaterThan(0);
  });

  it('"错误恢复: 完善的错误处理和日志记录": a registry that is away is told to the client and to the log', async () => {
    const gate = await startGate({ PRESET, UPSTREAM_REGISTRY_HOST: 'http://127.0.0.1:9' });

    const refused = await send(`${gate.url}/v2/`);

    expect([refused.status, errorCode(refused)]).toEqual([503, 'UNAVAILABLE']);
    expect((await send(`${gate.url}/health/ready`)).status).toBe(200);
    await eventually('it is in the log', () =>
      gate
        .logs()
        .some(
          ({ noun, status, code }) => noun === 'base' && status === 503 && code === 'UNAVAILABLE',
        ),
    );
  });
});
