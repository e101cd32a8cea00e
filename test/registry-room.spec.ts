import { createHash, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { answer, FaultServer, huge, json, redirect, truncate } from './support/fault-server';
import { openInnerGate, type InnerGate } from './support/inner-gate';

const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const BLOB = randomBytes(100_000);
const BLOB_PATH = `/v2/team/app/blobs/${digestOf(BLOB)}`;
const MANIFEST = Buffer.from('{"schemaVersion":2}');
const MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';
/** The gate's own login there. */
const ROBOT = `Basic ${Buffer.from('robot:robot-secret').toString('base64')}`;
const UPLOADS = '/v2/team/app/blobs/uploads/';

describe('the /v2 rooms before an upstream that misbehaves', () => {
  let upstream: FaultServer;
  let elsewhere: FaultServer;
  let gate: InnerGate;

  beforeEach(async () => {
    upstream = await FaultServer.start({ handler: answer(404), own: [ROBOT] });
    elsewhere = await FaultServer.start({ handler: answer(200, 'taken') });
    gate = await openInnerGate({
      UPSTREAM_REGISTRY: upstream.url.href,
      UPSTREAM_USERNAME: 'robot',
      UPSTREAM_PASSWORD: 'robot-secret',
    });
  });

  afterEach(async () => {
    await gate.close();
    await upstream.close();
    await elsewhere.close();
  });

  const ask = (path: string, init: RequestInit & { headers?: Record<string, string> } = {}) =>
    fetch(path.startsWith('http') ? path : `${gate.url}${path}`, {
      redirect: 'manual',
      ...init,
      headers: { authorization: gate.admin, ...init.headers },
    });

  describe('reads', () => {
    it('pass a blob on with its digest, its length and no header of the upstream’s', async () => {
      upstream.queue(
        answer(200, BLOB, {
          'set-cookie': 'a=b',
          'x-internal': 'yes',
          'content-type': 'text/html',
        }),
      );

      const response = await ask(BLOB_PATH);

      expect(Buffer.from(await response.arrayBuffer()).equals(BLOB)).toBe(true);
      expect(Object.fromEntries(response.headers)).toMatchObject({
        'content-length': String(BLOB.length),
        'content-type': 'application/octet-stream',
        'docker-content-digest': digestOf(BLOB),
        'docker-distribution-api-version': 'registry/2.0',
      });
      expect(response.headers.get('set-cookie') ?? response.headers.get('x-internal')).toBeNull();
    });

    it('pass one range on, and answer several with the whole', async () => {
      upstream.handler = (request, response) => {
        if (request.headers.range === undefined)
          answer(200, BLOB)(request, response, upstream.requests[0]!);
        else
          response
            .writeHead(206, { 'content-length': 10, 'content-range': `bytes 5-14/${BLOB.length}` })
            .end(BLOB.subarray(5, 15));
      };

      const one = await ask(BLOB_PATH, { headers: { range: 'bytes=5-14' } });
      const several = await ask(BLOB_PATH, { headers: { range: 'bytes=0-1,5-6' } });

      expect([one.status, one.headers.get('content-range')]).toEqual([
        206,
        `bytes 5-14/${BLOB.length}`,
      ]);
      expect(Buffer.from(await one.arrayBuffer()).equals(BLOB.subarray(5, 15))).toBe(true);
      expect([several.status, (await several.arrayBuffer()).byteLength]).toEqual([
        200,
        BLOB.length,
      ]);
    });

    it('F5: break the client’s transfer where the upstream’s ends early', async () => {
      upstream.queue(truncate(BLOB, 50_000));

      const response = await ask(BLOB_PATH);

      await expect(response.arrayBuffer()).rejects.toThrow();
    });

    it('S5: answer 502 to a blob that is not what its digest says, where that is seen before the answer is begun', async () => {
      const wrong = Buffer.alloc(100, 'wrong');
      upstream.handler = answer(200, wrong);

      const response = await ask(`/v2/team/app/blobs/${digestOf(BLOB)}`);

      expect(response.status).toBe(502);
      expect(await response.text()).toContain('is not sha256:');
    });

    it('S26: refuse a manifest of a GiB with 502', async () => {
      upstream.queue(huge(1024 ** 3, { 'content-type': MEDIA_TYPE }));

      const response = await ask('/v2/team/app/manifests/1');

      expect(response.status).toBe(502);
    });

    it('S5: refuse a manifest that is not what its digest says', async () => {
      upstream.handler = answer(200, MANIFEST, { 'content-type': MEDIA_TYPE });

      const wrong = await ask(`/v2/team/app/manifests/${digestOf(BLOB)}`);
      const right = await ask(`/v2/team/app/manifests/${digestOf(MANIFEST)}`);

      expect([wrong.status, right.status]).toEqual([502, 200]);
    });

    it.each(['0', '{}', '[]'])(
      'refuse a manifest with millions of %s for signatures',
      async (item) => {
        const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
        const list = `${item},`.repeat(Math.floor(4_000_000 / (item.length + 1)));
        upstream.handler = answer(200, `{"signatures":[${list}${item}]}`, { 'content-type': type });
        const before = process.memoryUsage().rss;

        const response = await ask(`/v2/team/app/manifests/${digestOf(MANIFEST)}`);

        expect(response.status).toBe(502);
        expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
      },
    );

    it('S5: refuse what only claims to be signed within', async () => {
      const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
      upstream.handler = answer(200, 'evil bytes', { 'content-type': type });

      const response = await ask(`/v2/team/app/manifests/${digestOf(MANIFEST)}`);

      expect(response.status).toBe(502);
    });

    it('fill in what a HEAD of the upstream’s leaves out', async () => {
      upstream.handler = (request, response) => {
        if (request.method === 'HEAD')
          response.writeHead(200, { 'content-type': MEDIA_TYPE }).end();
        else
          response
            .writeHead(200, { 'content-type': MEDIA_TYPE, 'content-length': MANIFEST.length })
            .end(MANIFEST);
      };

      const response = await ask('/v2/team/app/manifests/1', { method: 'HEAD' });

      expect(Object.fromEntries(response.headers)).toMatchObject({
        'content-type': MEDIA_TYPE,
        'content-length': String(MANIFEST.length),
        'docker-content-digest': digestOf(MANIFEST),
      });
    });

    it('S1: follow a redirect to another host without the credentials for the first', async () => {
      upstream.queue(redirect(new URL('/signed?secret=1', elsewhere.url)));
      elsewhere.handler = answer(200, BLOB);

      const response = await ask(BLOB_PATH);

      expect(Buffer.from(await response.arrayBuffer()).equals(BLOB)).toBe(true);
      expect(elsewhere.requests).toHaveLength(1);
    });

    it('end the upstream’s transfer when the client leaves', async () => {
      upstream.queue(huge(1024 ** 3));
      const leaving = new AbortController();
      const response = await ask(BLOB_PATH, { signal: leaving.signal });
      await response.body?.getReader().read();

      leaving.abort();

      for (const end = Date.now() + 5_000; upstream.open > 0 && Date.now() < end;) await sleep(20);
      expect(upstream.open).toBe(0);
    });
  });

  describe('listings', () => {
    it('name the repository as the client did, and lead to the next page at the gate', async () => {
      upstream.queue(
        json(
          { name: 'team/app', tags: ['1', '2'] },
          { link: '</v2/team/app/tags/list?last=2&n=2>; rel="next"' },
        ),
      );

      const response = await ask(`/v2/${upstream.host}/team/app/tags/list?n=2`);

      expect(await response.json()).toEqual({
        name: `${upstream.host}/team/app`,
        tags: ['1', '2'],
      });
      expect(response.headers.get('link')).toBe(
        `</v2/${upstream.host}/team/app/tags/list?last=2&n=2>; rel="next"`,
      );
      expect(upstream.requests.at(-1)?.url).toBe('/v2/team/app/tags/list?n=2');
    });

    it('S3: refuse a Link that leads to another host', async () => {
      upstream.queue(
        json(
          { tags: ['1'] },
          { link: `<${elsewhere.url.href}v2/team/app/tags/list?last=1>; rel="next"` },
        ),
      );

      const response = await ask('/v2/team/app/tags/list');

      expect(response.status).toBe(502);
      expect(elsewhere.requests).toEqual([]);
    });

    it.each([
      ['numbers', '[' + '0,'.repeat(2_000_000) + '0]'],
      ['lists', '[' + '[],'.repeat(2_000_000) + '[]]'],
    ])('refuse millions of %s for tags, without a thought', async (_what, tags) => {
      upstream.handler = answer(200, `{"name":"team/app","tags":${tags}}`);
      const before = process.memoryUsage().rss;

      const response = await ask('/v2/team/app/tags/list');

      expect(response.status).toBe(502);
      expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
    });

    it('refuse referrers that are nested without end', async () => {
      const deep = `${'['.repeat(90_000)}${']'.repeat(90_000)}`;
      upstream.handler = answer(200, `{"schemaVersion":2,"manifests":[{"a":${deep}}]}`);

      const response = await ask(`/v2/team/app/referrers/${digestOf(MANIFEST)}`);

      expect(response.status).toBe(502);
    });

    it('find the next page among several links', async () => {
      const link = '</v2/a/tags/list?last=0>; rel="prev", </v2/a/tags/list?last=2>; rel="next"';
      upstream.queue(json({ tags: ['1', '2'] }, { link }));

      const response = await ask('/v2/team/app/tags/list');

      expect(response.headers.get('link')).toBe('</v2/team/app/tags/list?last=2>; rel="next"');
    });

    it('serve many at once though nobody says how long they are', async () => {
      const tags = Array.from({ length: 100_000 }, (_, at) => `tag-${at}`);
      upstream.handler = (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ name: 'team/app', tags }));
      };

      const statuses = await Promise.all(
        Array.from({ length: 20 }, async () => {
          const response = await ask('/v2/team/app/tags/list');
          await response.arrayBuffer();
          return response.status;
        }),
      );

      expect(new Set(statuses)).toEqual(new Set([200]));
    });

    it('pass on that a registry knows no referrers', async () => {
      const response = await ask(`/v2/team/app/referrers/${digestOf(MANIFEST)}`);

      expect(response.status).toBe(404);
    });

    it('show each account the repositories that it may pull, page by page, and name no other', async () => {
      const names = ['secret/a', 'secret/b', 'team/a', 'secret/c', 'team/b', 'secret/d'];
      upstream.handler = (request, response) => {
        const { searchParams } = new URL(request.url ?? '', upstream.url);
        const from = names.indexOf(searchParams.get('last') ?? '') + 1;
        const page = names.slice(from, from + 2);
        const link =
          from + 2 < names.length
            ? { link: `</v2/_catalog?last=${page.at(-1)}&n=2>; rel="next"` }
            : {};
        response
          .writeHead(200, { 'content-type': 'application/json', ...link })
          .end(JSON.stringify({ repositories: page }));
      };
      const authorization = await gate.account('ann', [
        { repository: 'team/**', actions: ['pull'] },
      ]);

      const all = await ask('/v2/_catalog', { headers: { authorization } });
      const first = await ask('/v2/_catalog?n=1', { headers: { authorization } });
      const nothing = await ask('/v2/_catalog?n=1&last=team/b', { headers: { authorization } });

      expect(await all.json()).toEqual({ repositories: ['team/a', 'team/b'] });
      expect(await first.json()).toEqual({ repositories: ['team/a'] });
      expect(first.headers.get('link')).toBe('</v2/_catalog?last=team%2Fa&n=1>; rel="next"');
      expect(await nothing.json()).toEqual({ repositories: [] });
      expect(nothing.headers.get('link')).toBeNull();
    });
  });

  describe('pushes', () => {
    const begin = () => ask(UPLOADS, { method: 'POST' });
    const accepted = (location: string) =>
      answer(202, '', { location, 'docker-upload-uuid': 'upload-1', range: '0-0' });

    it('S3: refuse an upload address on another host; nothing is sent there', async () => {
      upstream.queue(
        accepted(new URL('/upload', elsewhere.url).href),
        accepted(new URL('/upload', elsewhere.url).href),
      );

      const response = await begin();

      expect(response.status).toBe(502);
      expect(elsewhere.requests).toEqual([]);
    });

    it('go on at the very address that the upstream gave, to the letter', async () => {
      const signed = '/up~load/x%20y?sig=a%2Bb~c&state=%7e';
      upstream.queue(accepted(signed), accepted(signed), answer(201, '', { location: '/v2/x' }));
      const first = await begin();

      const second = await ask(first.headers.get('location') ?? '', {
        method: 'PATCH',
        body: BLOB,
      });
      const last = await ask(`${second.headers.get('location')}&digest=${digestOf(BLOB)}`, {
        method: 'PUT',
      });

      expect([first.status, second.status, last.status]).toEqual([202, 202, 201]);
      expect(upstream.requests.slice(-2).map(({ method, url }) => `${method} ${url}`)).toEqual([
        `PATCH ${signed}`,
        `PUT ${signed}&digest=${encodeURIComponent(digestOf(BLOB))}`,
      ]);
      expect(upstream.requests.at(-2)?.received).toBe(BLOB.length);
      expect(first.headers.get('location')).toMatch(
        /^\/v2\/team\/app\/blobs\/uploads\/upload-1\?_state=[\w-]+$/,
      );
      expect(last.headers.get('location')).toBe(`/v2/team/app/blobs/${digestOf(BLOB)}`);
    });

    it('send nothing of the client’s upstream but the body and what describes it', async () => {
      upstream.queue(accepted('/up'), accepted('/up'));
      const first = await begin();

      await ask(first.headers.get('location') ?? '', {
        method: 'PATCH',
        body: BLOB,
        headers: {
          cookie: 'a=b',
          'x-forwarded-for': '192.0.2.1',
          'proxy-authorization': 'Basic eDp5',
          'user-agent': 'secret-agent',
        },
      });

      const { headers } = upstream.requests.at(-1)!;
      const own = new Set([
        'host',
        'connection',
        'content-length',
        'content-type',
        'transfer-encoding',
        'authorization',
      ]);
      expect(Object.keys(headers).filter((name) => !own.has(name))).toEqual([]);
    });

    it('ask the client to send a layer again when the upstream refuses the gate’s own token half-way', async () => {
      upstream.queue(accepted('/up'), answer(401, '', { 'www-authenticate': 'Bearer realm="x"' }));
      const first = await begin();

      const second = await ask(first.headers.get('location') ?? '', {
        method: 'PATCH',
        body: BLOB,
      });

      expect([second.status, second.headers.get('retry-after')]).toEqual([503, '5']);
    });

    it('refuse to follow a redirect with a body', async () => {
      upstream.queue(accepted('/up'), redirect(elsewhere.url));
      const first = await begin();

      const second = await ask(first.headers.get('location') ?? '', {
        method: 'PATCH',
        body: BLOB,
      });

      expect(second.status).toBe(502);
      expect(elsewhere.requests).toEqual([]);
    });

    it('take a whole blob in one request, from upstreams that do not, too', async () => {
      upstream.queue(accepted('/up?state=1'), answer(201));

      const response = await ask(`${UPLOADS}?digest=${digestOf(BLOB)}`, {
        method: 'POST',
        body: BLOB,
      });

      expect([response.status, response.headers.get('docker-content-digest')]).toEqual([
        201,
        digestOf(BLOB),
      ]);
      expect(upstream.requests.at(-1)).toMatchObject({ method: 'PUT', received: BLOB.length });
    });

    it('S11: mount only from a repository that the account may pull; else it is an ordinary upload', async () => {
      upstream.handler = (request, response) => {
        if (request.url?.includes('mount=')) response.writeHead(201, { location: '/v2/x' }).end();
        else response.writeHead(202, { location: '/up' }).end();
      };
      const authorization = await gate.account('bob', [
        { repository: 'team/**', actions: ['pull', 'push'] },
      ]);
      const mount = (from: string) =>
        ask(`${UPLOADS}?mount=${digestOf(BLOB)}${from}`, {
          method: 'POST',
          headers: { authorization },
        }).then(({ status }) => status);

      expect(await mount('&from=team/other')).toBe(201);
      expect(await mount('&from=secret')).toBe(202);
      expect(await mount('&from=127.0.0.1:1/team/other')).toBe(202);
      expect(await mount('')).toBe(202);
      expect(upstream.requests.map(({ url }) => url).join()).not.toContain('secret');
    });

    it.each([400, 403, 404, 405])(
      'fall back to an ordinary upload where a mount is answered %d',
      async (refusal) => {
        upstream.handler = (request, response) => {
          if (request.url?.includes('mount=')) response.writeHead(refusal).end();
          else response.writeHead(202, { location: '/up' }).end();
        };

        const response = await ask(`${UPLOADS}?mount=${digestOf(BLOB)}&from=team/other`, {
          method: 'POST',
        });

        expect(response.status).toBe(202);
      },
    );

    it('F1: tell that the upstream is away, and are over at once', async () => {
      await upstream.close();
      const began = Date.now();

      const response = await begin();

      expect(response.status).toBe(503);
      expect(Date.now() - began).toBeLessThan(5_000);
      expect(await (await fetch(`${gate.url}/health`)).json()).toEqual({ status: 'degraded' });
      expect(await (await ask('/health')).json()).toMatchObject({
        checks: { upstream: { status: 'degraded' } },
      });
      upstream = await FaultServer.start();
    });
  });
});
