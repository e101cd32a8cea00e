/** An upstream that breaks off in the middle of a blob: resumed without the client noticing, or broken and not held. */
import { randomBytes } from 'node:crypto';
import { CachedStand } from '../support/cached-stand';
import {
  answer,
  endEarly,
  resetAfter,
  stallAfter,
  truncate,
  truncateChunked,
  type Behaviour,
} from '../support/fault-server';
import { eventually } from '../support/lifecycle';
import { ScriptedRegistry, sendPart } from '../support/scripted-registry';

const SIZE = 300_000;
const HALF = 150_000;

type Fault = (bytes: Buffer, after: number) => Behaviour;

const FAULTS: readonly [string, Fault][] = [
  ['F3: a reset', resetAfter],
  ['F4: a stall', stallAfter],
  ['F5: an end too early', truncate],
];

const anotherPart = answer(206, Buffer.alloc(10), { 'content-range': `bytes 0-9/${SIZE}` });

describe('a blob whose transfer breaks off', () => {
  let upstream: ScriptedRegistry;
  let stand: CachedStand;

  beforeAll(async () => {
    upstream = await ScriptedRegistry.start();
    stand = await CachedStand.open({ ...upstream.settings, UPSTREAM_IDLE_TIMEOUT: '300ms' });
  });

  /** A new blob, the first `times` transfers of which break off after so many bytes. */
  function breaking(fault: Fault, times: number, after = HALF) {
    const bytes = randomBytes(SIZE);
    const digest = upstream.blob('team/app', bytes);
    let left = times;
    upstream.fault = ({ method, headers }) => {
      if (method !== 'GET' || left === 0) return undefined;
      left -= 1;
      const { range } = headers;
      return range === undefined ? fault(bytes, after) : partBreaking(fault, bytes, range, after);
    };
    return { bytes, digest, path: `/v2/team/app/blobs/${digest}` };
  }

  /** The part that is asked for, broken off as the whole was. */
  function partBreaking(fault: Fault, bytes: Buffer, range: string, after: number): Behaviour {
    return (request, response, seen) => {
      const from = Number(/^bytes=(\d+)-/.exec(range)?.[1]);
      const head = { 'content-range': `bytes ${from}-${bytes.length - 1}/${bytes.length}` };
      const { writeHead } = response;
      response.writeHead = ((_: number, headers: Record<string, unknown>) =>
        writeHead.call(response, 206, { ...headers, ...head } as never)) as typeof writeHead;
      return fault(bytes.subarray(from), Math.floor(after / 2))(request, response, seen);
    };
  }

  it.each(FAULTS)(
    '%s in the middle is resumed by Range, and no client notices',
    async (_, fault) => {
      const { bytes, digest, path } = breaking(fault, 1);

      const [one, two] = await Promise.all([stand.pull(path), stand.pull(path)]);

      for (const got of [one, two]) {
        expect([got.status, got.whole, got.headers['content-length']]).toEqual([
          200,
          true,
          String(SIZE),
        ]);
        expect(got.body.equals(bytes)).toBe(true);
      }
      const [first, second, ...more] = upstream.server.requests.filter(({ url }) =>
        url.includes(digest),
      );
      expect([first?.method, first?.headers.range]).toEqual(['GET', undefined]);
      expect([second?.method, second?.headers.range]).toEqual([
        'GET',
        expect.stringMatching(/^bytes=[1-9]\d*-(?:299999)?$/),
      ]);
      expect(more).toEqual([]);
      await stand.untilHeld(digest);
    },
  );

  it('F3: twice in a row is resumed, too', async () => {
    const { bytes, path } = breaking(resetAfter, 2);

    const got = await stand.pull(path);

    expect([got.status, got.whole, got.body.equals(bytes)]).toEqual([200, true, true]);
  });

  it('F3: an upstream that does no ranges sends everything anew, and the client gets it once', async () => {
    const { bytes, digest, path } = breaking(resetAfter, 1);
    const { fault } = upstream;
    upstream.fault = (seen) =>
      fault(seen) ??
      ((request, response) => {
        delete request.headers.range;
        sendPart(bytes, request, response);
      });

    const got = await stand.pull(path);

    expect([got.status, got.whole, got.body.equals(bytes)]).toEqual([200, true, true]);
    await stand.untilHeld(digest);
  });

  it.each<[string, Fault, Behaviour]>([
    ...FAULTS.map(([name, fault]): [string, Fault, Behaviour] => [name, fault, answer(404)]),
    // Asked again until it gives up: what is answered is never the part that is missing.
    ['F3: a reset, and then another part', resetAfter, anotherPart],
  ])(
    '%s that cannot be resumed breaks the transfer, and leaves no file',
    async (_, fault, then) => {
      const { bytes, digest, path } = breaking(fault, 1);
      const { fault: first } = upstream;
      upstream.fault = (seen) => first(seen) ?? then;

      const got = await stand.pull(path);

      expect([got.status, got.whole]).toEqual([200, false]);
      expect(got.body.equals(bytes.subarray(0, got.body.length))).toBe(true);
      await eventually('nothing is left', () => stand.files('spool').length === 0);
      expect(stand.holds(digest)).toBe(false);
    },
  );

  it('another content under the same name is never glued to the first half', async () => {
    const { digest, path } = breaking(resetAfter, 1);
    upstream.blob('team/app', randomBytes(SIZE), digest);

    const got = await stand.pull(path);

    expect(got.whole).toBe(false);
    await eventually('nothing is left', () => stand.files('spool').length === 0);
    expect(stand.holds(digest)).toBe(false);
  });

  it.each<[string, Fault]>([
    ['by a clean final chunk', endEarly],
    ['by close', truncateChunked],
  ])(
    'F5: an end too early %s, of a length that was not told: never a clean 200',
    async (_, fault) => {
      const { bytes, digest, path } = breaking(fault, 1);
      const { fault: first } = upstream;
      upstream.fault = (seen) => first(seen) ?? answer(404);

      const got = await stand.pull(path);

      expect([got.status, got.whole]).toEqual([200, false]);
      expect(got.body.equals(bytes.subarray(0, got.body.length))).toBe(true);
      await eventually('nothing is left', () => stand.files('spool').length === 0);
      expect(stand.holds(digest)).toBe(false);
      upstream.fault = () => undefined;
      const again = await stand.pull(path);
      expect([again.whole, again.body.equals(bytes)]).toEqual([true, true]);
    },
  );

  it('a client that asks for a part of what breaks off gets its part', async () => {
    const { bytes, path } = breaking(resetAfter, 1);

    const got = await stand.pull(path, { headers: { range: 'bytes=1000-' } });

    expect([got.status, got.whole, got.body.equals(bytes.subarray(1000))]).toEqual([
      206,
      true,
      true,
    ]);
  });
});
