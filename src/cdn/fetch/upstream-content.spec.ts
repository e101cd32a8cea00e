import { asking, contentOf, faultServer, serving } from '../../../test/support/content-room';
import { bytesOf } from '../../../test/support/body-clients';
import {
  answer,
  endEarly,
  resetAfter,
  stallAfter,
  truncate,
  truncateChunked,
  type Behaviour,
} from '../../../test/support/fault-server';
import { eventually } from '../../../test/support/lifecycle';
import { OciError } from '../../oci/oci-error';
import { UpstreamContent } from './upstream-content';

const KIB = 1024;
const { bytes } = contentOf(300 * KIB);
const PAUSES = [5, 10, 15];

async function opened(
  behaviours: readonly Behaviour[],
  { from = 0, to, idle }: { from?: number; to?: number; idle?: number } = {},
) {
  const server = await faultServer(serving(bytes));
  server.queue(...behaviours);
  const controller = new AbortController();
  const ask = asking(server, idle);
  const content = await UpstreamContent.open(ask, { from, to }, controller.signal, PAUSES);
  return { server, content, controller };
}

function all(content: UpstreamContent): Promise<Buffer> {
  return bytesOf(content.chunks());
}

/** Another range than the one that was asked for. */
function wrongRange(range: string | undefined, body: Buffer): Behaviour {
  return answer(206, body, range === undefined ? {} : { 'content-range': range });
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const error = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  return error instanceof OciError ? error.code : String(error);
}

describe('UpstreamContent', () => {
  it('gives the content, its length and the host it came from', async () => {
    const { server, content } = await opened([]);

    expect(content.total).toBe(bytes.length);
    expect(content.host).toBe(server.host);
    expect((await all(content)).equals(bytes)).toBe(true);
  });

  it('gives a part, by Range', async () => {
    const { server, content } = await opened([], { from: 10, to: 200_000 });

    expect((await all(content)).equals(bytes.subarray(10, 200_000))).toBe(true);
    expect(content.total).toBe(bytes.length);
    expect(server.requests[0]?.headers.range).toBe('bytes=10-199999');
  });

  it('gives a part of a content that ends before it', async () => {
    const { content } = await opened([], { from: 10, to: 10 * bytes.length });

    expect(content.end).toBe(bytes.length);
    expect((await all(content)).equals(bytes.subarray(10))).toBe(true);
  });

  it('finds the part in a 200, and leaves what follows it', async () => {
    const { server, content } = await opened([answer(200, bytes)], { from: 70_000, to: 70_010 });

    expect((await all(content)).equals(bytes.subarray(70_000, 70_010))).toBe(true);
    await eventually('the connection ends', () => server.open === 0);
  });

  it('gives content without a length to its clean end', async () => {
    const { content } = await opened([answer(200, bytes, { 'content-length': undefined })]);

    expect(content.total).toBeUndefined();
    expect((await all(content)).equals(bytes)).toBe(true);
  });

  it('gives nothing of an empty content', async () => {
    const { content } = await opened([answer(200, '')]);

    expect(content.total).toBe(0);
    expect(await content.read()).toBeUndefined();
    expect(await content.read()).toBeUndefined();
  });

  it.each([
    ['a reset', resetAfter(bytes, 100_000)],
    ['an early end', truncate(bytes, 100_000)],
    ['a reset before the first byte', resetAfter(bytes, 0)],
  ])('goes on from where it is after %s', async (_what, behaviour) => {
    const { server, content } = await opened([behaviour]);

    expect((await all(content)).equals(bytes)).toBe(true);
    expect(content.resumed).toBe(1);
    expect(server.requests[1]?.headers.range).toMatch(/^bytes=\d+-307199$/);
  });

  it('goes on after silence', async () => {
    const { content } = await opened([stallAfter(bytes, 100_000)], { idle: 100 });

    expect((await all(content)).equals(bytes)).toBe(true);
  });

  it('goes on where the answer to its Range is everything', async () => {
    const { content } = await opened([resetAfter(bytes, 100_000), answer(200, bytes)]);

    expect((await all(content)).equals(bytes)).toBe(true);
  });

  it('goes on within a part', async () => {
    const { server, content } = await opened(
      [
        (_request, response) => {
          response.writeHead(206, {
            'content-length': 200_000,
            'content-range': `bytes 100-200099/${bytes.length}`,
          });
          response.write(bytes.subarray(100, 50_000), () => response.destroy());
        },
      ],
      { from: 100, to: 200_100 },
    );

    expect((await all(content)).equals(bytes.subarray(100, 200_100))).toBe(true);
    expect(server.requests[1]?.headers.range).toMatch(/^bytes=\d+-200099$/);
  });

  it('goes on without a length where the answer tells it then', async () => {
    const { content } = await opened([truncateChunked(bytes, 100_000)]);

    expect((await all(content)).equals(bytes)).toBe(true);
  });

  it('gives up where nobody ever tells a length', async () => {
    const { content } = await opened([
      truncateChunked(bytes, 100_000),
      answer(200, bytes, { 'content-length': undefined }),
    ]);

    expect(await codeOf(all(content))).toBe('BAD_UPSTREAM');
  });

  it('gives up after three attempts', async () => {
    const { server, content } = await opened(Array.from({ length: 8 }, () => resetAfter(bytes, 0)));

    await expect(all(content)).rejects.toThrow('the upstream registry broke its answer off');
    expect(server.requests).toHaveLength(4);
    await eventually('no connection is left', () => server.open === 0);
  });

  it('counts anew after progress', async () => {
    const large = contentOf(5 * 1024 * KIB).bytes;
    const server = await faultServer((request, response, seen) => {
      const end = Math.min(server.requests.length * 1024 * KIB + KIB, large.length);
      const from = Number(/\d+/.exec(request.headers.range ?? '0')?.[0]);
      const head = {
        'content-length': large.length - from,
        'content-range': `bytes ${from}-${large.length - 1}/${large.length}`,
      };
      response.writeHead(seen.headers.range === undefined ? 200 : 206, head);
      response.write(large.subarray(from, end), () => {
        if (end < large.length) request.socket.end();
        else response.end();
      });
    });
    const content = await UpstreamContent.open(
      asking(server),
      { from: 0 },
      new AbortController().signal,
      [1],
    );

    expect((await all(content)).equals(large)).toBe(true);
    expect(content.resumed).toBeGreaterThan(2);
  });

  it.each([
    ['another length', answer(200, Buffer.alloc(bytes.length - 1))],
    ['a refusal', answer(404)],
    ['no patience', answer(429)],
  ])('gives up at once on %s', async (_what, behaviour) => {
    const { server, content } = await opened([resetAfter(bytes, 100_000), behaviour]);

    expect(await codeOf(all(content))).toBe('BAD_UPSTREAM');
    expect(server.requests).toHaveLength(2);
  });

  it('tries again where the upstream only fails', async () => {
    const { content } = await opened([resetAfter(bytes, 100_000), answer(503), answer(502)]);

    expect((await all(content)).equals(bytes)).toBe(true);
  });

  it('gives the refusal of the first request as it is', async () => {
    expect(await codeOf(opened([answer(404)]))).toBe('BLOB_UNKNOWN');
    expect(await codeOf(opened([answer(403)]))).toBe('DENIED');
  });

  it.each([
    ['another beginning', wrongRange(`bytes 9-199/${bytes.length}`, bytes.subarray(9, 200))],
    ['another end', wrongRange(`bytes 10-198/${bytes.length}`, bytes.subarray(10, 199))],
    ['no range', wrongRange(undefined, bytes.subarray(10, 200))],
    ['an unknown total', wrongRange('bytes 10-199/*', bytes.subarray(10, 200))],
    ['another length', wrongRange(`bytes 10-199/${bytes.length}`, bytes.subarray(10, 190))],
    ['too short a whole', answer(200, bytes.subarray(0, 5))],
  ])('takes no answer with %s', async (_what, behaviour) => {
    expect(await codeOf(opened([behaviour], { from: 10, to: 200 }))).toBe('BAD_UPSTREAM');
  });

  it('takes no more than was announced', async () => {
    const { content } = await opened(
      [
        answer(206, bytes.subarray(10, 300), {
          'content-length': undefined,
          'content-range': `bytes 10-199/${bytes.length}`,
        }),
      ],
      { from: 10, to: 200 },
    );

    await expect(all(content)).rejects.toThrow(
      'the upstream registry sent more of the content than it had announced',
    );
  });

  it('takes a clean end without a length as the end', async () => {
    const { content } = await opened([endEarly(bytes, 1000)]);

    expect((await all(content)).equals(bytes.subarray(0, 1000))).toBe(true);
  });

  it.each(['its signal', 'close'])('ends at once by %s, while it waits', async (by) => {
    const { server, content, controller } = await opened([stallAfter(bytes, 1000)]);
    await content.read();
    const reading = content.read();

    if (by === 'close') content.close();
    else controller.abort(new Error('enough'));

    await expect(reading).rejects.toThrow(by === 'close' ? /abort/i : 'enough');
    await eventually('the connection ends', () => server.open === 0);
  });

  it('ends at once while it pauses before another attempt', async () => {
    const server = await faultServer(serving(bytes));
    server.queue(truncate(bytes, 1000));
    const content = await UpstreamContent.open(
      asking(server),
      { from: 0 },
      new AbortController().signal,
      [60_000],
    );
    const reading = all(content);
    await eventually('it broke', () => content.position === 1000 && server.open === 0);

    content.close();

    await expect(reading).rejects.toThrow(/abort/i);
    expect(server.requests).toHaveLength(1);
  });

  it('leaves no connection behind when it is left in the middle', async () => {
    const { server, content } = await opened([stallAfter(bytes, 1000)]);

    for await (const chunk of content.chunks()) {
      expect(chunk).toEqual(bytes.subarray(0, 1000));
      break;
    }

    await eventually('the connection ends', () => server.open === 0);
  });

  it.each([
    ['at first', []],
    ['later', [resetAfter(bytes, 100_000)]],
  ])(
    'asks again at once where a mirror sent another part %s, and trusts it no more',
    async (_when, before) => {
      const server = await faultServer(serving(bytes));
      server.queue(...before, (_request, response) => {
        response.writeHead(206, { 'content-range': `bytes 0-3/${bytes.length}` }).write('x');
      });
      const ask = asking(server);
      const distrust = jest.fn();
      const content = await UpstreamContent.open(
        async (...part) => ({ ...(await ask(...part)), mirror: { distrust } }),
        { from: 0 },
        new AbortController().signal,
        [1],
      );

      expect((await all(content)).equals(bytes)).toBe(true);
      expect(distrust).toHaveBeenCalledTimes(1);
      await eventually('no connection waits', () => server.open <= 1);
    },
  );

  it('trusts none of the mirrors that it came from once it is said to be wrong', async () => {
    const server = await faultServer(serving(bytes));
    server.queue(resetAfter(bytes, 100_000));
    const ask = asking(server);
    const distrusted: string[] = [];
    const content = await UpstreamContent.open(
      async (from, to, signal) => {
        const distrust = () => void distrusted.push(from === 0 ? 'first' : 'second');
        return { ...(await ask(from, to, signal)), mirror: { distrust } };
      },
      { from: 0 },
      new AbortController().signal,
      [1],
    );
    await all(content);

    content.distrust();

    expect(distrusted).toEqual(['first', 'second']);
  });

  it('asks no more, and ends what was answered, once nobody wants it', async () => {
    const server = await faultServer(stallAfter(bytes, 1000));
    const ask = asking(server);
    const leaving = new AbortController();
    const distrust = jest.fn();

    const opening = UpstreamContent.open(
      async (from, to) => {
        const response = await ask(from, to, new AbortController().signal);
        leaving.abort(new Error('left'));
        return { ...response, mirror: { distrust } };
      },
      { from: 0 },
      leaving.signal,
    );

    await expect(opening).rejects.toThrow('left');
    await eventually('the connection ends', () => server.open === 0);
    expect([server.requests.length, distrust.mock.calls.length]).toEqual([1, 0]);
  });

  it('is not asked for at all once nobody wants it', async () => {
    const { server } = await opened([]);
    const ask = jest.fn(asking(server));

    const opening = UpstreamContent.open(ask, { from: 0 }, AbortSignal.abort(new Error('left')));

    await expect(opening).rejects.toThrow('left');
    expect(ask).not.toHaveBeenCalled();
  });

  it('leaves its connection to the next request when it was read to its end', async () => {
    const server = await faultServer(serving(bytes));
    const ask = asking(server);
    for (let n = 0; n < 6; n += 1) {
      const content = await UpstreamContent.open(ask, { from: 0 }, new AbortController().signal);
      await all(content);
    }

    // A connection is free again only a moment after its answer has ended.
    expect(server.accepted).toBeLessThan(3);
  });
});
