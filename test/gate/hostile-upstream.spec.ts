/** The gate as a process of its own before an upstream that means it no good, or is about to fail it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { selfSigned } from '../support/certificates';
import {
  answer,
  challenge,
  FaultServer,
  huge,
  json,
  redirect,
  stall,
  type Behaviour,
} from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, errorCode, send, sha256 } from '../support/http';
import { MIB } from '../support/images';
import { atTheEnd, eventually, freshFolder } from '../support/lifecycle';
import { openUpload, visit, withQuery } from '../support/stand';
import { describeWith } from '../support/tools';

const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const MANIFEST = '/v2/team/app/manifests/1';
const BLOB = Buffer.from('a layer');
const ROBOT = { UPSTREAM_USERNAME: 'robot', UPSTREAM_PASSWORD: 'robot-password' };

async function faultServer(...options: Parameters<typeof FaultServer.start>): Promise<FaultServer> {
  const server = await FaultServer.start(...options);
  atTheEnd(() => server.close());
  return server;
}

async function gateBefore(upstream: FaultServer, env: Record<string, string> = {}) {
  const gate = await startGate({ UPSTREAM_REGISTRY: upstream.url.origin, ...env });
  return { gate, who: await visit(gate, await gate.addAccount(), 'team/app', 'pull,push') };
}

describe('S26: more than fits', () => {
  const ALLOWED = 100 * MIB;

  /** Bytes that the gate grew by at its highest. */
  async function growth(gate: Gate, work: () => Promise<void>): Promise<number> {
    const idle = gate.memory().now;
    gate.forgetPeak();
    await work();
    return gate.memory().peak - idle;
  }

  it.each([
    ['announced', { 'content-length': 1024 ** 3 }],
    ['not announced', {}],
  ])('an upstream manifest of 1 GiB, %s, is 502 and costs no memory', async (_, length) => {
    const upstream = await faultServer();
    const { gate, who } = await gateBefore(upstream);
    upstream.handler = huge(1024 ** 3, { 'content-type': MEDIA_TYPE, ...length });

    const grown = await growth(gate, async () => {
      for (let n = 0; n < 5; n += 1) {
        const got = await who.ask(MANIFEST);
        expect([got.status, errorCode(got)]).toEqual([502, 'UNAVAILABLE']);
      }
    });

    expect(grown).toBeLessThan(ALLOWED);
    await eventually('the upstream is left alone', () => upstream.open === 0);
  });

  it('a token answer of 10 MiB is 502 and costs no memory', async () => {
    const upstream = await faultServer();
    const padded = json({ token: 'x', padding: 'x'.repeat(10 * MIB) });
    const asks = challenge(`Bearer realm="${upstream.url.origin}/token",service="s"`);
    upstream.handler = (request, response, seen) =>
      (request.url?.startsWith('/token') ? padded : asks)(request, response, seen);
    const { gate, who } = await gateBefore(upstream);

    const grown = await growth(gate, async () => {
      for (let n = 0; n < 20; n += 1) {
        const got = await who.ask(MANIFEST);
        expect([got.status, errorCode(got)]).toEqual([502, 'UNAVAILABLE']);
      }
    });

    expect(upstream.requests.some(({ url }) => url.startsWith('/token'))).toBe(true);
    expect(grown).toBeLessThan(ALLOWED);
  });
});

describe('addresses that the upstream gives', () => {
  it('S2: a realm elsewhere, or one that redirects there, is 502, and nobody is connected to', async () => {
    const trap = await faultServer({ handler: json({ token: 'x' }) });
    const upstream = await faultServer();
    const { who } = await gateBefore(upstream, ROBOT);
    const realms = [
      'http://169.254.169.254/latest/meta-data',
      `http://localhost:${trap.port}/token`,
      'https://evil.example/token',
      `${upstream.url.origin}/moved`,
    ];
    for (const realm of realms) {
      const asks = challenge(`Bearer realm="${realm}",service="s"`);
      const moved = redirect(new URL('/token', trap.url));
      upstream.handler = (request, response, seen) =>
        (request.url?.startsWith('/moved') ? moved : asks)(request, response, seen);

      const got = await who.ask(MANIFEST);

      expect([realm, got.status]).toEqual([realm, 502]);
    }
    expect(upstream.requests.some(({ url }) => url.startsWith('/moved'))).toBe(true);
    expect(trap.accepted).toBe(0);
  });

  it('S3: the urls of a manifest are never fetched, pulled or pushed, and its bytes stay', async () => {
    const trap = await faultServer({ handler: answer(200, BLOB) });
    const upstream = await faultServer();
    const { who } = await gateBefore(upstream);
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

  describeWith(['openssl'], 'S1: a redirect', () => {
    it.each(['http', 'https'] as const)(
      'to another port over %s that asks for a login is 502, and sees no credentials',
      async (scheme) => {
        const certificate = selfSigned([], ['127.0.0.1']);
        const authority = join(freshFolder('authority'), 'ca.pem');
        writeFileSync(authority, certificate.cert);
        const tls = scheme === 'https' ? certificate : undefined;
        const elsewhere = await faultServer({ tls, handler: challenge('Basic realm="give me"') });
        const upstream = await faultServer();
        const leave = redirect(new URL('/blob?sig=1', elsewhere.url));
        upstream.handler = (request, response, seen) => {
          const known = request.headers.authorization === basicOf(ROBOT);
          response.setHeader('set-cookie', 'session=upstream');
          (known ? leave : challenge('Basic realm="r"'))(request, response, seen);
        };
        const { who } = await gateBefore(upstream, { ...ROBOT, NODE_EXTRA_CA_CERTS: authority });

        for (const path of [MANIFEST, `/v2/team/app/blobs/${sha256(BLOB)}`]) {
          const got = await who.ask(path, { headers: { cookie: 'session=client' } });
          expect([path, got.status]).toEqual([path, 502]);
          expect(got.headers['www-authenticate']).toBeUndefined();
        }

        expect(elsewhere.requests.length).toBeGreaterThanOrEqual(2);
        expect(elsewhere.foreignCredentials()).toEqual([]);
        expect(upstream.foreignCredentials([basicOf(ROBOT)])).toEqual([]);
      },
    );
  });
});

function basicOf({ UPSTREAM_USERNAME, UPSTREAM_PASSWORD }: typeof ROBOT): string {
  return basic({ username: UPSTREAM_USERNAME, password: UPSTREAM_PASSWORD }).authorization;
}

describe('F12: a token of the upstream that ends while an image is pulled', () => {
  it('is renewed once for all, and every client sees 200', async () => {
    const upstream = await faultServer();
    const good = new Set<string>();
    let issued = 0;
    const issue: Behaviour = (request, response, seen) => {
      const token = `token-${(issued += 1)}`;
      good.add(token);
      json({ token, expires_in: 300 })(request, response, seen);
    };
    const asks = challenge(`Bearer realm="${upstream.url.origin}/token",service="s"`);
    upstream.handler = (request, response, seen) => {
      if (request.url?.startsWith('/token')) return issue(request, response, seen);
      const token = request.headers.authorization?.replace('Bearer ', '') ?? '';
      return (good.has(token) ? answer(200, BLOB) : asks)(request, response, seen);
    };
    const { who } = await gateBefore(upstream, { CACHE: 'off' });
    const pull = async () => {
      const path = `/v2/team/app/blobs/${sha256(BLOB)}`;
      const answers = await Promise.all(Array.from({ length: 20 }, () => who.ask(path)));
      return answers.map(({ status, text }) => `${status} ${text}`);
    };

    const before = await pull();
    good.clear();
    const after = await pull();

    expect(new Set([...before, ...after])).toEqual(new Set(['200 a layer']));
    expect(issued).toBe(2);
  });
});

describe('F2: an upstream that falls silent in the middle of a push', () => {
  it('ends every request in bounded time with an understandable answer, and the gate goes on', async () => {
    const upstream = await faultServer();
    const { gate, who } = await gateBefore(upstream, { UPSTREAM_HEADER_TIMEOUT: '1s' });
    upstream.handler = answer(202, '', { location: '/up?state=1', 'docker-upload-uuid': 'u1' });
    const upload = await openUpload(who, 'team/app');
    upstream.handler = stall();
    const digest = sha256(BLOB);
    const manifest = { method: 'PUT', headers: { 'content-type': MEDIA_TYPE }, body: '{}' };
    const put = { method: 'PUT', body: BLOB };

    const small = Promise.all([
      who.ask(MANIFEST, manifest),
      who.ask(`/v2/team/app/blobs/${digest}`),
    ]);
    const bodies = Promise.all([
      who.ask(upload, { method: 'PATCH', body: BLOB }),
      who.ask(withQuery(upload, `digest=${digest}`), put),
    ]);
    const live = await send(`${gate.url}/health/live`);

    expect(live.status).toBe(200);
    for (const got of await small) {
      expect([got.status, errorCode(got)]).toEqual([504, 'UNAVAILABLE']);
    }
    // A registry may hash for long what it was sent: a body has ten times the patience.
    for (const got of await bodies) {
      expect(got.status).toBe(504);
      expect(errorCode(got)).toBe('UNAVAILABLE');
    }
    await eventually('nothing is left open upstream', () => upstream.open === 0);
  });
});

it('a stranger is not told where a registry of the operator’s own is', async () => {
  const upstream = await faultServer({ handler: answer(200) });
  const { gate } = await gateBefore(upstream, ROBOT);

  const status = await send(`${gate.url}/`);

  expect(status.status).toBe(200);
  expect(status.text).not.toMatch(/https?:\/\/|robot/);
});
