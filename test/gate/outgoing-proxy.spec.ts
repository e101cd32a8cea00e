/**
 * The gate as a process of its own, with nothing but an outgoing proxy to reach the world by. The upstream's names exist
 * for the proxy alone, the servers know the proxy's own connections by their ports, and the gate's look-ups are written
 * down as it makes them.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { selfSigned } from '../support/certificates';
import { ConnectProxy } from '../support/connect-proxy';
import { answer, challenge, FaultServer, json, redirect } from '../support/fault-server';
import { startGate } from '../support/gate';
import { errorCode, sha256 } from '../support/http';
import { imageOf, layersWith, MIB } from '../support/images';
import { atTheEnd, freshFolder } from '../support/lifecycle';
import { openUpload, visit, withQuery, type Visitor } from '../support/stand';
import { describeWith } from '../support/tools';

const LOGIN = { username: 'gate@corp', password: 'p:ss wörd%' };
const ROBOT = { UPSTREAM_USERNAME: 'robot', UPSTREAM_PASSWORD: 'robot-password' };
const BASIC = `Basic ${Buffer.from('robot:robot-password').toString('base64')}`;
const NAMES = ['registry.tide.invalid', 'auth.tide.invalid', 'content.invalid'];

/** Loaded before the gate: notes each name that it looks up by itself. */
const LOOK_UPS = `
const dns = require('node:dns');
const { appendFileSync } = require('node:fs');
for (const kind of [dns, dns.promises]) {
  for (const method of ['lookup', 'resolve', 'resolve4', 'resolve6']) {
    const real = kind[method];
    kind[method] = (name, ...rest) => {
      appendFileSync(process.env.LOOK_UPS, name + '\\n');
      return real(name, ...rest);
    };
  }
}
require('node:module').syncBuiltinESMExports();
`;

/** A registry, its token endpoint and its content, each at a name that only the proxy knows. */
async function world(scheme: 'http' | 'https') {
  const certificate = selfSigned(NAMES);
  const tls = scheme === 'https' ? certificate : undefined;
  const [registry, auth, content] = await Promise.all([
    FaultServer.start({ tls, own: ['Bearer good'] }),
    FaultServer.start({
      tls,
      own: [BASIC],
      handler: json({ token: 'good', expires_in: 300 }),
    }),
    FaultServer.start({ tls }),
  ]);
  const port = scheme === 'https' ? 443 : 80;
  const hosts = {
    'registry.tide.invalid:5000': registry.host,
    [`auth.tide.invalid:${port}`]: auth.host,
    [`content.invalid:${port}`]: content.host,
  };
  const proxy = await ConnectProxy.start({ ...LOGIN, hosts });
  atTheEnd(() => Promise.all([registry, auth, content, proxy].map((server) => server.close())));

  /** What was pushed: the digest of each body, by its address. */
  const held = new Map<string, string>();
  const blobs = new Map<string, Buffer>();
  content.handler = (request, response, seen) =>
    answer(200, blobs.get(request.url?.split('?')[0]?.slice(1) ?? ''))(request, response, seen);
  registry.handler = (request, response, seen) => {
    const { method, url = '' } = request;
    if (request.headers.authorization !== 'Bearer good') {
      const realm = `${scheme}://auth.tide.invalid/token`;
      return challenge(`Bearer realm="${realm}",service="s"`)(request, response, seen);
    }
    const digest = url.split('/').pop() ?? '';
    if (method === 'GET') {
      const to = `${scheme}://content.invalid/${digest}?sig=1`;
      return redirect(to)(request, response, seen);
    }
    const hash = createHash('sha256');
    request.on('data', (chunk: Buffer) => hash.update(chunk));
    request.on('end', () => {
      held.set(`${method} ${url}`, `sha256:${hash.digest('hex')}`);
      const location = '/v2/team/app/blobs/uploads/u1?state=a%2fb~c';
      const status = method === 'PUT' ? 201 : 202;
      answer(status, '', { location, 'docker-upload-uuid': 'u1', range: '0-0' })(
        request,
        response,
        seen,
      );
    });
  };

  // By name: it is the one that the gate may look up, and that it does shows that look-ups are noted.
  const byName = new URL(proxy.url);
  byName.hostname = 'localhost';
  const folder = freshFolder('proxied');
  const [authority, looked, hook] = ['ca.pem', 'look-ups', 'hook.cjs'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  writeFileSync(authority, certificate.cert);
  writeFileSync(looked, '');
  writeFileSync(hook, LOOK_UPS);
  const env = {
    UPSTREAM_REGISTRY: `${scheme}://registry.tide.invalid:5000`,
    ...ROBOT,
    [`${scheme.toUpperCase()}_PROXY`]: byName.href,
    NODE_EXTRA_CA_CERTS: authority,
    NODE_OPTIONS: `--require=${hook}`,
    LOOK_UPS: looked,
  };
  const lookUps = () => {
    const all = readFileSync(looked, 'utf8').split('\n').filter(Boolean);
    return new Set(all.filter((name) => isIP(name) === 0));
  };
  return { proxy, registry, auth, content, held, blobs, env, lookUps };
}

describeWith(['openssl'], 'a gate behind an outgoing proxy with a login', () => {
  describe.each(['http', 'https'] as const)('over %s', (scheme) => {
    it('pulls, pushes, logs in and follows redirects by the proxy alone, and looks up no name', async () => {
      const { proxy, registry, auth, content, held, blobs, env, lookUps } = await world(scheme);
      const gate = await startGate({ ...env, LOG_LEVEL: 'trace' });
      const who: Visitor = await visit(gate, await gate.addAccount(), 'team/app', 'pull,push');
      const blob = randomBytes(3 * MIB);
      blobs.set(sha256(blob), blob);
      const image = imageOf(layersWith(1000));

      const pulled = await who.ask(`/v2/team/app/blobs/${sha256(blob)}`);
      const opened = await openUpload(who, 'team/app');
      const patched = await who.ask(opened, { method: 'PATCH', body: blob });
      const end = withQuery(patched.headers.location ?? '', `digest=${sha256(blob)}`);
      const put = await who.ask(end, { method: 'PUT' });
      const headers = { 'content-type': image.mediaType };
      const manifest = { method: 'PUT', headers, body: image.manifest };
      const tagged = await who.ask('/v2/team/app/manifests/1', manifest);

      expect(pulled.body.equals(blob)).toBe(true);
      expect([patched.status, put.status, tagged.status]).toEqual([202, 201, 201]);
      const upload = '/v2/team/app/blobs/uploads/u1?state=a%2fb~c';
      expect(held.get(`PATCH ${upload}`)).toBe(sha256(blob));
      expect(held.get('PUT /v2/team/app/manifests/1')).toBe(image.digest);
      expect(auth.foreignCredentials([BASIC])).toEqual([]);
      expect(registry.foreignCredentials(['Bearer good'])).toEqual([]);
      expect(content.foreignCredentials()).toEqual([]);

      expect(proxy.requests.every(({ authorized }) => authorized)).toBe(true);
      const tunnelled = proxy.requests.map(({ method }) => method === 'CONNECT');
      expect(new Set(tunnelled)).toEqual(new Set([scheme === 'https']));
      for (const server of [registry, auth, content]) {
        expect(server.requests.length).toBeGreaterThan(0);
        for (const { port } of server.requests) expect(proxy.ports).toContain(port);
      }
      expect(lookUps()).toEqual(new Set(['localhost']));
      for (const secret of [LOGIN.password, encodeURIComponent(LOGIN.password), proxy.url.password])
        expect(gate.output()).not.toContain(secret);
    });

    it('does not go around a proxy that is away: pull and push are 503', async () => {
      const { proxy, registry, env, lookUps } = await world(scheme);
      const gate = await startGate(env);
      const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull,push');
      const upload = await openUpload(who, 'team/app');
      const before = registry.accepted;
      await proxy.close();

      const answers = [
        await who.ask('/v2/team/app/manifests/1'),
        await who.ask(upload, { method: 'PATCH', body: randomBytes(MIB) }),
      ];

      expect(answers.map((got) => [got.status, errorCode(got)])).toEqual([
        [503, 'UNAVAILABLE'],
        [503, 'UNAVAILABLE'],
      ]);
      expect(registry.accepted).toBe(before);
      expect(lookUps()).toEqual(new Set(['localhost']));
    });
  });
});
