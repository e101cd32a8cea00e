import type { IncomingMessage } from 'node:http';
import { answer, FaultServer, json, type Behaviour } from './support/fault-server';
import { openGateOfMany, registryAt, type GateOfMany } from './support/gate-of-many';
import { errorCode, sha256, type Answer, type Sending } from './support/http';
import { atTheEnd } from './support/lifecycle';

const MANIFEST = '{"schemaVersion":2}';
const DIGEST = sha256(MANIFEST);
const TAGS = ['a', 'b', 'c', 'd', 'e'];
const REPOSITORIES = ['org/app', 'org/other', 'secret/x', 'team/app', 'team/other'];

/** Two of a list a page, whatever was asked for, continued as distribution does. */
function paged(all: readonly string[], document: (some: readonly string[]) => object): Behaviour {
  return (request, response, seen) => {
    const { pathname, searchParams } = new URL(seen.url, 'http://x');
    const from = all.indexOf(searchParams.get('last') ?? '') + 1;
    const some = all.slice(from, from + 2);
    const link = `<${pathname}?last=${encodeURIComponent(some.at(-1) ?? '')}&n=2>; rel="next"`;
    const more = from + 2 < all.length ? { link } : {};
    return json(document(some), more)(request, response, seen);
  };
}

const manifests = (some: readonly string[]) => ({
  schemaVersion: 2,
  manifests: some.map((size) => ({ digest: DIGEST, size })),
});

/** A registry with one repository, and a catalog of more. */
const registry: Behaviour = (request, response, seen) => {
  const { pathname } = new URL(seen.url, 'http://x');
  const at = (behaviour: Behaviour) => behaviour(request, response, seen);
  if (pathname === '/v2/_catalog')
    return at(paged(REPOSITORIES, (repositories) => ({ repositories })));
  if (pathname === '/v2/org/app/tags/list')
    return at(paged(TAGS, (tags) => ({ name: 'org/app', tags })));
  if (pathname === `/v2/org/app/referrers/${DIGEST}`) return at(paged(TAGS, manifests));
  if (request.method === 'POST') return at(answer(202, '', { location: '/begun' }));
  if (request.method === 'PATCH') return at(answer(202, '', { location: '/continued' }));
  if (request.method === 'PUT') return at(answer(201, '', { location: '/v2/x' }));
  return at(answer(404));
};

/** Each way, by what stands in front of a name, at the end of an address, and in the Host header. */
const WAYS = [
  { way: 'default', from: 'docker.io', prefix: '', ns: '', host: 'localhost' },
  { way: 'path', from: 'ghcr.io', prefix: 'ghcr.io/', ns: '', host: 'localhost' },
  { way: 'ns', from: 'ghcr.io', prefix: '', ns: 'ghcr.io', host: 'localhost' },
  { way: 'host', from: 'ghcr.io', prefix: '', ns: '', host: 'ghcr.example.com' },
];

describe.each(WAYS)('listings and pushes by $way', ({ from, prefix, ns, host }) => {
  let hub: FaultServer;
  let ghcr: FaultServer;
  let gate: GateOfMany;

  beforeAll(async () => {
    hub = await FaultServer.start({ handler: registry });
    ghcr = await FaultServer.start({ handler: registry });
    gate = await openGateOfMany([
      registryAt('docker.io', hub.url),
      registryAt('ghcr.io', ghcr.url, { hosts: ['ghcr.example.com'] }),
    ]);
    for (const server of [hub, ghcr]) atTheEnd(() => server.close());
  });

  beforeEach(() => {
    hub.requests.length = 0;
    ghcr.requests.length = 0;
  });

  // Nobody but the registry that was named is ever asked.
  afterEach(() => {
    const [, other] = from === 'ghcr.io' ? [ghcr, hub] : [hub, ghcr];
    expect(other.requests).toEqual([]);
  });

  const withNs = (path: string) =>
    ns === '' ? path : `${path}${path.includes('?') ? '&' : '?'}ns=${ns}`;

  /** Asks at an address that the gate gave, as it is. */
  const follow = async (path: string, sending: Sending = {}): Promise<Answer> => {
    const headers = { host, ...sending.headers };
    const got = await gate.ask(path, { ...sending, headers });
    expect([path, got.headers['oci-namespace']]).toEqual([path, ns === '' ? undefined : ns]);
    return got;
  };

  /** Every page, from Link to Link. */
  const pages = async (path: string): Promise<Answer[]> => {
    const all: Answer[] = [];
    for (let at: string | undefined = withNs(path); at !== undefined;) {
      const got: Answer = await follow(at);
      expect(got.status).toBe(200);
      all.push(got);
      if (all.length > 10) throw new Error(`the pages have no end: ${at}`);
      const link: string | undefined = String(got.headers.link ?? '');
      at = /^<([^>]+)>; rel="next"$/.exec(link)?.[1];
    }
    return all;
  };

  it('lists all tags, page by page', async () => {
    const all = await pages(`/v2/${prefix}org/app/tags/list?n=2`);

    expect(all.map((got) => got.json())).toEqual([
      { name: `${prefix}org/app`, tags: ['a', 'b'] },
      { name: `${prefix}org/app`, tags: ['c', 'd'] },
      { name: `${prefix}org/app`, tags: ['e'] },
    ]);
  });

  it('lists all referrers, page by page', async () => {
    const all = await pages(`/v2/${prefix}org/app/referrers/${DIGEST}`);

    const sizes = all.flatMap((got) => got.json<{ manifests: { size: string }[] }>().manifests);
    expect(sizes.map(({ size }) => size)).toEqual(TAGS);
    expect(all).toHaveLength(3);
  });

  it('lists all repositories, by names that lead back to them', async () => {
    const all = await pages(`/v2/${prefix}_catalog?n=2`);

    expect(all.map((got) => got.json<{ repositories: string[] }>().repositories)).toEqual([
      [`${prefix}org/app`, `${prefix}org/other`],
      [`${prefix}secret/x`, `${prefix}team/app`],
      [`${prefix}team/other`],
    ]);
    const [first = ''] = all[0]?.json<{ repositories: string[] }>().repositories ?? [];
    expect((await follow(withNs(`/v2/${first}/tags/list`))).status).toBe(200);
  });

  it('hides the repositories of which the account has no right, at this registry', async () => {
    const right = await gate.account(`user-${host}-${ns}-${prefix.length}`, `${from}/team/**`);
    const wrong = await gate.account(`else-${host}-${ns}-${prefix.length}`, 'quay.io/team/**');

    const path = withNs(`/v2/${prefix}_catalog`);
    const some = await follow(path, { headers: right });
    const none = await follow(path, { headers: wrong });

    const repositories = [`${prefix}team/app`, `${prefix}team/other`];
    expect([some.json(), none.json()]).toEqual([{ repositories }, { repositories: [] }]);
  });

  it('goes on with a catalog after the name that was shown last', async () => {
    const got = await follow(withNs(`/v2/${prefix}_catalog?n=1&last=${prefix}org/other`));

    const upstream = from === 'ghcr.io' ? ghcr : hub;
    expect(got.json()).toEqual({ repositories: [`${prefix}secret/x`] });
    expect(upstream.requests[0]?.url).toBe('/v2/_catalog?last=org%2Fother&n=1000');
  });

  it('pushes a blob and a manifest by the addresses that it is given', async () => {
    const blob = 'some bytes';
    const uploads = withNs(`/v2/${prefix}org/app/blobs/uploads/`);

    const begun = await follow(uploads, { method: 'POST' });
    const patched = await follow(locationOf(begun), { method: 'PATCH', body: blob });
    const ended = await follow(`${locationOf(patched)}&digest=${sha256(blob)}`, { method: 'PUT' });
    const type = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' };
    const put = { method: 'PUT', body: MANIFEST, headers: type };
    const manifest = await follow(withNs(`/v2/${prefix}org/app/manifests/1`), put);

    const statuses = [begun, patched, ended, manifest].map(({ status }) => status);
    expect(statuses).toEqual([202, 202, 201, 201]);
    const upload = `/v2/${prefix}org/app/blobs/uploads/`;
    for (const given of [begun, patched]) {
      const { pathname, searchParams } = new URL(locationOf(given), 'http://x');
      expect([pathname.startsWith(upload), searchParams.get('ns') ?? '']).toEqual([true, ns]);
    }
    expect(locationOf(ended)).toBe(withNs(`/v2/${prefix}org/app/blobs/${sha256(blob)}`));
    expect(locationOf(manifest)).toBe(withNs(`/v2/${prefix}org/app/manifests/${DIGEST}`));
  });

  it('sends an upload that was begun here nowhere else', async () => {
    const begun = await follow(withNs(`/v2/${prefix}org/app/blobs/uploads/`), { method: 'POST' });
    const state = new URL(locationOf(begun), 'http://x').searchParams.get('_state');
    const uuid = /uploads\/([^?]+)/.exec(locationOf(begun))?.[1];
    const elsewhere =
      prefix === '' && ns === '' && host === 'localhost' ? 'ghcr.io/' : 'docker.io/';

    const sent = await gate.ask(`/v2/${elsewhere}org/app/blobs/uploads/${uuid}?_state=${state}`, {
      method: 'PATCH',
      body: 'x',
      headers: { host: 'localhost' },
    });

    expect([sent.status, errorCode(sent)]).toEqual([404, 'BLOB_UPLOAD_UNKNOWN']);
  });

  it('takes no registry from a Link', async () => {
    const other = from === 'ghcr.io' ? 'docker.io' : 'ghcr.io';
    const link = `</v2/org/app/tags/list?ns=${other}&last=b>; rel="next"`;
    const upstream = from === 'ghcr.io' ? ghcr : hub;
    upstream.queue(json({ name: 'org/app', tags: ['a'] }, { link }));

    const all = await pages(`/v2/${prefix}org/app/tags/list`);

    expect(all.length).toBeGreaterThan(1);
  });

  it('names the registry of ns in what is refused, too', async () => {
    const refused = [
      await follow(withNs('/v2/Upper/tags/list')),
      await follow(withNs('/v2/nowhere')),
      await follow(withNs(`/v2/${prefix}org/app/tags/list?n=x`)),
      await follow(withNs('/v2/'), { method: 'POST' }),
      await follow(withNs(`/v2/${prefix}org/gone/tags/list`)),
      await follow(withNs(`/v2/${prefix}org/app/tags/list`), { headers: { authorization: '' } }),
    ];

    expect(refused.map(({ status }) => status)).toEqual([400, 404, 400, 405, 404, 401]);
  });
});

function locationOf({ headers }: Pick<Answer, 'headers'>): string {
  return (headers as IncomingMessage['headers']).location ?? '';
}

describe('a registry that is not configured', () => {
  it('has no catalog, by no way', async () => {
    const hub = await FaultServer.start({ handler: registry });
    atTheEnd(() => hub.close());
    const gate = await openGateOfMany([registryAt('docker.io', hub.url)]);

    const paths = ['/v2/evil.example/_catalog', '/v2/_catalog?ns=evil.example', '/v2/a/_catalog'];
    const refused = await Promise.all(paths.map((path) => gate.ask(path)));

    expect(refused.map(({ status }) => status)).toEqual([404, 404, 404]);
    expect(refused.map(({ headers }) => headers['oci-namespace'])).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    expect(hub.requests).toEqual([]);
  });
});
