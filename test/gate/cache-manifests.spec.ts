/** Manifests out of the cache: byte for byte, in the kind that was asked for, and asked for upstream no more than needed. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import { answer } from '../support/fault-server';
import { errorCode, sha256, unique } from '../support/http';
import {
  heldManifest,
  IMAGE,
  INDEX,
  manifestOf,
  SCHEMA_2,
  ScriptedRegistry,
  sha512,
  SIGNED,
  signedManifest,
} from '../support/scripted-registry';

const MIB = 1024 * 1024;

let upstream: ScriptedRegistry;
let stand: CachedStand;

beforeAll(async () => {
  upstream = await ScriptedRegistry.start();
  stand = await CachedStand.open(upstream.settings);
});

beforeEach(() => {
  upstream.fault = () => undefined;
  upstream.server.requests.length = 0;
});

const at = (reference: string) => `/v2/team/app/manifests/${reference}`;
const accept = (...types: string[]) => ({ headers: { accept: types.join(', ') } });

/** An index, spaced as no program would write it. */
function indexOf(...manifests: { mediaType: string; digest: string; bytes: Buffer }[]) {
  const described = manifests.map(({ mediaType, digest, bytes }) => ({
    mediaType,
    digest,
    size: bytes.length,
    platform: { os: 'linux', architecture: 'amd64' },
  }));
  const text = JSON.stringify(
    { manifests: described, mediaType: INDEX, schemaVersion: 2 },
    null,
    7,
  );
  return heldManifest(`\r\n\t ${text.replaceAll('\n', '\r\n \t')}  \n\n`, INDEX);
}

describe('bytes', () => {
  it('odd spacing, odd order and odd characters are kept, fetched and held, by tag and by digest', async () => {
    const odd = heldManifest(
      `  {"layers" :[ ],\n\n"config":{"digest":"${sha256('{}')}","size":2.0,"mediaType":"a\\u002fb"},` +
        '"schemaVersion":2,"schemaVersion":2,"annotations":{"ö":"\ud83d\ude00\\/"}}\n\t ',
    );
    upstream.manifest('team/app', 'odd', odd);

    const fetched = await stand.ask(at('odd'));
    const held = await stand.untilHit(at('odd'));
    const byDigest = await stand.untilHit(at(odd.digest));

    for (const got of [fetched, held, byDigest]) {
      expect([got.status, got.body.equals(odd.bytes)]).toEqual([200, true]);
      expect(got.headers['docker-content-digest']).toBe(odd.digest);
      expect(got.headers['content-type']).toBe(IMAGE);
      expect(got.headers['content-length']).toBe(String(odd.bytes.length));
    }
  });

  it('an index is given untouched, and so is each manifest that it names', async () => {
    const [one, two] = [manifestOf([randomBytes(5)]), manifestOf([randomBytes(5)])];
    const index = indexOf(one, two);
    upstream.manifest('team/app', 'index', index);
    upstream.manifest('team/app', undefined, one);
    upstream.manifest('team/app', undefined, two);

    for (const [reference, { bytes, mediaType }] of [
      ['index', index],
      [index.digest, index],
      [one.digest, one],
      [two.digest, two],
    ] as const) {
      await stand.ask(at(reference));
      const got = await stand.untilHit(at(reference));
      expect([reference, got.body.equals(bytes)]).toEqual([reference, true]);
      expect(got.headers['content-type']).toBe(mediaType);
    }
  });

  it('a sha512 digest is held, and verified', async () => {
    const manifest = manifestOf([randomBytes(5)]);
    const digest = sha512(manifest.bytes);
    upstream.manifest('team/app', undefined, { ...manifest, digest });
    upstream.manifest('team/app', 'sha512', { ...manifest, digest });

    const byTag = await stand.untilHit(at('sha512'));
    const byDigest = await stand.untilHit(at(digest));

    expect(stand.holds(digest)).toBe(true);
    for (const got of [byTag, byDigest]) {
      expect(got.headers['docker-content-digest']).toBe(digest);
      expect(got.body.equals(manifest.bytes)).toBe(true);
    }
    const other = manifestOf([randomBytes(5)]);
    const wrong = sha512('something else');
    upstream.manifest('team/app', undefined, { ...other, digest: wrong });
    expect((await stand.ask(at(wrong))).status).toBe(502);
    expect(stand.holds(wrong)).toBe(false);
  });

  it('one that is signed within passes, by tag and by digest', async () => {
    const payload = '{\n   "schemaVersion": 1,\n   "name": "team/app",\n   "tag": "signed"';
    const signed = signedManifest(payload);
    upstream.manifest('team/app', 'signed', signed);

    for (const reference of ['signed', signed.digest]) {
      for (let n = 0; n < 2; n += 1) {
        const got = await stand.ask(at(reference), accept(SIGNED, SCHEMA_2));
        expect([reference, got.status, got.body.equals(signed.bytes)]).toEqual([
          reference,
          200,
          true,
        ]);
        expect(got.headers['docker-content-digest']).toBe(signed.digest);
        expect(got.headers['content-type']).toBe(SIGNED);
      }
    }
  });

  it.each([
    ['announced', {}],
    ['not announced', { 'content-length': undefined }],
  ])('over 4 MiB, %s, is 502, and nothing is kept', async (_, length) => {
    const large = heldManifest(`{"schemaVersion":2,"a":"${'x'.repeat(4 * MIB)}"}`);
    const before = stand.files().length;
    upstream.fault = () =>
      answer(200, large.bytes, {
        'content-type': IMAGE,
        'docker-content-digest': large.digest,
        ...length,
      });

    for (const reference of ['large', large.digest]) {
      const got = await stand.ask(at(reference));
      expect([reference, got.status, errorCode(got)]).toEqual([reference, 502, 'UNAVAILABLE']);
    }

    expect(stand.holds(large.digest)).toBe(false);
    expect(stand.files()).toHaveLength(before);
  });

  it('of exactly 4 MiB is held', async () => {
    const frame = '{"schemaVersion":2,"a":""}';
    const text = frame.replace('""', `"${'x'.repeat(4 * MIB - frame.length)}"`);
    const large = heldManifest(text);
    upstream.manifest('team/app', 'just', large);

    expect((await stand.ask(at('just'))).status).toBe(200);
    expect((await stand.untilHit(at(large.digest))).body.equals(large.bytes)).toBe(true);
  });
});

describe('Accept', () => {
  it('one who takes only schema 2 of an index’s tag: the upstream is asked with their Accept', async () => {
    const [image, old] = [manifestOf([randomBytes(5)]), manifestOf([randomBytes(5)], SCHEMA_2)];
    const index = indexOf(image);
    upstream.manifest('team/app', 'many', index, old);
    await stand.untilHit(at('many'), accept(INDEX, IMAGE));
    upstream.server.requests.length = 0;

    const got = await stand.ask(at('many'), accept(SCHEMA_2));
    const head = await stand.ask(at('many'), { ...accept(SCHEMA_2), method: 'HEAD' });
    const modern = await stand.ask(at('many'), accept(INDEX, IMAGE));

    for (const answered of [got, head]) {
      expect([answered.status, answered.headers['content-type']]).toEqual([200, SCHEMA_2]);
      expect(answered.headers['docker-content-digest']).toBe(old.digest);
    }
    expect(got.body.equals(old.bytes)).toBe(true);
    const asked = upstream.server.requests.map(
      ({ method, headers }) => `${method} ${headers.accept}`,
    );
    expect(asked).toEqual([`GET ${SCHEMA_2}`, `HEAD ${SCHEMA_2}`]);
    expect(modern.headers['cache-status']).toBe('tidegate; hit');
    expect(modern.body.equals(index.bytes)).toBe(true);
  });

  it('and when they come first, those after them get the index all the same', async () => {
    const [image, old] = [manifestOf([randomBytes(5)]), manifestOf([randomBytes(5)], SCHEMA_2)];
    const index = indexOf(image);
    upstream.manifest('team/app', 'old-first', index, old);

    const first = await stand.ask(at('old-first'), accept(SCHEMA_2));
    const second = await stand.ask(at('old-first'), accept(INDEX, SCHEMA_2, IMAGE));
    const third = await stand.ask(at('old-first'), accept(SCHEMA_2));

    expect([first, second, third].map(({ headers }) => headers['content-type'])).toEqual([
      SCHEMA_2,
      INDEX,
      SCHEMA_2,
    ]);
  });

  it.each([
    ['no Accept at all', undefined],
    ['*/*', '*/*'],
    ['application/*', 'application/*'],
  ])('%s takes what there is', async (_, value) => {
    const index = indexOf(manifestOf([randomBytes(5)]));
    const tag = unique('any-');
    upstream.manifest('team/app', tag, index);

    const headers: Record<string, string> = value === undefined ? {} : { accept: value };
    const got = await stand.ask(at(tag), { headers });

    expect([got.status, got.headers['content-type'], got.body.equals(index.bytes)]).toEqual([
      200,
      INDEX,
      true,
    ]);
  });
});

describe('If-None-Match', () => {
  it.each(['GET', 'HEAD'])('with the digest is 304 to a %s, without a body', async (method) => {
    const manifest = manifestOf([randomBytes(5)]);
    const tag = unique('known-');
    upstream.manifest('team/app', tag, manifest);
    const etag = `"${manifest.digest}"`;

    for (const reference of [tag, manifest.digest]) {
      await stand.untilHit(at(reference));
      for (const value of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
        const got = await stand.ask(at(reference), { method, headers: { 'if-none-match': value } });
        expect([reference, value, got.status, got.body.length]).toEqual([reference, value, 304, 0]);
        expect(got.headers.etag).toBe(etag);
      }
      const other = await stand.ask(at(reference), {
        method,
        headers: { 'if-none-match': '"other"' },
      });
      expect(other.status).toBe(200);
    }
  });
});
