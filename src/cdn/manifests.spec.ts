/** Manifests before one registry: by tag and by digest, held and asked for again, and while the registry is away. */
import { NAME } from '../../test/support/content-world';
import { answer, reset, stall } from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';
import {
  described,
  FIRST,
  manifestWorld,
  MISS,
  SECOND,
  whole,
} from '../../test/support/manifest-world';
import { IMAGE, SIGNED, signedManifest } from '../../test/support/scripted-registry';
import { GATE_ACCEPTS } from './questions';

describe('a manifest by its tag', () => {
  it('is fetched once, in the gate’s own words, and held', async () => {
    const { ask, origin, untilHeld } = await manifestWorld();
    origin.manifest(NAME, '1', FIRST);

    expect(await ask('1', { accept: IMAGE })).toMatchObject({ told: MISS, ...whole(FIRST) });
    await untilHeld(FIRST.digest);
    await eventually('it is a hit', async () => (await ask('1')).told === 'tidegate; hit');

    expect(await ask('1')).toMatchObject(whole(FIRST));
    expect(origin.asked()).toEqual(['GET /v2/team/app/manifests/1']);
    expect(origin.server.requests[0]?.headers.accept).toBe(GATE_ACCEPTS);
  });

  it('is fetched once for many who ask at once, and those who joined are told', async () => {
    const { ask, origin } = await manifestWorld();
    origin.manifest(NAME, '1', FIRST);

    const all = await Promise.all([ask('1'), ask('1'), ask('1')]);

    expect(all.map(({ told }) => told)).toEqual([MISS, `${MISS}; collapsed`, `${MISS}; collapsed`]);
    expect(all.map(({ text }) => text)).toEqual(Array(3).fill(FIRST.bytes.toString()));
    expect(origin.asked()).toHaveLength(1);
  });

  it('is asked for again by HEAD when that is too long ago', async () => {
    const { ask, held, origin } = await manifestWorld({ tagTtl: 0 });
    await held();

    expect(await ask('1')).toMatchObject({
      told: 'tidegate; fwd=stale; fwd-status=200',
      ...whole(FIRST),
    });
    expect(origin.asked()).toEqual(['HEAD /v2/team/app/manifests/1']);
  });

  it('that has moved is followed', async () => {
    const { ask, head, held, origin } = await manifestWorld({ tagTtl: 0 });
    await held();
    origin.manifest(NAME, '1', SECOND);

    expect(await head('1')).toMatchObject(described(SECOND));
    expect(await ask('1')).toMatchObject({ told: MISS, ...whole(SECOND) });
    expect(origin.asked('GET')).toEqual([`GET /v2/team/app/manifests/${SECOND.digest}`]);
  });

  it('is fetched anew where a HEAD leaves out what clients must be told', async () => {
    const { ask, head, held, origin } = await manifestWorld({ tagTtl: 0 });
    await held();
    origin.manifest(NAME, '1', SECOND);
    origin.fault = ({ method }) =>
      method === 'HEAD' ? answer(200, '', { 'content-type': IMAGE }) : undefined;

    expect(await ask('1')).toMatchObject({
      told: 'tidegate; fwd=stale; fwd-status=200; stored',
      ...whole(SECOND),
    });
    expect(await head('1')).toMatchObject(described(SECOND));
  });

  it('that is no more is gone, and does not come back when the registry is away', async () => {
    const { ask, head, held, origin, away } = await manifestWorld({ tagTtl: 0 });
    await held();
    origin.remove(NAME, '1');

    expect((await ask('1')).code).toBe('MANIFEST_UNKNOWN');
    const asked = origin.asked().length;
    expect(await ask('1')).toEqual({
      told: 'tidegate; hit; detail="negative"',
      code: 'MANIFEST_UNKNOWN',
    });
    expect((await head('1')).code).toBe('MANIFEST_UNKNOWN');
    expect(origin.asked()).toHaveLength(asked);

    away();
    expect((await ask(FIRST.digest)).told).toBe('tidegate; hit');
    expect((await ask('1')).code).toBe('MANIFEST_UNKNOWN');
  });

  it('whose content is gone meanwhile is asked for where it leads now', async () => {
    const { ask, held, origin, cache } = await manifestWorld();
    await held();
    await cache?.store.delete(FIRST.digest as never);
    origin.remove(NAME, FIRST.digest);
    origin.manifest(NAME, '1', SECOND);

    expect(await ask('1')).toMatchObject({
      told: 'tidegate; fwd=stale; fwd-status=200; stored',
      ...whole(SECOND),
    });
  });

  it('that was pushed or deleted through the gate is asked for again at once', async () => {
    const { ask, held, origin, content, of } = await manifestWorld();
    await held();
    origin.manifest(NAME, '1', SECOND);
    expect((await ask('1')).digest).toBe(FIRST.digest);

    await content.pushed(of(), '1' as never);
    expect((await ask('1')).digest).toBe(SECOND.digest);

    origin.manifest(NAME, '1', FIRST);
    await content.deleted(of(), SECOND.digest as never);
    expect((await ask('1')).digest).toBe(FIRST.digest);
    expect((await ask(SECOND.digest)).told).not.toBe('tidegate; hit');
  });

  it('that was pushed joins no question that was asked before', async () => {
    const { ask, origin, content, of } = await manifestWorld();
    origin.manifest(NAME, '1', FIRST);
    const go = Promise.withResolvers<void>();
    origin.fault = () => async (request, response, seen) => {
      await go.promise;
      const headers = { 'content-type': IMAGE, 'docker-content-digest': FIRST.digest };
      await answer(200, FIRST.bytes, headers)(request, response, seen);
    };
    const before = ask('1');
    await eventually('it is asked', () => origin.asked().length === 1);
    await content.pushed(of(), '1' as never);
    origin.fault = () => undefined;
    origin.manifest(NAME, '1', SECOND);

    const after = await ask('1');
    go.resolve();

    expect([(await before).digest, after.digest]).toEqual([FIRST.digest, SECOND.digest]);
    // What was on its way during the push is no word on where the tag leads.
    expect((await ask('1')).digest).toBe(SECOND.digest);
  });
});

describe('while the registry is away', () => {
  it.each([
    ['errs', () => answer(503)],
    ['resets', () => reset()],
    ['is out of quota', () => answer(429)],
  ])('what is held is served, with a warning, where it %s', async (_how, fault) => {
    const { ask, head, held, origin } = await manifestWorld({ tagTtl: 0 });
    await held();
    origin.fault = fault;

    const got = await ask('1');

    expect(got).toMatchObject({
      told: 'tidegate; fwd=stale; detail="served stale"',
      ...whole(FIRST),
    });
    expect(got.warning).toMatch(
      /^299 - "stale: reg\.example cannot be asked now; this is what it said \d+ s ago"$/,
    );
    expect(Number(/(\d+) s ago/.exec(got.warning ?? '')?.[1])).toBeLessThan(60);
    expect(await head('1')).toMatchObject({
      ...described(FIRST),
      warning: expect.stringContaining('stale: reg.example') as string,
    });
  });

  it('and says nothing, nobody waits long for it', async () => {
    const { ask, held, origin } = await manifestWorld({ tagTtl: 0 });
    await held();
    origin.fault = () => stall();
    const leaving = new AbortController();
    const left = ask('1', { signal: leaving.signal });
    await eventually('it is asked', () => origin.asked().length > 0);
    leaving.abort(new Error('left'));
    await expect(left).rejects.toThrow('left');

    expect((await ask('1')).warning).toContain('stale');
  });

  it('nobody is told anything who has left already', async () => {
    const { ask, held, origin } = await manifestWorld({ tagTtl: 0 });
    await held();
    origin.fault = () => stall();

    const left = ask('1', { signal: AbortSignal.abort(new Error('left')) });

    await expect(left).rejects.toThrow('left');
  });

  it('a tag that is fresh is no question', async () => {
    const { ask, head, held, away } = await manifestWorld();
    await held();
    away();

    expect(await ask('1')).toMatchObject({ told: 'tidegate; hit', warning: undefined });
    expect(await head('1')).toMatchObject({ told: 'tidegate; hit', ...described(FIRST) });
  });

  it('what is not held, or not under that name, or of no type that is taken, is not to be had', async () => {
    const { ask, head, held, away, of, cache } = await manifestWorld({ tagTtl: 0 });
    await held();
    away();
    const source = of('team/other');

    const refused = [
      await ask('2'),
      await ask('1', { source }),
      await ask(FIRST.digest, { source }),
      await head(FIRST.digest, { source }),
      await ask('1', { accept: SIGNED }),
    ];
    expect(refused.map(({ code }) => code)).toEqual(Array(5).fill('BAD_UPSTREAM'));

    await cache?.store.delete(FIRST.digest as never);
    expect((await ask('1')).code).toBe('BAD_UPSTREAM');
  });

  it('what it refuses is refused, however well it is held', async () => {
    const { ask, held, origin, away } = await manifestWorld({ tagTtl: 0 });
    await held();
    origin.fault = () => answer(403);

    expect((await ask('1')).code).toBe('DENIED');

    away();
    expect((await ask('1')).code).toBe('BAD_UPSTREAM');
    expect((await ask(FIRST.digest)).code).toBe('BAD_UPSTREAM');
  });
});

describe('a manifest by its digest', () => {
  it('is fetched once and held, and opens no other name', async () => {
    const { ask, head, origin, untilHeld, of } = await manifestWorld();
    origin.manifest(NAME, undefined, FIRST);

    expect(await ask(FIRST.digest)).toMatchObject({ told: MISS, ...whole(FIRST) });
    await untilHeld(FIRST.digest);
    await eventually('it is a hit', async () => (await ask(FIRST.digest)).told === 'tidegate; hit');
    expect(await head(FIRST.digest)).toMatchObject({ told: 'tidegate; hit', ...described(FIRST) });
    expect(origin.asked()).toHaveLength(1);

    const source = of('team/other');
    expect((await ask(FIRST.digest, { source })).code).toBe('MANIFEST_UNKNOWN');
    expect(origin.asked('team/other')).toEqual([`HEAD /v2/team/other/manifests/${FIRST.digest}`]);
  });

  it.each(['GET', 'HEAD'] as const)(
    'is opened for another name by the registry’s yes to a HEAD: %s',
    async (method) => {
      const { ask, held, origin, of } = await manifestWorld();
      await held();
      const source = of('team/other');
      origin.manifest('team/other', undefined, FIRST);

      const first = await ask(FIRST.digest, { source, method });
      const second = await ask(FIRST.digest, { source });

      expect(first).toMatchObject(method === 'GET' ? whole(FIRST) : described(FIRST));
      expect(second).toMatchObject({ told: 'tidegate; hit', ...whole(FIRST) });
      expect(origin.asked()).toEqual([`HEAD /v2/team/other/manifests/${FIRST.digest}`]);
    },
  );

  it('is not what a registry speaks of that tells another size', async () => {
    const { ask, head, held, origin, of } = await manifestWorld();
    await held();
    const source = of('team/other');
    const lie = { 'content-length': 5, 'content-type': IMAGE };
    origin.fault = ({ method }) => (method === 'HEAD' ? answer(200, '', lie) : answer(404));

    expect((await head(FIRST.digest, { source })).size).toBe(5);
    expect((await ask(FIRST.digest, { source })).code).toBe('MANIFEST_UNKNOWN');
  });

  it('that is not there is not asked for again so soon, until something is pushed', async () => {
    const { ask, head, origin, content, of } = await manifestWorld();

    const first = await ask(FIRST.digest);
    const second = await head(FIRST.digest);
    const asked = origin.asked().length;
    origin.manifest(NAME, undefined, FIRST);
    await content.pushed(of(), '1' as never);

    expect([first.code, second.code, asked]).toEqual(['MANIFEST_UNKNOWN', 'MANIFEST_UNKNOWN', 1]);
    expect((await ask(FIRST.digest)).code).toBeUndefined();
  });

  it.each<[string, () => ReturnType<typeof answer>]>([
    ['is another', () => answer(200, SECOND.bytes, { 'content-type': IMAGE })],
    ['has no type', () => answer(200, FIRST.bytes)],
    ['is a page', () => answer(200, '<html/>', { 'content-type': 'text/html' })],
    [
      'is larger than any',
      () => answer(200, Buffer.alloc(4 * 1024 * 1024 + 1), { 'content-type': IMAGE }),
    ],
  ])('that %s is none, and is not held', async (_what, wrong) => {
    const { ask, origin, isHeld, cache } = await manifestWorld();
    origin.fault = wrong;

    expect((await ask(FIRST.digest)).code).toBe('BAD_UPSTREAM');
    expect((await ask('1')).code === 'BAD_UPSTREAM' || _what === 'is another').toBe(true);

    expect(await isHeld(FIRST.digest)).toBe(false);
    expect(cache?.downloads.all).toEqual([]);
  });

  it('that a tag’s answer names wrongly is none', async () => {
    const { ask, origin, isHeld } = await manifestWorld();
    const headers = { 'content-type': IMAGE, 'docker-content-digest': SECOND.digest };
    origin.fault = () => answer(200, FIRST.bytes, headers);

    expect((await ask('1')).code).toBe('BAD_UPSTREAM');
    expect([await isHeld(FIRST.digest), await isHeld(SECOND.digest)]).toEqual([false, false]);
  });

  it('is its bytes’ own where a tag’s answer names none', async () => {
    const { ask, origin, untilHeld } = await manifestWorld();
    origin.fault = () => answer(200, FIRST.bytes, { 'content-type': IMAGE });

    expect(await ask('1')).toMatchObject({ told: MISS, digest: FIRST.digest });
    await untilHeld(FIRST.digest);
  });

  it('that is signed within passes, and is not held: nobody could verify it', async () => {
    const { ask, origin, isHeld } = await manifestWorld();
    const signed = signedManifest('{\n   "name": "team/app"');
    origin.manifest(NAME, '1', signed);

    for (const reference of ['1', signed.digest])
      expect(await ask(reference)).toMatchObject({
        told: 'tidegate; fwd=miss; fwd-status=200',
        ...whole(signed),
      });
    expect(await isHeld(signed.digest)).toBe(false);
  });
});
