/** An upstream that changes its mind, or falls silent, in the middle of what a client does. */
import {
  answer,
  challenge,
  FaultServer,
  json,
  stall,
  type Behaviour,
} from '../support/fault-server';
import { startGate } from '../support/gate';
import { errorCode, send, sha256 } from '../support/http';
import { eventually } from '../support/lifecycle';
import { openUpload, visit, withQuery } from '../support/stand';

const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
const MANIFEST = '/v2/team/app/manifests/1';
const BLOB = Buffer.from('a layer');

async function gateBefore(upstream: FaultServer, env: Record<string, string> = {}) {
  const gate = await startGate({ UPSTREAM_REGISTRY: upstream.url.origin, ...env });
  return { gate, who: await visit(gate, await gate.addAccount(), 'team/app', 'pull,push') };
}

describe('F12: a token of the upstream that ends while an image is pulled', () => {
  it('is renewed once for all, and every client sees 200', async () => {
    const upstream = await FaultServer.start({ own: [/^Bearer token-\d+$/] });
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
    const upstream = await FaultServer.start();
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
