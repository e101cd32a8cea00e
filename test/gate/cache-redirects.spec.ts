import type { IncomingMessage, ServerResponse } from 'node:http';
import { CacheFolder } from '../support/cache-folder';
import { answer, FaultServer, redirect } from '../support/fault-server';
import { startGate, type Gate } from '../support/gate';
import { basic, sha256 } from '../support/http';
import { imageOf, layersWith, MIB, type Image } from '../support/images';
import { atTheEnd, eventually } from '../support/lifecycle';
import { visit, type Visitor } from '../support/stand';

const ROBOT = { username: 'robot', password: 'only-the-registry-may-see-it' };
const SIGNATURE = 'signature-that-no-log-may-hold';

interface Scene {
  registry: FaultServer;
  cdn: FaultServer;
  gate: Gate;
  who: Visitor;
  image: Image;
  layer: string;
  bytes: Buffer;
}

/** A registry that keeps its blobs on another host, behind addresses that are signed anew with each request. */
async function scene(env: Record<string, string> = {}): Promise<Scene> {
  const own = [basic(ROBOT).authorization];
  const [registry, cdn] = [await FaultServer.start({ own }), await FaultServer.start()];
  atTheEnd(() => Promise.all([registry.close(), cdn.close()]));
  const image = imageOf(layersWith(4 * MIB));
  const [layer, bytes] = [...image.blobs].at(-1)!;
  let signed = 0;
  registry.handler = (request, response, seen) => {
    const { authorization } = request.headers;
    if (authorization !== basic(ROBOT).authorization)
      return answer(401, '{}', { 'www-authenticate': 'Basic realm="registry"' })(
        request,
        response,
        seen,
      );
    const [, noun, reference] = /\/(blobs|manifests)\/([^?]+)$/.exec(request.url ?? '') ?? [];
    if (noun === 'blobs' && image.blobs.has(reference ?? '')) {
      signed += 1;
      const to = new URL(`/store/${reference}?sig=${SIGNATURE}-${signed}`, cdn.url);
      return redirect(to)(request, response, seen);
    }
    if (noun === 'manifests')
      return answer(200, image.manifest, {
        'content-type': image.mediaType,
        'docker-content-digest': image.digest,
      })(request, response, seen);
    return answer(404, '{}')(request, response, seen);
  };
  cdn.handler = (request, response) => serve(request, response, image);
  const gate = await startGate({
    UPSTREAM_REGISTRY: registry.url.origin,
    UPSTREAM_USERNAME: ROBOT.username,
    UPSTREAM_PASSWORD: ROBOT.password,
    LOG_LEVEL: 'debug',
    ...env,
  });
  const who = await visit(gate, await gate.addAccount(), 'team/app', 'pull');
  return { registry, cdn, gate, who, image, layer, bytes };
}

/** The bytes of that blob, or the part of them that is asked for; `until` breaks the connection there. */
function serve(request: IncomingMessage, response: ServerResponse, image: Image, until?: number) {
  const bytes = image.blobs.get(/sha256:\w+/.exec(request.url ?? '')?.[0] ?? '');
  if (!bytes) return void response.writeHead(404).end();
  const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const part = request.headers.range
    ? { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` }
    : {};
  response.writeHead(request.headers.range ? 206 : 200, {
    'content-length': bytes.length - from,
    ...part,
  });
  if (until === undefined) response.end(bytes.subarray(from));
  else response.write(bytes.subarray(from, until), () => response.destroy());
}

const gets = ({ requests }: FaultServer, what: string) =>
  requests.filter(({ method, url, headers }) => {
    return (
      method === 'GET' && url.includes(what) && (!url.startsWith('/v2') || headers.authorization)
    );
  });

describe('a registry that leads to its blobs on another host, followed', () => {
  it('is pulled from once, held, and nobody else ever sees its credentials', async () => {
    const { registry, cdn, gate, who, image, layer } = await scene();

    for (let round = 0; round < 2; round += 1) {
      expect((await who.ask(`/v2/team/app/manifests/${image.digest}`)).body).toEqual(
        image.manifest,
      );
      for (const [digest, bytes] of image.blobs) {
        const pulled = await who.ask(`/v2/team/app/blobs/${digest}`);
        expect(pulled.status).toBe(200);
        expect(pulled.headers.location).toBeUndefined();
        expect(pulled.body.equals(bytes)).toBe(true);
      }
      await eventually('all is held', () => {
        return new CacheFolder(gate).digests().length === image.blobs.size + 1;
      });
    }

    expect(gets(cdn, layer)).toHaveLength(1);
    expect(gets(registry, layer)).toHaveLength(1);
    expect(gate.output()).not.toContain(SIGNATURE);
    expect(gate.output()).not.toContain(ROBOT.password);
  });

  it('is asked for a fresh address when the signed one expires in the middle of a pull', async () => {
    const { registry, cdn, gate, who, image, layer, bytes } = await scene();
    const expired = (url = '') => url.endsWith('-1');
    let begun = 0;
    cdn.handler = (request, response) => {
      if (!expired(request.url)) return serve(request, response, image);
      begun += 1;
      if (begun === 1) return serve(request, response, image, MIB);
      response.writeHead(403).end('<Error>Request has expired</Error>');
    };

    const pulled = await who.ask(`/v2/team/app/blobs/${layer}`);

    expect(pulled.status).toBe(200);
    expect(sha256(pulled.body)).toBe(layer);
    expect(gets(registry, layer)).toHaveLength(2);
    const ranges = gets(cdn, layer).map(({ headers }) => headers.range);
    expect(ranges[0]).toBeUndefined();
    expect(ranges.at(-1)).toMatch(/^bytes=\d+-/);
    await eventually('it is held', () => new CacheFolder(gate).digests().includes(layer));
    const again = await who.ask(`/v2/team/app/blobs/${layer}`);
    expect(again.body.equals(bytes)).toBe(true);
    expect(again.headers['cache-status']).toBe('tidegate; hit');
  });

  it('S5: does not get wrong bytes of that host past the gate', async () => {
    const { cdn, gate, who, layer, bytes } = await scene();
    const wrong = Buffer.from(bytes);
    wrong[bytes.length >> 1] = (wrong[bytes.length >> 1] ?? 0) ^ 1;
    cdn.queue(answer(200, wrong));

    await expect(who.ask(`/v2/team/app/blobs/${layer}`)).rejects.toThrow(/aborted|hang up|reset/);
    const again = await who.ask(`/v2/team/app/blobs/${layer}`);

    expect(again.body.equals(bytes)).toBe(true);
    expect(gets(cdn, layer)).toHaveLength(2);
    expect(gate.output()).not.toContain(SIGNATURE);
  });

  it('is tried again where that host fails: the next pull asks for a fresh address', async () => {
    const { cdn, who, layer, bytes } = await scene();
    cdn.queue(answer(403, '<Error/>'), answer(403, '<Error/>'));

    const refused = await who.ask(`/v2/team/app/blobs/${layer}`);
    cdn.queue();
    await eventually('it comes', async () => {
      return (await who.ask(`/v2/team/app/blobs/${layer}`)).body.equals(bytes);
    });

    // Not the registry's word: no refusal of the client's.
    expect(refused.status === 502 || refused.body.equals(bytes)).toBe(true);
  });
});

describe('UPSTREAM_REDIRECTS=pass', () => {
  it('sends the client there, holds no blob, and still holds manifests', async () => {
    const { registry, cdn, gate, who, image, layer } = await scene({ UPSTREAM_REDIRECTS: 'pass' });

    const sent = [
      await who.ask(`/v2/team/app/blobs/${layer}`),
      await who.ask(`/v2/team/app/blobs/${layer}`, { headers: { range: 'bytes=0-9' } }),
    ];
    const manifests = [await who.ask(`/v2/team/app/manifests/${image.digest}`)];
    await eventually('it is held', () => new CacheFolder(gate).digests().length > 0);
    manifests.push(await who.ask(`/v2/team/app/manifests/${image.digest}`));

    for (const { status, headers, body } of sent) {
      expect(status).toBe(307);
      expect(headers.location).toMatch(
        new RegExp(`^${cdn.url.origin}/store/${layer}\\?sig=${SIGNATURE}-\\d+$`),
      );
      expect(headers['cache-status']).toContain('tidegate; fwd=bypass');
      expect(body).toHaveLength(0);
    }
    expect(cdn.requests).toEqual([]);
    expect(manifests.map(({ body }) => body.equals(image.manifest))).toEqual([true, true]);
    expect(manifests[1]?.headers['cache-status']).toBe('tidegate; hit');
    expect(gets(registry, '/manifests/')).toHaveLength(1);
    expect(new CacheFolder(gate).digests()).toEqual([image.digest]);
    expect(gate.output()).not.toContain(SIGNATURE);
  });

  it('follows redirects within the registry itself, since the client cannot', async () => {
    const { registry, who, layer, bytes } = await scene({ UPSTREAM_REDIRECTS: 'pass' });
    registry.queue(
      redirect('/elsewhere'),
      answer(200, bytes, { 'content-type': 'application/octet-stream' }),
    );

    const pulled = await who.ask(`/v2/team/app/blobs/${layer}`);

    expect([pulled.status, pulled.status === 200 && pulled.body.equals(bytes)]).toEqual([
      200,
      true,
    ]);
  });

  it('does not send clients where the gate itself may not go', async () => {
    const { registry, who, layer } = await scene({ UPSTREAM_REDIRECTS: 'pass' });
    registry.queue(
      redirect('ftp://127.0.0.1/x'),
      redirect('http://169.254.169.254/latest/meta-data'),
    );

    const answers = [
      await who.ask(`/v2/team/app/blobs/${layer}`),
      await who.ask(`/v2/team/app/blobs/${layer}`),
    ];

    expect(answers.map(({ status }) => status)).toEqual([502, 502]);
  });
});

it('blobs of no size come too, wherever they lie', async () => {
  const { cdn, who, registry } = await scene();
  const empty = sha256('');
  registry.queue(redirect(new URL(`/store/${empty}`, cdn.url)));
  cdn.queue(answer(200, ''));

  const pulled = await who.ask(`/v2/team/app/blobs/${empty}`);

  expect([pulled.status, pulled.body.length]).toEqual([200, 0]);
});
