/** Every answer says how it came about (RFC 9211), and the request log says the same. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { CachedStand } from '../support/cached-stand';
import { answer, tooManyRequests } from '../support/fault-server';
import { eventually } from '../support/lifecycle';
import { IMAGE, manifestOf, ScriptedRegistry, signedManifest } from '../support/scripted-registry';

let upstream: ScriptedRegistry;
let stand: CachedStand;

beforeAll(async () => {
  upstream = await ScriptedRegistry.start();
  stand = await CachedStand.open(upstream.settings);
});

beforeEach(() => {
  upstream.fault = () => undefined;
});

const at = (reference: string) => `/v2/team/app/manifests/${reference}`;

describe('Cache-Status, and the same in the log', () => {
  /** The header, and the `cache` of the request's line, which has to say the same. */
  async function statusOf(by: CachedStand, path: string, method = 'GET'): Promise<string> {
    const noun = path.includes('/blobs/') ? 'blob' : path.includes('/tags/') ? 'tags' : 'manifest';
    const got = await by.ask(path, { method });
    const line = await eventually('the line is there', () =>
      by.requests(noun).find(({ request }) => request === got.headers['x-request-id']),
    );
    const header = String(got.headers['cache-status']);
    expect([path, `tidegate; ${line.cache}`]).toEqual([path, header]);
    return header;
  }

  it('tells of manifests how they came about', async () => {
    upstream.manifest('team/app', 'told', manifestOf([randomBytes(5)]));
    const eager = await CachedStand.open({ ...upstream.settings, CACHE_TAG_TTL: '0s' });

    const miss = await statusOf(stand, at('told'));
    await stand.untilHit(at('told'));
    const hit = await statusOf(stand, at('told'));
    const head = await statusOf(stand, at('told'), 'HEAD');
    const negative = [await statusOf(stand, at('none')), await statusOf(stand, at('none'))];
    await eager.ask(at('told'));
    const stale = await eventually('revalidated', async () => {
      const status = await statusOf(eager, at('told'));
      return status.includes('fwd=stale') && status;
    });
    upstream.fault = () => tooManyRequests('60');
    const served = await statusOf(eager, at('told'));

    expect(miss).toBe('tidegate; fwd=miss; fwd-status=200; stored');
    expect([hit, head]).toEqual(['tidegate; hit', 'tidegate; hit']);
    expect(negative[0]).toMatch(/^tidegate; fwd=miss/);
    expect(negative[1]).toMatch(/^tidegate; hit; detail=/);
    expect(stale).toBe('tidegate; fwd=stale; fwd-status=200');
    expect(served).toMatch(/^tidegate; fwd=stale(?:; detail="[^"]+")?$/);
  });

  it('tells of blobs how they came about', async () => {
    const bytes = randomBytes(100_000);
    const path = `/v2/team/app/blobs/${upstream.blob('team/app', bytes)}`;
    const twin = path.replace('team/app', 'team/twin');
    upstream.blob('team/twin', bytes);

    const head = await statusOf(stand, path, 'HEAD');
    const miss = await statusOf(stand, path);
    await stand.untilHit(path);
    const hit = await statusOf(stand, path);
    const unlinked = await statusOf(stand, twin);
    const linked = await statusOf(stand, twin);

    expect(head).toMatch(/^tidegate; fwd=miss; fwd-status=200/);
    expect(miss).toBe('tidegate; fwd=miss; fwd-status=200; stored');
    expect(hit).toBe('tidegate; hit');
    expect(unlinked).toBe('tidegate; fwd=stale; fwd-status=200');
    expect(linked).toBe('tidegate; hit');
  });

  it('says bypass of listings, and of everything with CACHE=off, which holds nothing', async () => {
    const bytes = randomBytes(1000);
    const path = `/v2/team/app/blobs/${upstream.blob('team/app', bytes)}`;
    const manifest = manifestOf([bytes]);
    upstream.manifest('team/app', 'off', manifest);
    const off = await CachedStand.open({ ...upstream.settings, CACHE: 'off' });
    upstream.fault = ({ url }) =>
      url.includes('/tags/') ? answer(200, '{"name":"team/app","tags":["off"]}') : undefined;

    const listing = await statusOf(stand, '/v2/team/app/tags/list');
    const both = [
      await statusOf(off, path),
      await statusOf(off, at('off')),
      await statusOf(off, at(manifest.digest)),
      await statusOf(off, at('off'), 'HEAD'),
      await statusOf(off, path, 'HEAD'),
    ];

    expect(listing).toMatch(/^tidegate; fwd=bypass/);
    for (const status of both) {
      expect(status).toMatch(/^tidegate; fwd=bypass/);
      expect(status).not.toContain('stored');
    }
    expect((await off.ask(path)).body.equals(bytes)).toBe(true);
    expect(existsSync(join(off.dataDir, 'cache'))).toBe(false);
  });

  it('does not say stored of what cannot be held', async () => {
    const signed = signedManifest('{\n   "schemaVersion": 1,\n   "tag": "unheld"');
    upstream.manifest('team/app', 'unheld', signed);

    const got = await stand.ask(at('unheld'));

    expect(got.status).toBe(200);
    expect(got.headers['cache-status']).not.toContain('stored');
  });

  it('does not say stored of a blob that is larger than all that may be held', async () => {
    const small = await CachedStand.open({ ...upstream.settings, CACHE_MAX_SIZE: '64KiB' });
    const path = `/v2/team/app/blobs/${upstream.blob('team/app', randomBytes(100_000))}`;

    const got = await small.ask(path);

    expect([got.status, got.body.length]).toEqual([200, 100_000]);
    expect(got.headers['cache-status']).toBe('tidegate; fwd=miss; fwd-status=200');
  });

  it('says method of a push, and is there on refusals of the upstream too', async () => {
    const manifest = manifestOf([randomBytes(5)]);
    const sending = { method: 'PUT', headers: { 'content-type': IMAGE }, body: manifest.bytes };
    const put = await stand.ask(at('pushed'), sending);
    upstream.fault = () => answer(500);
    const failed = await stand.ask(at('failed'));

    expect(put.headers['cache-status']).toMatch(/^tidegate; fwd=method/);
    expect(failed.headers['cache-status']).toMatch(/^tidegate; fwd=miss/);
  });
});
