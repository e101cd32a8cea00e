/** Whatever an upstream writes, and however it is split: the bytes of an answer, or an error, within the limits. */
import fc from 'fast-check';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Agent, request } from 'undici';
import { bytesOf } from '../../test/support/body-clients';
import { expectLinear, fuzzed, shapes } from '../../test/support/fuzz';
import { answers, answerText, type HostileAnswer } from '../../test/support/hostile-answers';
import { readAnswer } from '../../test/support/http-text';
import { atTheEnd } from '../../test/support/lifecycle';
import { registryAt, upstreamFixture } from '../../test/support/upstream-fixture';
import type { OciError } from '../oci/oci-error';
import { HeadReader } from './answer-head';
import type { Arriving } from './body-connection';
import { BodyClient } from './body-client';
import { HandedOver } from './handed-over';
import { plainHeaders } from './upstream-response';
import { wayTo } from './way';

/** What is written for each request, and where it is split; then the connection stays, or ends. */
interface Written {
  readonly bytes: Buffer;
  readonly splits: readonly number[];
  readonly end: HostileAnswer['end'];
}

const script: Written[] = [];
let origin: URL;
let asked = 0;

async function write(socket: Socket, { bytes, splits, end }: Written): Promise<void> {
  let at = 0;
  for (let n = 0; at < bytes.length && !socket.destroyed; n += 1) {
    const next = at + (splits[n % splits.length] ?? bytes.length);
    await new Promise<void>((resolve) => {
      socket.write(bytes.subarray(at, next), () => setImmediate(resolve));
    });
    at = next;
  }
  if (end === 'close') socket.end();
  if (end === 'reset') socket.resetAndDestroy();
}

beforeAll(async () => {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    socket.on('data', () => {
      asked += 1;
      const next = script.shift();
      if (next) void write(socket, next);
      else socket.destroy();
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  origin = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  atTheEnd(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
});

function clientWith(limits: { headerTimeout: number; idleTimeout: number }): BodyClient {
  const client = new BodyClient(upstreamFixture().dialer, limits);
  atTheEnd(() => client.close());
  return client;
}

async function ask(client: BodyClient): Promise<Arriving | 'other'> {
  const way = wayTo(registryAt(origin), 'own');
  const answer = await client.get({ origin, way, path: '/blob', headers: {} });
  if (answer && !(answer instanceof HandedOver)) return answer;
  answer?.destroy();
  return 'other';
}

/** What comes of one question, in time. */
async function outcomeOf(client: BodyClient) {
  const began = performance.now();
  try {
    const answer = await ask(client);
    if (answer === 'other') return { kind: answer };
    const { status } = answer.head;
    return await bytesOf(answer.body).then(
      (bytes) => ({ kind: 'whole', status, body: bytes.toString('latin1') }),
      () => ({ kind: 'broken' }),
    );
  } catch {
    return { kind: 'error' };
  } finally {
    expect(performance.now() - began).toBeLessThan(20_000);
  }
}

const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/);
const value = fc.stringMatching(/^(?:[!-~\xa1-\xff](?:[\t -+--~\xa0-\xff]{0,20}[!-+--~])?)?$/);
const OWN = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'upgrade',
  'set-cookie',
  'trailer',
]);

const splits = fc.array(
  fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 300_000 })),
  {
    minLength: 1,
    maxLength: 8,
  },
);

const wellFormed = fc.record({
  status: fc.constantFrom(200, 206, 301, 307, 400, 401, 404, 416, 429, 500, 503),
  reason: fc.constantFrom('', ' ', ' OK', ' Not at all'),
  interim: fc.array(fc.constantFrom(102, 103), { maxLength: 3 }),
  fields: fc.array(
    fc.tuple(
      token.filter((name) => !OWN.has(name.toLowerCase())),
      value,
      fc.constantFrom(': ', ':', ':\t ', ': \t'),
      fc.constantFrom('', ' ', '\t'),
    ),
    { maxLength: 6 },
  ),
  connection: fc.constantFrom(undefined, 'close', 'keep-alive', 'Close'),
  size: fc.oneof(fc.nat(40), fc.nat(20_000), fc.nat(700_000)),
  seed: fc.nat(255),
  splits,
});

it('what is well-formed is what undici makes of it, however it is split, one after the other', async () => {
  const client = clientWith({ headerTimeout: 20_000, idleTimeout: 20_000 });
  const agent = new Agent({ pipelining: 1 });
  atTheEnd(() => agent.destroy());
  await fc.assert(
    fc.asyncProperty(wellFormed, async (said) => {
      const body = Buffer.alloc(said.size);
      for (let at = 0; at < body.length; at += 1)
        body[at] = (at * 31 + (at >> 8) + said.seed) & 255;
      const fields = said.fields.map(
        ([name, text, colon, end]) => `${name}${colon}${text}${end}\r\n`,
      );
      const connection = said.connection === undefined ? '' : `Connection: ${said.connection}\r\n`;
      const head = [
        ...said.interim.map((status) => `HTTP/1.1 ${status} Wait\r\na: b\r\n\r\n`),
        `HTTP/1.1 ${said.status}${said.reason}\r\n`,
        ...fields,
        `${connection}content-length: ${said.size}\r\n\r\n`,
      ].join('');
      const bytes = Buffer.concat([Buffer.from(head, 'latin1'), body]);
      const written: Written = { bytes, splits: coarse(said.splits, bytes), end: 'keep' };
      script.length = 0;
      script.push(written);
      const mine = await ask(client);
      if (mine === 'other') throw new Error('it is not read here');
      const got = await bytesOf(mine.body);
      script.push(written);
      const theirs = await request(origin, { dispatcher: agent });
      const expected = Buffer.from(await theirs.body.arrayBuffer());

      expect(mine.head.status).toBe(theirs.statusCode);
      expect(trimmed(plainHeaders(mine.head.headers))).toEqual(
        trimmed(plainHeaders(theirs.headers)),
      );
      expect(got.equals(expected)).toBe(true);
      expect(got.equals(body)).toBe(true);
    }),
    fuzzed(60),
  );
});

it('whatever else comes, a whole body is the one that the answer announced, and all ends in time', async () => {
  const hostile = fc.oneof(
    { weight: 6, arbitrary: answers },
    {
      weight: 1,
      arbitrary: fc.record({
        status: fc.constant('200 OK'),
        headers: fc.constant([] as [string, string][]),
        body: fc.string({ unit: 'binary-ascii', maxLength: 300 }),
        framing: fc.constantFrom('length' as const, 'too long' as const),
        changes: fc.constant([]),
        end: fc.constantFrom('keep' as const, 'close' as const, 'reset' as const),
      }),
    },
  );
  const outcomes = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(hostile, splits), { minLength: 1, maxLength: 3 }),
      async (said) => {
        // Each has a client of its own: one whose answers do not fit is not asked again.
        const client = clientWith({ headerTimeout: 150, idleTimeout: 150 });
        const fill = { '{right}': 'content', '{type}': 'a/b', '{size}': '7' };
        const texts = said.map(([one]) => answerText(one, fill));
        script.length = 0;
        said.forEach(([one, pieces], at) => {
          const bytes = Buffer.from(texts[at] ?? '', 'latin1');
          script.push({ bytes, splits: coarse(pieces, bytes), end: one.end });
        });
        for (let left = texts.length; left > 0 && script.length > 0; left -= 1) {
          const before = asked;
          const outcome = await outcomeOf(client);

          // A kept connection that had just ended is given up for a new one, and that one is asked again.
          expect(asked - before).toBeLessThanOrEqual(2);
          outcomes.add(outcome.kind);
          if (outcome.kind !== 'whole') continue;
          const right = texts.slice(0, texts.length - script.length).map((text) => oracle(text));
          expect(right).toContainEqual(outcome);
        }
        client.close();
      },
    ),
    fuzzed(150),
  );
  expect([...outcomes]).toEqual(expect.arrayContaining(['whole', 'broken', 'error', 'other']));
});

/** Whose rest came before the other client had asked. */
const GIVEN_UP: HostileAnswer = {
  status: '206 Partial Content',
  headers: [['Transfer-Encoding', 'gzip, chunked']],
  body: '{right}',
  framing: 'unended',
  changes: [],
  end: 'close',
};

it('whether it may be large makes no difference to what is made of an answer', async () => {
  const limits = { headerTimeout: 5_000, idleTimeout: 5_000 };
  const answered = async (large: boolean, written: Written) => {
    const { client } = upstreamFixture(limits);
    // The second is for the one retry.
    script.splice(0, Infinity, written, written);
    try {
      const registry = registryAt(origin);
      const asking = { registry, as: 'anonymous', method: 'GET', path: '/v2/x/blobs/y' } as const;
      const response = await client.request({ ...asking, access: [], large });
      const { status, headers } = response;
      const body = await bytesOf(response.body).then(
        (bytes) => bytes.toString('latin1'),
        () => 'broken',
      );
      return { status, headers: trimmed({ ...headers }), body };
    } catch (error) {
      return { code: (error as OciError).code };
    } finally {
      await client.close();
    }
  };
  // A reset is seen before or after what was sent, as it happens; and silence only takes long.
  // Where a redirect leads back here, which of the answers it gets depends on when the connection's end is seen.
  const ended = answers
    .filter(({ headers }) => headers.every(([name]) => name.toLowerCase() !== 'location'))
    .map((one): HostileAnswer => ({ ...one, end: 'close' }));
  await fc.assert(
    fc.asyncProperty(ended, splits, async (said, pieces) => {
      const fill = {
        '{right}': 'content',
        '{type}': 'a/b',
        '{size}': '7',
        '{elsewhere}': 'x:',
        '{origin}': 'x:',
      };
      const bytes = Buffer.from(answerText(said, fill), 'latin1');
      const written = { bytes, splits: coarse(pieces, bytes), end: said.end };

      const usual = await answered(false, written);
      const large = await answered(true, written);

      // What undici takes though it should not, or waits for more of, is the one thing that may be refused.
      if (large.code !== 'BAD_UPSTREAM') expect(large).toEqual(usual);
      else
        expect([usual.code ?? 'lenient', bytes.length > 0]).toEqual([
          expect.stringMatching(/^(?:BAD_UPSTREAM|UNAVAILABLE|lenient)$/),
          true,
        ]);
    }),
    fuzzed(60, [[GIVEN_UP, [40]]]),
  );
});

/** undici leaves the blanks behind a value, which are not part of it. RFC 9112 § 5. */
function trimmed(headers: Record<string, string>): Record<string, string> {
  const values = Object.entries(headers).map(([name, text]) => [
    name,
    text.replace(/[ \t]+(?=,|$)/g, ''),
  ]);
  return Object.fromEntries(values) as Record<string, string>;
}

/** What a reader of the test's own takes the text for. */
function oracle(text: string) {
  try {
    // It wants the blank before the reason where there is none.
    const read = readAnswer(text.replace(/^(HTTP\/1\.1 \d{3})\r\n/, '$1 \r\n'), 'GET');
    const { status, body, whole } = read ?? {};
    return { kind: whole ? 'whole' : 'broken', status, body };
  } catch {
    return undefined;
  }
}

/** Not so many pieces that the test takes for ever. */
function coarse(pieces: readonly number[], bytes: Buffer): number[] {
  const least = Math.ceil(bytes.length / 300);
  return pieces.map((piece, at) => (at === 0 ? piece : Math.max(piece, least)));
}

describe('the head is read in time that grows with its length alone', () => {
  const head = shapes(
    'HTTP/1.1 200 OK\r\n',
    'a: b\r\n',
    'Content-Length: ',
    '\r\n',
    '\r',
    ' ',
    '\t',
    ':',
  );

  it.each([
    ['at once', 16_000, Infinity],
    ['by and by', 16_000, 64],
  ])('%s', (_how, length, step) => {
    fc.assert(
      fc.property(head, ({ before, unit, after }) => {
        const shape = { before: ['HTTP/1.1 200 OK\r\n', ...before], unit, after };
        expectLinear((text) => readBySteps(text, step), shape, { length, quick: 5 });
      }),
      fuzzed(30),
    );
  });
});

function readBySteps(text: string, step: number): void {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new HeadReader();
  for (let end = Math.min(step, bytes.length); ; end = Math.min(end + step, bytes.length)) {
    if (reader.read(bytes.subarray(0, end)) || end === bytes.length) return;
  }
}
