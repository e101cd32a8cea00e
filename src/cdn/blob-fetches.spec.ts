/** One fetch of a blob for all who may have it: who reads along, and who does not. */
import { getEventListeners } from 'node:events';
import { contentOf } from '../../test/support/content-room';
import { contentWorld, NAME } from '../../test/support/content-world';
import { answer, type Behaviour } from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';
import { Pause, sendPart } from '../../test/support/scripted-registry';

const AHEAD = 16 * 1024 * 1024;

describe('a fetch that is under way', () => {
  /** One whose first half came, and whose second waits to be let go. */
  async function underWay(options: Parameters<typeof contentWorld>[0] = {}, size = 100_000) {
    const room = await contentWorld(options);
    const content = room.blob(size);
    const pause = new Pause(content.bytes, size / 2);
    room.origin.fault = ({ method, headers }) =>
      method === 'GET' && headers.range === undefined ? pause.behaviour : undefined;
    const first = room.ask(content.digest);
    await eventually('half is there', () => room.cache?.downloads.all[0]?.received === size / 2);
    return { ...room, ...content, pause, first };
  }

  it('is read along with by all who may, and told so', async () => {
    const { ask, digest, bytes, pause, first, origin } = await underWay();

    const second = ask(digest);
    const part = await ask(digest, 'bytes=10-19');
    pause.goOn();

    expect(part).toMatchObject({ status: 206, bytes: bytes.subarray(10, 20) });
    expect(part.told).toBe('tidegate; fwd=miss; fwd-status=200; stored; collapsed');
    for (const got of [await first, await second]) expect(got.bytes).toEqual(bytes);
    expect((await first).told).toBe('tidegate; fwd=miss; fwd-status=200; stored');
    expect(origin.asked()).toHaveLength(1);
  });

  it('is read along with under another name once the registry said yes to that', async () => {
    const { ask, digest, bytes, pause, first, origin, of, untilHeld } = await underWay();
    const source = of('team/other');
    expect((await ask(digest, 'bytes=0-9', { source })).code).toBe('BLOB_UNKNOWN');
    origin.blob('team/other', bytes);

    const part = await ask(digest, 'bytes=0-9', { source });
    const again = await ask(digest, 'bytes=0-9', { source });
    const heads = origin.asked('HEAD', 'team/other').length;
    pause.goOn();
    await first;
    await untilHeld(digest);

    expect([part.bytes, again.bytes]).toEqual([bytes.subarray(0, 10), bytes.subarray(0, 10)]);
    expect(heads).toBe(2);
    // Its yes counts for what is held then.
    await eventually('it is a hit', async () => {
      return (await ask(digest, undefined, { source })).told === 'tidegate; hit';
    });
    expect(origin.asked('GET')).toHaveLength(1);
  });

  it('is read along with no more by one whose right was taken back', async () => {
    const { ask, digest, bytes, pause, first, origin, of, content } = await underWay();
    const source = of('team/other');
    origin.blob('team/other', bytes);
    await ask(digest, 'bytes=0-9', { source });
    origin.remove('team/other', digest);
    await content.deleted(source, digest);

    expect((await ask(digest, 'bytes=0-9', { source })).code).toBe('BLOB_UNKNOWN');

    pause.goOn();
    await first;
  });

  it('that is refused to the one who began it is begun anew for one with a yes of its own', async () => {
    const { origin, ask, of } = await contentWorld();
    const { bytes, digest } = contentOf(1000);
    origin.blob('team/other', bytes);
    const refuse = Promise.withResolvers<void>();
    origin.fault = ({ method, url }) =>
      method === 'GET' && url.includes(NAME)
        ? async (request, response, seen) => {
            await refuse.promise;
            await answer(404)(request, response, seen);
          }
        : undefined;
    const first = ask(digest);
    await eventually('it is asked', () => origin.asked('GET').length === 1);

    const source = of('team/other');
    const second = ask(digest, undefined, { source });
    await eventually('the other is asked for its right', () => origin.asked('HEAD').length === 1);
    await ask(digest, undefined, { source, method: 'HEAD' });
    refuse.resolve();

    expect([(await first).code, (await second).bytes]).toEqual(['BLOB_UNKNOWN', bytes]);
    expect(origin.asked('GET')).toHaveLength(2);
  });

  it('that is refused is refused to all who asked by the same credentials, and not asked for again', async () => {
    const { origin, ask } = await contentWorld();
    const { digest } = contentOf(1000);
    const refuse = Promise.withResolvers<void>();
    origin.fault = () => async (request, response, seen) => {
      await refuse.promise;
      await answer(404)(request, response, seen);
    };
    const all = [ask(digest), ask(digest), ask(digest)];
    await eventually('it is asked', () => origin.asked('GET').length === 1);
    refuse.resolve();

    const codes = (await Promise.all(all)).map(({ code }) => code);

    expect(codes).toEqual(Array(3).fill('BLOB_UNKNOWN'));
    expect(origin.asked()).toHaveLength(1);
  });

  it('is left at once by a reader who leaves, before it answers or not', async () => {
    const { origin, ask, blob } = await contentWorld();
    const { bytes, digest } = blob(1000);
    const go = Promise.withResolvers<void>();
    origin.fault = () => async (request, response) => {
      await go.promise;
      sendPart(bytes, request, response);
    };
    const leaving = new AbortController();
    const left = ask(digest, undefined, { signal: leaving.signal });
    await eventually('it is asked', () => origin.asked('GET').length === 1);
    const stays = ask(digest);

    leaving.abort(new Error('left'));

    await expect(left).rejects.toThrow('left');
    await expect(ask(digest, undefined, { signal: leaving.signal })).rejects.toThrow('left');
    go.resolve();
    expect((await stays).bytes).toEqual(bytes);
    expect(origin.asked('GET')).toHaveLength(1);
  });

  it('far behind what a reader asks for is not waited for', async () => {
    const { ask, digest, bytes, pause, first, origin } = await underWay({}, 40 * 1024 * 1024);
    const far = bytes.length / 2 + AHEAD;

    const near = ask(digest, `bytes=${far}-${far + 9}`);
    const got = await ask(digest, `bytes=${far + 1}-${far + 9}`);
    pause.goOn();

    expect(got.bytes).toEqual(bytes.subarray(far + 1, far + 10));
    expect((await near).bytes).toEqual(bytes.subarray(far, far + 10));
    await first;
    const ranges = origin.server.requests.map(({ headers }) => headers.range);
    expect(ranges).toEqual([undefined, `bytes=${far + 1}-${far + 9}`]);
  });
});

describe('a fetch that ends while another asks for its right to it', () => {
  /** A fetch of one name that waits, and another name's question for its right, which waits as well. */
  async function asked(behaviour: (bytes: Buffer) => Behaviour) {
    const room = await contentWorld();
    const content = room.blob(100_000, NAME, 'team/other');
    const answering = Promise.withResolvers<void>();
    const fetching = behaviour(content.bytes);
    room.origin.fault = ({ method, url }) => {
      if (method !== 'HEAD') return url.includes(NAME) ? fetching : undefined;
      return async (request, response) => {
        await answering.promise;
        sendPart(content.bytes, request, response);
      };
    };
    const first = room.ask(content.digest);
    await eventually('it is fetched', () => room.origin.asked('GET').length === 1);
    const second = room.ask(content.digest, undefined, { source: room.of('team/other') });
    await eventually('its right is asked for', () => room.origin.asked('HEAD').length === 1);
    return { ...room, ...content, answering, first, second };
  }

  it('is a hit for that one', async () => {
    const pause = Promise.withResolvers<Pause>();
    const { answering, first, second, bytes, digest, untilHeld, origin } = await asked((bytes) => {
      const pausing = new Pause(bytes, 50_000);
      pause.resolve(pausing);
      return pausing.behaviour;
    });
    (await pause.promise).goOn();
    await first;
    await untilHeld(digest);

    answering.resolve();

    expect(await second).toMatchObject({ told: 'tidegate; hit', bytes });
    expect(origin.asked('GET')).toHaveLength(1);
  });

  it('is begun anew by that one where it was refused', async () => {
    const refuse = Promise.withResolvers<void>();
    const { answering, first, second, bytes, origin } = await asked(() => async (...request) => {
      await refuse.promise;
      await answer(404)(...request);
    });
    refuse.resolve();
    expect((await first).code).toBe('BLOB_UNKNOWN');

    answering.resolve();

    expect(await second).toMatchObject({
      told: 'tidegate; fwd=miss; fwd-status=200; stored',
      bytes,
    });
    expect(origin.asked('GET')).toHaveLength(2);
  });
});

describe('a yes that was asked for before rights were taken back', () => {
  it.each([
    [1, 2, 200],
    [2, 3, 200],
    [9, 3, 'what may be seen of reg.example is changing; try again'],
  ])('is asked for again: taken back %d times, asked %d times', async (times, asked, outcome) => {
    const { origin, ask, blob, content, of } = await contentWorld();
    const { bytes, digest } = blob(1000);
    let left = times;
    origin.fault = () => async (request, response) => {
      if (left > 0) await content.deleted(of(), contentOf(1).digest);
      left -= 1;
      sendPart(bytes, request, response);
    };

    const got = await ask(digest, undefined, { method: 'HEAD' });

    expect(got.message ?? got.status).toBe(outcome);
    expect(origin.asked('HEAD')).toHaveLength(asked);
  });

  it('is joined by nobody who comes after, under that name', async () => {
    const { origin, ask, blob, content, of } = await contentWorld();
    const { bytes, digest } = blob(1000, NAME, 'team/other');
    const go = Promise.withResolvers<void>();
    origin.fault = () => async (request, response) => {
      await go.promise;
      sendPart(bytes, request, response);
    };
    const head = (source = of()) => ask(digest, undefined, { source, method: 'HEAD' });
    const heads = [head(), head(), head(of('team/other'))];
    await eventually('they are asked', () => origin.asked('HEAD').length === 2);

    await content.deleted(of(), contentOf(1).digest);
    heads.push(head(), head(of('team/other')));
    await eventually('it is asked again', () => origin.asked('HEAD').length === 3);
    go.resolve();

    const told = (await Promise.all(heads)).map((got) => got.told.includes('collapsed'));
    expect(told.slice(2)).toEqual([false, false, true]);
    // The first two asked before, and ask again; together.
    expect(origin.asked('HEAD', NAME)).toHaveLength(2);
  });
});

describe('holding a blob that nobody reads', () => {
  const holder = (over: object = {}) => ({ signal: new AbortController().signal, ...over });

  it('fetches it, and tells how far that is', async () => {
    const { blob, content, of, isHeld, origin } = await contentWorld();
    const { digest } = blob(100_000);
    const told: (number | undefined)[][] = [];
    const progress = (...at: (number | undefined)[]) => void told.push(at);

    const first = await content.hold(of(), digest, holder({ progress }));
    const second = await content.hold(of(), digest, holder());

    expect(first).toEqual({ size: 100_000, stored: true, hit: false });
    expect(second).toEqual({ size: 100_000, stored: true, hit: true });
    expect(told.at(-1)).toEqual([100_000, 100_000]);
    expect(await isHeld(digest)).toBe(true);
    expect(origin.asked()).toHaveLength(1);
    const other = blob(1000);
    expect(await content.hold(of(), other.digest, holder())).toMatchObject({ stored: true });
  });

  it('tells of it while it goes on', async () => {
    const { blob, content, of, origin } = await contentWorld();
    const { bytes, digest } = blob(100_000);
    const pause = new Pause(bytes, 40_000);
    origin.fault = () => pause.behaviour;
    const told: (number | undefined)[][] = [];
    const progress = (...at: (number | undefined)[]) => void told.push(at);
    const holding = content.hold(of(), digest, holder({ progress }));

    await eventually('it is told', () => told.some(([received]) => received === 40_000));
    pause.goOn();

    expect(await holding).toMatchObject({ stored: true });
  });

  it('tells nobody where nobody asked to be told, nor when it is over', async () => {
    const { blob, content, of, origin } = await contentWorld();
    const [first, second] = [blob(1000), blob(100_000)];
    const told: number[][] = [[], []];
    const telling = (to: number[]) => ({ progress: (at: number) => void to.push(at) });
    await content.hold(of(), first.digest, holder(telling(told[0]!)));
    const atItsEnd = told[0]?.length;
    const pause = new Pause(second.bytes, 40_000);
    origin.fault = () => pause.behaviour;
    const leaving = new AbortController();
    const untold = content.hold(of(), second.digest, { signal: leaving.signal });

    const toldOf = content.hold(of(), second.digest, holder(telling(told[1]!)));
    await eventually('it is told twice', () => (told[1]?.length ?? 0) >= 2);
    pause.goOn();

    expect(await Promise.all([untold, toldOf])).toMatchObject([{ stored: true }, { stored: true }]);
    expect(told[0]).toHaveLength(atItsEnd ?? -1);
    expect(getEventListeners(leaving.signal, 'abort')).toEqual([]);
  });

  it.each([
    ['before', true],
    ['while it is fetched', false],
  ])('is given up %s', async (_when, before) => {
    const { blob, content, of, origin, cache } = await contentWorld();
    const { bytes, digest } = blob(100_000);
    origin.fault = () => new Pause(bytes, 40_000).behaviour;
    const leaving = new AbortController();
    if (before) leaving.abort(new Error('given up'));
    const holding = content.hold(of(), digest, { signal: leaving.signal });
    const ended = expect(holding).rejects.toThrow('given up');
    if (!before) {
      await eventually('it is fetched', () => cache?.downloads.all[0]?.received === 40_000);
      leaving.abort(new Error('given up'));
    }

    await ended;

    await eventually('nobody fetches it', () => cache?.downloads.all.length === 0);
  });

  it.each([
    [
      'of a registry that has it not',
      {},
      404,
      { code: 'BLOB_UNKNOWN', message: 'blob unknown to registry' },
    ],
    [
      'of a registry whose redirects are passed on',
      { pass: true },
      200,
      {
        code: 'UNSUPPORTED',
        message: 'blobs of reg.example are not held: its redirects are passed on to clients',
      },
    ],
    [
      'with CACHE=off',
      { on: false },
      200,
      { code: 'UNAVAILABLE', message: 'the cache takes nothing at the moment' },
    ],
  ])('fails %s', async (_what, options, status, error) => {
    const { blob, content, of, origin } = await contentWorld(options);
    const { digest } = blob(1000);
    if (status !== 200) origin.fault = () => answer(status);

    await expect(content.hold(of(), digest, holder())).rejects.toMatchObject(error);
  });
});
