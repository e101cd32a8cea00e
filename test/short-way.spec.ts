/**
 * Pulls go past Nest's router, and some of them are answered at once; all else goes through it. Whatever is asked, all ways
 * give the same answer: the one that the short ones would give, and the one that Nest's guards, controllers and filter give.
 */
import fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import { OciError } from '../src/oci/oci-error';
import { AddressThrottle } from '../src/throttling/address.throttle';
import { shortWay } from '../src/short-way';
import { counted, type Counted } from './support/counted-at-once';
import { fuzzed } from './support/fuzz';
import { sha256, tokenFor } from './support/http';
import type { WireAnswer } from './support/http-text';
import { bytesOf, requests, type HostileRequest } from './support/hostile-requests';
import { basicOf, openInnerGate } from './support/inner-gate';
import { atTheEnd } from './support/lifecycle';
import { longWay } from './support/long-way';
import { manifestOf, ScriptedRegistry } from './support/scripted-registry';
import { exchange } from './support/wire';

// The short way itself, which only tells by what it was called.
jest.mock('../src/short-way', () => {
  const { shortWay: itself } = jest.requireActual<{ shortWay: typeof shortWay }>(
    '../src/short-way',
  );
  return { shortWay: jest.fn(itself) };
});

// And answers at once themselves, of which it is only told how many there were.
jest.mock('../src/at-once', () => jest.requireActual<Counted>('./support/counted-at-once').counted);

/** Ports of one gate: by the short way, and by Nest's alone. */
let ports: readonly [short: number, long: number];
let fill: Record<string, string>;
let asked = 0;

beforeAll(async () => {
  const registry = await ScriptedRegistry.start();
  const layer = Buffer.alloc(200_000, 'layer');
  const blob = registry.blob('team/app', layer);
  const manifest = manifestOf([layer]);
  registry.manifest('team/app', '1', manifest);
  const gate = await openInnerGate({
    UPSTREAM_REGISTRY: registry.server.url.origin,
    RATE_LIMIT: '100000',
    RATE_BURST: '100000',
    TRUST_PROXY: '127.0.0.1',
  });
  atTheEnd(() => gate.close());
  const user = await gate.account('user');
  await gate.account('other', [{ repository: 'nothing/**', actions: ['pull'] }]);
  const account = { username: 'user', password: 'user-secret' };
  const { token } = await tokenFor(gate.url, account, 'repository:team/app:pull');
  const elsewhere = await tokenFor(gate.url, account, 'repository:team/else:pull');
  fill = {
    '{admin}': gate.admin,
    '{user}': user,
    '{other}': basicOf('other', 'other-secret'),
    '{token}': `Bearer ${token}`,
    '{elsewhere}': `Bearer ${elsewhere.token}`,
    '{forged}': `Bearer ${token.slice(0, -6)}AAAAAA`,
    '{blob}': blob,
    '{manifest}': manifest.digest,
    '{registry}': registry.server.url.host,
    '{none}': sha256('nobody has it'),
  };
  ports = [gate.port, await longWay(jest.mocked(shortWay).mock.calls[0]!)];
});

/** Pulls as clients write them, of what there is and what there is not, by whom it is allowed and by whom not. */
const pulls: fc.Arbitrary<HostileRequest> = fc.record({
  method: fc.constantFrom('GET', 'HEAD'),
  target: fc
    .tuple(
      fc.oneof(
        { weight: 3, arbitrary: fc.constant('team/app') },
        fc.constantFrom('{registry}/team/app', 'team/else', 'Team/app', 'no.such/app'),
      ),
      fc.constantFrom(
        'manifests/1',
        'manifests/1',
        'manifests/2',
        'manifests/{manifest}',
        'manifests/{none}',
        'blobs/{blob}',
        'blobs/{blob}',
        'blobs/{blob}',
        'blobs/{manifest}',
        'blobs/{none}',
        'blobs/sha256:1',
      ),
      fc.constantFrom('', '', '', '?ns={registry}', '?ns=no.such', '?n=1'),
    )
    .map(([name, what, query]) => `/v2/${name}/${what}${query}`),
  version: fc.constantFrom('HTTP/1.1', 'HTTP/1.1', 'HTTP/1.1', 'HTTP/1.0'),
  as: fc.constantFrom<string>(
    '{admin}',
    '{user}',
    '{token}',
    '{token}',
    '{other}',
    '{elsewhere}',
    '{forged}',
    '',
  ) as fc.Arbitrary<HostileRequest['as']>,
  headers: fc.array(
    fc.constantFrom<readonly [string, string]>(
      ['Accept', 'application/vnd.oci.image.manifest.v1+json'],
      ['Accept', 'application/vnd.docker.distribution.manifest.v2+json'],
      ['Accept', '*/*;q=0.5'],
      ['Range', 'bytes=0-9'],
      ['Range', 'bytes=-10'],
      ['Range', 'bytes=199999-200005'],
      ['Range', 'bytes=300000-'],
      ['Range', 'lines=1'],
      ['If-Range', '"{blob}"'],
      ['If-Range', '"other"'],
      ['If-None-Match', '"{blob}"'],
      ['If-None-Match', '"{manifest}"'],
      ['If-None-Match', '*'],
      ['Expect', '100-continue'],
      ['Connection', 'close'],
    ),
    { maxLength: 3 },
  ),
  framing: fc.constantFrom('none', 'none', 'none', 'length', 'chunked'),
  body: fc.constantFrom('', '', '', 'a body'),
  changes: fc.constant([]),
});

/** Pulls of manifests by whoever holds a token for them, as most are: now and then with something that is not plain. */
const looks: fc.Arbitrary<HostileRequest> = pulls.chain((pull) =>
  fc.record({
    ...pulledAs(pull),
    target: fc.constantFrom(
      ...['1', '1', '1', '{manifest}', '{manifest}', '2', '{none}'].map(
        (reference) => `/v2/team/app/manifests/${reference}`,
      ),
    ),
    method: oftenest('GET', pull.method),
    as: oftenest<HostileRequest['as']>('{token}', pull.as),
    framing: oftenest<HostileRequest['framing']>('none', pull.framing),
    body: oftenest('', pull.body),
  }),
);

function pulledAs({ version, headers }: HostileRequest) {
  return {
    version: fc.constant(version),
    headers: oftenest<HostileRequest['headers']>(
      headers.filter(([name]) => ['Accept', 'Range', 'Connection'].includes(name)),
      headers,
    ),
    changes: fc.constant([]),
  };
}

function oftenest<T>(usual: T, other: T): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 7, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constant(other) },
  );
}

/** Whatever chance makes of requests, but for what changes something, or says for whom it asks. */
const oddities = requests
  .filter(({ method }) => !['POST', 'PUT', 'PATCH', 'DELETE'].includes(method))
  .map((request) => ({
    ...request,
    headers: request.headers.filter(([name]) => !FORWARDING.test(name)),
  }));
const FORWARDING = /^(?:x-forwarded-|forwarded|via)/i;

/** What chance would hardly find. */
const PAST_THE_END: HostileRequest = {
  method: 'GET',
  target: '/v2/team/app/blobs/{blob}',
  version: 'HTTP/1.1',
  as: '{token}',
  headers: [['Range', 'bytes=300000-']],
  framing: 'none',
  body: '',
  changes: [],
};
const A_PART: HostileRequest = { ...PAST_THE_END, headers: [['Range', 'bytes=0-9']] };
const HAD_ALREADY: HostileRequest = { ...PAST_THE_END, headers: [['If-None-Match', '"{blob}"']] };
/** What follows a request spoils it, where both came at once. */
const SPOILT: HostileRequest = {
  ...PAST_THE_END,
  target: '/v2/team/app/manifests/1',
  headers: [],
  body: 'a body',
};
/** The second one comes before the first was answered. */
const TWO_AT_ONCE: HostileRequest = {
  ...SPOILT,
  body: 'GET /v2/team/app/manifests/1 HTTP/1.1\r\nHost: gate\r\n\r\n',
};
const FORBIDDEN: HostileRequest = { ...PAST_THE_END, as: '{other}' as '{user}' };

/** Milliseconds without a byte, after which a client says that it has sent everything; and where that was too soon. */
const QUIET = 150;
const LONG = 5_000;

/**
 * One answer, from an address that nobody has asked from before: failed logins are counted for each. Undefined where there
 * is none: to what is no whole request, or one that its client did not wait for.
 */
async function answerOf(port: number, request: HostileRequest, quiet = QUIET) {
  asked += 1;
  const address = `10.${asked >> 16}.${(asked >> 8) & 255}.${asked & 255}`;
  const headers = [...request.headers, ['X-Forwarded-For', address]] as HostileRequest['headers'];
  const answer = await exchange(port, bytesOf({ ...request, headers }, fill), { quiet });
  return answer && comparable(answer);
}

const TOKENS = /eyJ[\w.-]+/g;

/** Without the date, the request's own number, and tokens: each is another. */
function comparable({ status, headers, body }: WireAnswer) {
  const { date: _, 'x-request-id': id, ...rest } = Object.fromEntries(headers);
  return {
    status,
    headers: rest,
    body: body.replaceAll(String(id), 'ID').replace(TOKENS, 'TOKEN'),
    numbered: !!id,
  };
}

async function bothWays(request: HostileRequest) {
  const [short, long] = ports;
  // The first one may have to ask the registry; what it says is remembered by both.
  await answerOf(long, request);
  let [one, other] = [await answerOf(short, request), await answerOf(long, request)];
  // A machine may be too busy for an answer in time.
  if (!one && other) one = await answerOf(short, request, LONG);
  if (!other && one) other = await answerOf(long, request, LONG);
  return [one, other] as const;
}

it.each([
  [
    'pulls',
    pulls,
    600,
    [PAST_THE_END, A_PART, HAD_ALREADY, FORBIDDEN],
    [200, 206, 304, 400, 401, 403, 404, 416],
    0,
  ],
  ['looks at manifests', looks, 400, [SPOILT, TWO_AT_ONCE], [200, 304, 400, 401, 404], 100],
  ['requests that chance makes', oddities, 300, [], [200, 400, 401, 404], 0],
] as const)(
  'the short ways answer %s as the long one does',
  async (_, any, usual, examples, expected, atOnceAtLeast) => {
    const seen = new Set<number | undefined>();
    const before = counted.answers;
    await fc.assert(
      fc.asyncProperty(any, async (request) => {
        let [one, other] = await bothWays(request);
        // What is remembered for some time may have been forgotten between the two.
        if (!isDeepStrictEqual(one, other)) [one, other] = await bothWays(request);

        expect(one).toEqual(other);
        seen.add(one?.status);
      }),
      {
        ...fuzzed(
          usual,
          examples.map((each): [HostileRequest] => [each]),
        ),
        endOnFailure: true,
      },
    );
    expect([...seen]).toEqual(expect.arrayContaining([...expected]));
    expect(counted.answers - before).toBeGreaterThanOrEqual(atOnceAtLeast);
  },
);

it('a refusal that cannot be written is a fault of the gate, and costs it no more than that one answer, by both ways', async () => {
  const [app] = jest.mocked(shortWay).mock.calls[0]!;
  const [short, long] = ports;
  const unspeakable = new OciError('DENIED', { headers: { 'X-Reason': 'line\nbreak' } });
  const admit = jest.spyOn(app.get(AddressThrottle), 'admit');
  const refused = async (port: number) => {
    admit.mockRejectedValueOnce(unspeakable);
    return answerOf(port, FORBIDDEN, LONG);
  };

  const [one, other] = [await refused(short), await refused(long)];
  admit.mockRestore();

  expect(one).toEqual(other);
  expect(one?.status).toBe(500);
});
