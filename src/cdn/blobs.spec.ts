/** Blobs before one registry: what is asked of it, what is held, and what each reader is told. */
import { contentOf } from '../../test/support/content-room';
import { contentWorld } from '../../test/support/content-world';
import { answer, corrupt, type Behaviour } from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';

const AHEAD = 16 * 1024 * 1024;

const chunked =
  (bytes: Buffer): Behaviour =>
  (request, response) => {
    response.writeHead(200);
    response.end(request.method === 'HEAD' ? undefined : bytes);
  };

describe('a blob that is not held', () => {
  it('is fetched once, held, and served from there', async () => {
    const { ask, blob, untilHeld, origin } = await contentWorld();
    const { bytes, digest } = blob(100_000);

    expect(await ask(digest)).toEqual({
      told: 'tidegate; fwd=miss; fwd-status=200; stored',
      status: 200,
      size: bytes.length,
      length: bytes.length,
      bytes,
    });
    await untilHeld(digest);
    await eventually('it is a hit', async () => (await ask(digest)).told === 'tidegate; hit');

    expect((await ask(digest)).bytes).toEqual(bytes);
    expect(origin.asked('GET')).toHaveLength(1);
  });

  it('is described without being fetched', async () => {
    const { ask, blob, isHeld, origin } = await contentWorld();
    const { digest } = blob(1000);

    expect(await ask(digest, undefined, { method: 'HEAD' })).toEqual({
      told: 'tidegate; fwd=miss; fwd-status=200',
      status: 200,
      size: 1000,
    });
    expect(await isHeld(digest)).toBe(false);
    expect(origin.asked()).toEqual([`HEAD /v2/team/app/blobs/${digest}`]);
  });

  it('is described as the registry does: where that leaves out the size, there is none', async () => {
    const { ask, blob, origin } = await contentWorld();
    const { bytes, digest } = blob(1000);
    origin.fault = () => chunked(bytes);

    const { status, size } = await ask(digest, undefined, { method: 'HEAD' });

    expect([status, size]).toEqual([200, undefined]);
  });

  it.each([
    ['GET', undefined, 'tidegate; fwd=miss'],
    ['HEAD', undefined, 'tidegate; fwd=miss'],
    ['GET', 'bytes=5-9', 'tidegate; fwd=miss'],
  ] as const)('and not there, is not there: %s %p', async (method, range, told) => {
    const { ask } = await contentWorld();

    expect(await ask(contentOf(5).digest, range, { method })).toMatchObject({
      told,
      code: 'BLOB_UNKNOWN',
    });
  });

  it('breaks off before its end where it is another, and is not held', async () => {
    const { ask, blob, origin, cache, isHeld } = await contentWorld();
    const { bytes, digest } = blob(100_000);
    origin.fault = () => corrupt(bytes, 5);

    expect((await ask(digest)).bytes).toBe('broken');

    await eventually('the fetch is over', () => cache?.downloads.all.length === 0);
    expect(await isHeld(digest)).toBe(false);
  });

  it('is not called held where it cannot be', async () => {
    const { ask, blob, isHeld } = await contentWorld({ maxSize: 50_000 });
    const { bytes, digest } = blob(100_000);

    const got = await ask(digest);

    expect([got.told, got.bytes]).toEqual(['tidegate; fwd=miss; fwd-status=200', bytes]);
    expect(await isHeld(digest)).toBe(false);
  });

  it('streams past a cache whose disk is full', async () => {
    const { ask, blob, cache, isHeld } = await contentWorld();
    const { bytes, digest } = blob(100_000);
    cache?.capacity.noteFull(Object.assign(new Error('full'), { code: 'ENOSPC' }));

    const got = await ask(digest);

    expect([got.told, got.bytes]).toEqual(['tidegate; fwd=miss; fwd-status=200', bytes]);
    expect(await isHeld(digest)).toBe(false);
  });

  it('has no size where the registry does not say, and is right all the same', async () => {
    const { ask, blob, origin } = await contentWorld();
    const { bytes, digest } = blob(1000);
    origin.fault = () => chunked(bytes);

    for (const range of [undefined, 'bytes=0-'])
      expect(await ask(digest, range)).toMatchObject({ status: 200, size: undefined, bytes });
  });
});

describe('a part of a blob that is not held', () => {
  it.each([
    ['bytes=10-19', 10, 20, 'bytes=10-19'],
    ['bytes=0-9', 0, 10, 'bytes=0-9'],
    ['bytes=900-2000', 900, 1000, 'bytes=900-2000'],
  ])('with an end, %s, is fetched alone', async (range, from, to, forwarded) => {
    const { ask, blob, isHeld, origin } = await contentWorld();
    const { bytes, digest } = blob(1000);

    expect(await ask(digest, range)).toEqual({
      told: 'tidegate; fwd=miss; fwd-status=200',
      status: 206,
      size: 1000,
      range: { from, to },
      length: to - from,
      bytes: bytes.subarray(from, to),
    });
    expect(origin.server.requests.map(({ headers }) => headers.range)).toEqual([forwarded]);
    expect(await isHeld(digest)).toBe(false);
  });

  it.each([
    ['bytes=0-', 0],
    ['bytes=5-', 5],
  ])('without one, %s, is a reader of all of it, which is held', async (range, from) => {
    const { ask, blob, untilHeld, origin } = await contentWorld();
    const { bytes, digest } = blob(1000);

    expect(await ask(digest, range)).toMatchObject({
      told: 'tidegate; fwd=miss; fwd-status=200; stored',
      status: 206,
      range: { from, to: 1000 },
      bytes: bytes.subarray(from),
    });
    await untilHeld(digest);
    expect(origin.server.requests.map(({ headers }) => headers.range)).toEqual([undefined]);
  });

  it('that begins far from the beginning is asked for by itself', async () => {
    const { ask, blob, origin } = await contentWorld();
    const { digest } = blob(1000);

    const near = await ask(digest, `bytes=${AHEAD}-`);
    const asked = origin.server.requests.map(({ headers }) => headers.range);
    const other = blob(1000);
    origin.fault = () => answer(416);
    const far = await ask(other.digest, `bytes=${AHEAD + 1}-`);

    expect([near.code, far.code]).toEqual(['RANGE_INVALID', 'RANGE_INVALID']);
    expect(near.headers).toEqual({ 'Content-Range': 'bytes */1000' });
    expect(asked).toEqual([undefined]);
    expect(origin.server.requests.at(-1)?.headers.range).toBe(`bytes=${AHEAD + 1}-`);
  });

  it('at its end is asked for once its size is known', async () => {
    const { ask, blob, origin } = await contentWorld();
    const { bytes, digest } = blob(1000);

    expect(await ask(digest, 'bytes=-5')).toMatchObject({
      status: 206,
      range: { from: 995, to: 1000 },
      bytes: bytes.subarray(995),
    });
    expect(origin.server.requests.map((r) => [r.method, r.headers.range])).toEqual([
      ['HEAD', undefined],
      ['GET', 'bytes=995-999'],
    ]);
  });

  it('that lies outside of it is none, and the size is told', async () => {
    const { ask, blob } = await contentWorld();
    const { digest } = blob(1000);

    expect(await ask(digest, 'bytes=-0')).toMatchObject({
      code: 'RANGE_INVALID',
      headers: { 'Content-Range': 'bytes */1000' },
    });
  });

  it('at its end is none where nobody can say where that is', async () => {
    const { ask, blob, origin } = await contentWorld();
    const { bytes, digest } = blob(1000);
    origin.fault = () => chunked(bytes);

    const got = await ask(digest, 'bytes=-5');

    expect([got.code, got.headers]).toEqual(['RANGE_INVALID', {}]);
  });

  it.each([true, false])(
    'is all of it where the registry does not say how much there is (cache %p)',
    async (on) => {
      const { ask, blob, origin } = await contentWorld({ on });
      const { bytes, digest } = blob(1000);
      origin.fault = () => chunked(bytes);

      for (const range of ['bytes=5-9', 'bytes=0-9', 'bytes=5-', 'bytes=0-'])
        expect(await ask(digest, range)).toMatchObject({ status: 200, size: undefined, bytes });
    },
  );

  it('is right where the registry sends all of it', async () => {
    const { ask, blob, origin } = await contentWorld();
    const { bytes, digest } = blob(1000);
    origin.fault = () => answer(200, bytes);

    expect(await ask(digest, 'bytes=5-9')).toMatchObject({
      status: 206,
      range: { from: 5, to: 10 },
      bytes: bytes.subarray(5, 10),
    });
  });
});

describe('a blob that is held', () => {
  it.each([
    ['bytes=0-9', 0, 10],
    ['bytes=100-', 100, 1000],
    ['bytes=-5', 995, 1000],
    ['bytes=990-5000', 990, 1000],
  ])('gives the part %s, and asks nobody', async (range, from, to) => {
    const { ask, held, origin } = await contentWorld();
    const { bytes, digest } = await held(1000);

    expect(await ask(digest, range)).toEqual({
      told: 'tidegate; hit',
      status: 206,
      size: 1000,
      range: { from, to },
      length: to - from,
      bytes: bytes.subarray(from, to),
    });
    expect(origin.asked()).toEqual([]);
  });

  it('gives all of it for what is no range', async () => {
    const { ask, held } = await contentWorld();
    const { bytes, digest } = await held(1000);

    expect(await ask(digest, 'bytes=9-5')).toMatchObject({ status: 200, bytes });
  });

  it.each(['bytes=1000-', 'bytes=-0'])('has no part %s, and says its size', async (range) => {
    const { ask, held } = await contentWorld();
    const { digest } = await held(1000);

    expect(await ask(digest, range)).toMatchObject({
      code: 'RANGE_INVALID',
      headers: { 'Content-Range': 'bytes */1000' },
    });
  });

  it('is described with nobody asked', async () => {
    const { ask, held, origin } = await contentWorld();
    const { digest } = await held(1000);

    expect(await ask(digest, undefined, { method: 'HEAD' })).toEqual({
      told: 'tidegate; hit',
      status: 200,
      size: 1000,
    });
    expect(origin.asked()).toEqual([]);
  });

  it('under another name is opened by the registry’s yes for that name, once', async () => {
    const { ask, held, origin, of } = await contentWorld();
    const { bytes, digest } = await held(1000);
    const source = of('team/other');
    const before = await ask(digest, undefined, { source });
    origin.blob('team/other', bytes);

    const first = await ask(digest, undefined, { source });
    const second = await ask(digest, undefined, { source });

    expect(before).toMatchObject({ told: 'tidegate; fwd=miss', code: 'BLOB_UNKNOWN' });
    expect([first.told, first.bytes]).toEqual(['tidegate; fwd=stale; fwd-status=200', bytes]);
    expect(second.told).toBe('tidegate; hit');
    expect(origin.asked('GET')).toEqual([]);
    expect(origin.asked('HEAD', 'team/other')).toHaveLength(2);
  });

  it('is not what a registry speaks of that tells another size', async () => {
    const { ask, held, origin, of } = await contentWorld();
    const { bytes, digest } = await held(1000);
    const source = of('team/other');
    origin.blob('team/other', bytes);
    origin.fault = ({ method }) =>
      method === 'HEAD' ? answer(200, '', { 'content-length': 999 }) : undefined;

    expect((await ask(digest, undefined, { source })).bytes).toEqual(bytes);

    expect(origin.asked('GET', 'team/other')).toHaveLength(1);
    // What it handed out, it has said yes to.
    await eventually('it is a hit', async () => {
      return (await ask(digest, undefined, { source })).told === 'tidegate; hit';
    });
  });

  it('is what a registry speaks of that tells no size', async () => {
    const { ask, held, origin, of } = await contentWorld();
    const { bytes, digest } = await held(1000);
    const source = of('team/other');
    origin.fault = () => chunked(bytes);

    const first = await ask(digest, undefined, { source });
    const second = await ask(digest, undefined, { source });

    expect([first.told, first.bytes]).toEqual(['tidegate; fwd=stale; fwd-status=200', bytes]);
    expect(second.told).toBe('tidegate; hit');
    expect(origin.asked()).toEqual([`HEAD /v2/team/other/blobs/${digest}`]);
  });

  it('is not opened by a word of another size', async () => {
    const { ask, held, origin, of } = await contentWorld();
    const { digest } = await held(1000);
    const source = of('team/other');
    origin.fault = () => answer(200, '', { 'content-length': 999 });

    for (let n = 0; n < 2; n += 1)
      expect(await ask(digest, undefined, { source, method: 'HEAD' })).toMatchObject({
        told: 'tidegate; fwd=miss; fwd-status=200',
        size: 999,
      });

    expect(origin.asked('HEAD')).toHaveLength(2);
  });

  it('and goes while it is asked about is described by the registry', async () => {
    const { ask, held, cache, origin } = await contentWorld();
    const { digest } = await held(1000);
    const links = await cache?.index.links('reg.example/team/app' as never, digest);
    jest.spyOn(cache!.index, 'links').mockResolvedValue(links ?? []);
    await cache?.index.remove(digest);

    expect(await ask(digest, undefined, { method: 'HEAD' })).toMatchObject({
      told: 'tidegate; fwd=miss; fwd-status=200',
      size: 1000,
    });
    expect(origin.asked()).toHaveLength(1);
  });

  it('under another name stays closed while the registry cannot say', async () => {
    const { ask, held, origin, of } = await contentWorld();
    const { digest } = await held(1000);
    origin.fault = () => answer(503);

    for (const method of ['GET', 'HEAD'] as const)
      expect(await ask(digest, undefined, { source: of('team/other'), method })).toMatchObject({
        code: 'BAD_UPSTREAM',
      });
    expect(origin.asked('GET')).toEqual([]);
  });

  it('whose file is gone is fetched again', async () => {
    const { ask, held, cache, origin } = await contentWorld();
    const { bytes, digest } = await held(100_000);
    await cache?.store.delete(digest);

    expect((await ask(digest)).bytes).toEqual(bytes);
    expect(origin.asked('GET')).toHaveLength(1);
  });
});

describe('a registry whose redirects are passed on', () => {
  it('has its clients fetch by themselves, and nothing is held', async () => {
    const { ask, blob, origin, isHeld } = await contentWorld({ pass: true });
    const { digest } = blob(1000);
    origin.fault = () => answer(307, '', { location: 'https://content.example/x' });

    for (const range of [undefined, 'bytes=5-9'])
      expect(await ask(digest, range)).toEqual({
        told: 'tidegate; fwd=bypass',
        status: 307,
        location: 'https://content.example/x',
      });
    expect(origin.server.requests.map(({ headers }) => headers.range)).toEqual([
      undefined,
      'bytes=5-9',
    ]);
    expect(await isHeld(digest)).toBe(false);
  });

  it.each([
    [undefined, 200, 0, 1000],
    ['bytes=5-9', 206, 5, 10],
    ['bytes=-5', 206, 995, 1000],
  ])('that sends the blob itself: %p', async (range, status, from, to) => {
    const { ask, blob, isHeld, origin } = await contentWorld({ pass: true });
    const { bytes, digest } = blob(1000);

    expect(await ask(digest, range)).toMatchObject({ status, bytes: bytes.subarray(from, to) });

    expect(origin.asked('GET')).toHaveLength(1);
    expect(await isHeld(digest)).toBe(false);
  });
});

it('a part of a blob that its registry sends anyway, and does not reach, is none', async () => {
  const { ask, blob } = await contentWorld({ pass: true });
  const { digest } = blob(0);

  expect(await ask(digest, 'bytes=-5')).toMatchObject({
    code: 'RANGE_INVALID',
    headers: { 'Content-Range': 'bytes */0' },
  });
});

describe('with CACHE=off', () => {
  it('each pull is its own, verified, and told to be none of the cache’s', async () => {
    const { ask, blob, origin } = await contentWorld({ on: false });
    const { bytes, digest } = blob(1000);
    const told = 'tidegate; fwd=bypass; fwd-status=200';

    expect(await ask(digest)).toMatchObject({ told, status: 200, bytes });
    expect(await ask(digest, 'bytes=0-9')).toMatchObject({ told, bytes: bytes.subarray(0, 10) });
    expect(await ask(digest, undefined, { method: 'HEAD' })).toMatchObject({ told, size: 1000 });
    origin.fault = () => corrupt(bytes, 1);
    for (const range of [undefined, 'bytes=0-', 'bytes=0-999', 'bytes=0-2000'])
      expect((await ask(digest, range)).bytes).toBe('broken');
  });

  it('what is not there is not there', async () => {
    const { ask } = await contentWorld({ on: false });

    expect(await ask(contentOf(5).digest)).toMatchObject({
      told: 'tidegate; fwd=bypass',
      code: 'BLOB_UNKNOWN',
    });
  });

  it('an empty blob is one', async () => {
    const { ask, blob, origin } = await contentWorld({ on: false });
    const { digest } = blob(0);

    expect(await ask(digest)).toMatchObject({ status: 200, size: 0 });
    origin.fault = () => answer(416);
    expect(await ask(digest, 'bytes=5-')).toMatchObject({ code: 'RANGE_INVALID' });
  });
});

it('an empty blob is held as any other', async () => {
  const { ask, held } = await contentWorld();
  const { digest } = await held(0);

  expect(await ask(digest)).toMatchObject({ told: 'tidegate; hit', status: 200, size: 0 });
  expect(await ask(digest, 'bytes=0-')).toMatchObject({
    code: 'RANGE_INVALID',
    headers: { 'Content-Range': 'bytes */0' },
  });
});
