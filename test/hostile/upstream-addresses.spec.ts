/** An upstream that names addresses which are not its own: where the gate goes, and what it takes there. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { selfSigned } from '../support/certificates';
import { ConnectProxy } from '../support/connect-proxy';
import {
  answer,
  challenge,
  FaultServer,
  json,
  redirect,
  type Behaviour,
} from '../support/fault-server';
import { startGate } from '../support/gate';
import { basic, send, sha256 } from '../support/http';
import { atTheEnd, freshFolder } from '../support/lifecycle';
import { configFile } from '../support/several-registries';
import { openUpload, visit } from '../support/stand';
import { describeWith } from '../support/tools';

const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const MANIFEST = '/v2/team/app/manifests/1';
const BLOB = Buffer.from('a layer');
const BLOB_PATH = `/v2/team/app/blobs/${sha256(BLOB)}`;
const UPLOADS = '/v2/team/app/blobs/uploads/';
const ROBOT = { UPSTREAM_USERNAME: 'robot', UPSTREAM_PASSWORD: 'robot-password' };
const LOGIN = basic({ username: 'robot', password: 'robot-password' }).authorization;

async function gateBefore(upstream: string, env: Record<string, string> = {}) {
  const gate = await startGate({ UPSTREAM_REGISTRY: upstream, ...env });
  return { gate, who: await visit(gate, await gate.addAccount(), 'team/app', 'pull,push') };
}

/** Lets in whoever shows that, and sends all others to that challenge. */
function closedBy(asks: Behaviour, shown: string, inside: Behaviour): Behaviour {
  return (request, response, seen) =>
    (request.headers.authorization === shown ? inside : asks)(request, response, seen);
}

describeWith(['openssl'], 'S1: a redirect', () => {
  const certificate = selfSigned([], ['127.0.0.1']);
  const PLACES = [
    ['another port', {}],
    ['another host', { address: '127.0.0.2' }],
    ['another scheme', { tls: certificate }],
  ] as const;
  const KINDS = ['Basic', 'Bearer'] as const;

  it.each(PLACES.flatMap(([place, options]) => KINDS.map((kind) => ({ place, options, kind }))))(
    'to $place, which asks for a login, is 502, and shows it none ($kind)',
    async ({ options, kind }) => {
      const authority = join(freshFolder('authority'), 'ca.pem');
      writeFileSync(authority, certificate.cert);
      const upstream = await FaultServer.start({ own: [LOGIN, 'Bearer good'] });
      // It owns no credential: any that it is shown fails this test. What it asks for, the gate could well give.
      const elsewhere = await FaultServer.start(options);
      const token = `Bearer realm="${upstream.url.origin}/token",service="s"`;
      elsewhere.handler = (request, response, seen) => {
        response.setHeader('set-cookie', 'session=elsewhere');
        const asks = request.url?.includes('basic') ? 'Basic realm="give me"' : token;
        challenge(asks)(request, response, seen);
      };
      const closed = closedBy(
        challenge(kind === 'Basic' ? 'Basic realm="r"' : token),
        kind === 'Basic' ? LOGIN : 'Bearer good',
        (request, response, seen) => {
          const at = `/moved?sig=1&${seen.method === 'HEAD' ? 'basic' : 'bearer'}`;
          redirect(new URL(at, elsewhere.url))(request, response, seen);
        },
      );
      upstream.handler = (request, response, seen) => {
        response.setHeader('set-cookie', 'session=upstream');
        const isToken = seen.url.startsWith('/token');
        (isToken ? json({ token: 'good' }) : closed)(request, response, seen);
      };
      const env = { ...ROBOT, NODE_EXTRA_CA_CERTS: authority };
      const { who } = await gateBefore(upstream.url.origin, env);

      for (const [method, path] of [
        ['GET', MANIFEST],
        ['HEAD', MANIFEST],
        ['GET', BLOB_PATH],
        ['HEAD', BLOB_PATH],
      ] as const) {
        const got = await who.ask(path, { method, headers: { cookie: 'session=client' } });
        expect([method, path, got.status]).toEqual([method, path, 502]);
        expect([got.headers['www-authenticate'], got.headers['set-cookie']]).toEqual([
          undefined,
          undefined,
        ]);
      }

      expect(elsewhere.requests.length).toBeGreaterThanOrEqual(4);
      expect(elsewhere.requests.every(({ url }) => url.startsWith('/moved'))).toBe(true);
    },
  );

  it('of a push is 502, and nothing of it is sent there', async () => {
    const trap = await FaultServer.start({ handler: answer(201) });
    const upstream = await FaultServer.start({ own: [LOGIN] });
    const { who } = await gateBefore(upstream.url.origin, ROBOT);
    upstream.handler = answer(202, '', { location: '/up/1', 'docker-upload-uuid': 'u1' });
    const upload = await openUpload(who, 'team/app');
    upstream.handler = (request, response, seen) => {
      request.resume().on('end', () => redirect(new URL('/up', trap.url))(request, response, seen));
    };
    const body = Buffer.alloc(100_000, 'x');

    const answers = [
      await who.ask(UPLOADS, { method: 'POST' }),
      await who.ask(upload, { method: 'PATCH', body }),
      await who.ask(`${upload}&digest=${sha256(body)}`, { method: 'PUT', body }),
      await who.ask(MANIFEST, {
        method: 'PUT',
        headers: { 'content-type': MEDIA_TYPE },
        body: '{}',
      }),
      await who.ask(`/v2/team/app/manifests/${sha256('{}')}`, { method: 'DELETE' }),
    ];

    expect(answers.slice(0, 4).map(({ status }) => status)).toEqual([502, 502, 502, 502]);
    expect(answers[4]?.status).toBeGreaterThanOrEqual(400);
    expect(trap.accepted).toBe(0);
  });
});

describe('S2: a realm', () => {
  /** A registry at a name that only the proxy knows, as are its domain's other names and those of others. */
  async function behindProxy() {
    // Where it names itself as its token endpoint, the login is its own to see.
    const upstream = await FaultServer.start({ own: [LOGIN, 'Bearer good'] });
    const auth = await FaultServer.start({ own: [LOGIN], handler: json({ token: 'good' }) });
    const evil = await FaultServer.start({ handler: json({ token: 'good' }) });
    const proxy = await ConnectProxy.start({
      hosts: {
        'registry.tide.invalid:80': upstream.host,
        'auth.tide.invalid:80': auth.host,
        'auth.evil.invalid:80': evil.host,
        'registry.tide.invalid.evil.invalid:80': evil.host,
      },
    });
    atTheEnd(() => proxy.close());
    const env = { ...ROBOT, HTTP_PROXY: proxy.url.href };
    const { who } = await gateBefore('http://registry.tide.invalid', env);
    const asking = (realm: string, moved?: string) => {
      const closed = closedBy(
        challenge(`Bearer realm="${realm}",service="s"`),
        'Bearer good',
        answer(200, '{}', { 'content-type': MEDIA_TYPE }),
      );
      upstream.handler = (request, response, seen) =>
        (moved && seen.url.startsWith('/moved') ? redirect(moved) : closed)(
          request,
          response,
          seen,
        );
    };
    return { upstream, evil, proxy, who, asking };
  }

  it('elsewhere, or one that redirects there, is 502, and nobody is connected to', async () => {
    const { upstream, evil, proxy, who, asking } = await behindProxy();
    const elsewhere = [
      'http://169.254.169.254/latest/meta-data',
      'http://[fe80::1]/token',
      'http://auth.evil.invalid/token',
      'http://registry.tide.invalid.evil.invalid/token',
      'http://registry.tide.invalid@auth.evil.invalid/token',
      `http://127.0.0.1:${evil.port}/token`,
      `http://localhost:${evil.port}/token`,
      'ftp://auth.tide.invalid/token',
      'file:///etc/passwd',
      '//auth.evil.invalid/token',
    ];

    for (const realm of elsewhere) {
      asking(realm);
      expect([realm, (await who.ask(MANIFEST)).status]).toEqual([realm, 502]);
      asking('http://registry.tide.invalid/moved', realm);
      expect(['moved', realm, (await who.ask(MANIFEST)).status]).toEqual(['moved', realm, 502]);
    }

    expect(upstream.requests.some(({ url }) => url.startsWith('/moved'))).toBe(true);
    expect(evil.accepted).toBe(0);
    expect(new Set(proxy.targets)).toEqual(new Set(['registry.tide.invalid:80']));
  });

  it('without a proxy, elsewhere or redirecting there, is 502, and nobody is connected to', async () => {
    const trap = await FaultServer.start({ handler: json({ token: 'x' }) });
    const far = await FaultServer.start({ handler: json({ token: 'x' }), address: '127.0.0.2' });
    const upstream = await FaultServer.start({ own: [LOGIN] });
    const { who } = await gateBefore(upstream.url.origin, ROBOT);
    const moves = [new URL('/token', trap.url), 'http://169.254.169.254/latest', far.url];
    const realms = [
      'http://169.254.169.254/latest/meta-data',
      `http://localhost:${trap.port}/token`,
      far.url.href,
      'https://evil.example/token',
      ...moves.map((_, at) => `${upstream.url.origin}/moved/${at}`),
    ];
    for (const realm of realms) {
      const asks = challenge(`Bearer realm="${realm}",service="s"`);
      upstream.handler = (request, response, seen) => {
        const at = /^\/moved\/(\d)/.exec(seen.url)?.[1];
        (at === undefined ? asks : redirect(moves[Number(at)]!))(request, response, seen);
      };

      const got = await who.ask(MANIFEST);

      expect([realm, got.status]).toEqual([realm, 502]);
    }
    expect(upstream.requests.some(({ url }) => url.startsWith('/moved'))).toBe(true);
    expect([trap.accepted, far.accepted]).toEqual([0, 0]);
  });

  it('on the registry’s own registrable domain is good', async () => {
    const { who, asking } = await behindProxy();
    asking('http://auth.tide.invalid/token');

    expect((await who.ask(MANIFEST)).status).toBe(200);
  });

  it('on its own IP at another port, and on a host of its auth_hosts, is good', async () => {
    for (const [host, entry] of [
      ['127.0.0.1', {}],
      ['localhost', { auth_hosts: ['localhost'] }],
    ] as const) {
      const auth = await FaultServer.start({ own: [LOGIN], handler: json({ token: 'good' }) });
      const upstream = await FaultServer.start({ own: ['Bearer good'] });
      upstream.handler = closedBy(
        challenge(`Bearer realm="http://${host}:${auth.port}/token",service="s"`),
        'Bearer good',
        answer(200, '{}', { 'content-type': MEDIA_TYPE }),
      );
      const credentials = [{ username: 'robot', password: 'robot-password' }];
      const registry = { name: 'own.example', url: upstream.url.origin, credentials, ...entry };
      const gate = await startGate(configFile(registry));
      const who = await visit(gate, await gate.addAccount(), 'own.example/team/app', 'pull');

      const got = await who.ask('/v2/own.example/team/app/manifests/1');

      expect([host, got.status, auth.requests.length]).toEqual([host, 200, 1]);
    }
  });
});

describe('S3: an address on another host', () => {
  let trap: FaultServer;
  let upstream: FaultServer;

  beforeAll(async () => {
    trap = await FaultServer.start({ handler: answer(202, '', { location: '/up' }) });
    upstream = await FaultServer.start({ own: [LOGIN] });
  });

  /** Another port, host and scheme, with the host in all the places where a careless reader finds it. */
  const elsewhere = () => [
    `${trap.url.origin}/up?_state=1`,
    `//${trap.host}/up`,
    `http://localhost:${upstream.port}/up`,
    `https://${upstream.host}/up`,
    `http://${upstream.host}@${trap.host}/up`,
    `\\\\${trap.host}\\up`,
  ];

  it('as Location of an upload is 502 at its beginning and on its way, and gets no bytes', async () => {
    const { who } = await gateBefore(upstream.url.origin, ROBOT);
    const body = Buffer.alloc(100_000, 'x');
    for (const location of elsewhere()) {
      const leads = (to: string): Behaviour => {
        return (request, response, seen) => {
          const headers = { location: to, 'docker-upload-uuid': 'u1', range: '0-99999' };
          request.resume().on('end', () => answer(202, '', headers)(request, response, seen));
        };
      };
      upstream.handler = leads(location);
      const begun = await who.ask(UPLOADS, { method: 'POST' });
      upstream.handler = leads('/up/1');
      const upload = await openUpload(who, 'team/app');
      upstream.handler = leads(location);
      const patched = await who.ask(upload, { method: 'PATCH', body });
      const whole = await who.ask(`${UPLOADS}?digest=${sha256(body)}`, { method: 'POST', body });

      const answers = [begun, patched, whole];
      expect([location, ...answers.map(({ status }) => status)]).toEqual([location, 502, 502, 502]);
      expect(answers.map(({ headers }) => headers.location)).toEqual(Array(3).fill(undefined));
    }
    expect(trap.accepted).toBe(0);
  });

  it('as Link of a list is 502, and is neither followed nor passed on', async () => {
    const { gate } = await gateBefore(upstream.url.origin, ROBOT);
    for (const link of elsewhere()) {
      upstream.handler = json(
        { name: 'team/app', tags: ['1'], repositories: ['team/app'], manifests: [] },
        { link: `<${link}>; rel="next"` },
      );
      for (const path of [
        '/v2/team/app/tags/list?n=1',
        '/v2/_catalog?n=1',
        `/v2/team/app/referrers/${sha256(BLOB)}`,
      ]) {
        const got = await send(`${gate.url}${path}`, { headers: basic(gate.admin) });
        expect([path, link, got.status]).toEqual([path, link, 502]);
        expect(got.headers.link).toBeUndefined();
      }
    }
    expect(trap.accepted).toBe(0);
  });

  it('as one of a manifest’s urls is never fetched, pulled or pushed, and the manifest’s bytes stay', async () => {
    const { who } = await gateBefore(upstream.url.origin);
    const layer = { mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar' };
    const urls = [new URL('/layer', trap.url).href];
    const layers = [{ ...layer, digest: sha256(BLOB), size: BLOB.length, urls }];
    const config = { mediaType: 'application/json', digest: sha256('{}'), size: 2 };
    const text = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPE, config, layers });
    const headers = { 'content-type': MEDIA_TYPE };
    const manifests = answer(200, text, { ...headers, 'docker-content-digest': sha256(text) });
    const missing = answer(404, '{"errors":[{"code":"BLOB_UNKNOWN"}]}');
    upstream.handler = (request, response, seen) => {
      if (request.method === 'PUT') answer(201, '', { location: '/v2/x' })(request, response, seen);
      else (request.url?.includes('/manifests/') ? manifests : missing)(request, response, seen);
    };

    const pulled = await who.ask(MANIFEST);
    const blob = await who.ask(`/v2/team/app/blobs/${sha256(BLOB)}`);
    const pushed = await who.ask(MANIFEST, { method: 'PUT', headers, body: text });

    expect([pulled.status, pulled.text]).toEqual([200, text]);
    expect(blob.status).toBe(404);
    expect(pushed.status).toBe(201);
    expect(trap.accepted).toBe(0);
  });
});
