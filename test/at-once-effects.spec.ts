/** What is answered at once leaves the same traces as what is not: in the log, in what is counted, and in the buckets. */
import { ContentService } from '../src/cdn/content.service';
import { shortWay } from '../src/short-way';
import { counted, type Counted } from './support/counted-at-once';
import { basic, bearer, raw, send, tokenFor, type Sending } from './support/http';
import { openInnerGate, type InnerGate } from './support/inner-gate';
import { atTheEnd, eventually } from './support/lifecycle';
import { longWay } from './support/long-way';
import { IMAGE, manifestOf, ScriptedRegistry } from './support/scripted-registry';

// Both ways themselves: one tells by what it was called, the other how many answers there were.
jest.mock('../src/short-way', () => {
  const { shortWay: itself } = jest.requireActual<{ shortWay: typeof shortWay }>(
    '../src/short-way',
  );
  return { shortWay: jest.fn(itself) };
});
jest.mock('../src/at-once', () => jest.requireActual<Counted>('./support/counted-at-once').counted);

const MANIFEST = manifestOf([Buffer.from('layer')]);
const LOOK = '/v2/team/app/manifests/1';
const BURST = 12;
const ANN = { username: 'ann', password: 'ann-secret' };

let registry: ScriptedRegistry;
beforeAll(async () => {
  registry = await ScriptedRegistry.start();
  registry.manifest('team/app', '1', MANIFEST);
});

/** A gate that holds the manifest, and a token for it. */
async function open(env: Record<string, string> = {}) {
  const gate = await openInnerGate({
    ...registry.settings,
    LOG_LEVEL: 'info',
    TRUST_PROXY: '127.0.0.1',
    RATE_LIMIT: '1',
    RATE_BURST: String(BURST),
    ...env,
  });
  atTheEnd(() => gate.close());
  const longPort = await longWay(jest.mocked(shortWay).mock.calls.at(-1)!);
  return { gate, longPort, app: counted.apps.at(-1)!, ...asking(gate) };
}

let addresses = 0;
const fresh = () => ({ 'x-forwarded-for': `10.0.0.${(addresses += 1)}` });

function asking(gate: InnerGate) {
  /** @returns the answer, and whether it was given at once. */
  const look = async (sending: Sending = {}, port = gate.port, path = LOOK) => {
    const before = counted.answers;
    const headers = { accept: IMAGE, ...fresh(), ...sending.headers };
    const answer = await send(`http://127.0.0.1:${port}${path}`, { ...sending, headers });
    return { answer, atOnce: counted.answers > before };
  };
  /** Until it is answered at once, as long as nothing happens. */
  const hold = (token: { authorization: string }) =>
    eventually('it is answered at once', async () => (await look({ headers: token })).atOnce);
  return { look, hold };
}

async function openWithToken(env: Record<string, string> = {}) {
  const room = await open({ RATE_LIMIT: '100000', RATE_BURST: '100000', ...env });
  await room.gate.account(ANN.username);
  const { token } = await tokenFor(room.gate.url, ANN, 'repository:team/app:pull');
  await room.hold(bearer(token));
  return { ...room, token: bearer(token) };
}

/** A line of the log for each request so far. */
function requestLines(gate: InnerGate) {
  return gate.lines().filter(({ msg }) => msg === 'request');
}

it('a line of the log is the same, but for its time and its number', async () => {
  const { gate, longPort, look, token } = await openWithToken();
  const headers = { ...token, 'x-forwarded-for': '203.0.113.7' };
  const lineOf = async (port: number, meant: boolean) => {
    const { answer } = await eventually('it goes that way', async () => {
      const each = await look({ headers }, port);
      return each.atOnce === meant && each;
    });
    const id = answer.headers['x-request-id'];
    const line = await eventually('it has a line', () =>
      requestLines(gate).find(({ request }) => request === id),
    );
    return line;
  };

  const [short, long] = [await lineOf(gate.port, true), await lineOf(longPort, false)];

  const own = {
    request: expect.any(String),
    time: expect.anything(),
    duration: expect.any(Number),
  };
  expect(short).toEqual({ ...long, ...own });
  expect(short).toMatchObject({ account: 'ann', address: '203.0.113.7', cache: 'hit' });
});

it('is counted as what was held, with its bytes', async () => {
  const { gate, longPort, look, token } = await openWithToken();
  const countsOf = async () => {
    const answer = await send(`${gate.url}/admin/cache`, {
      headers: { authorization: gate.admin },
    });
    const { requests, hits, bytes, hitBytes } = answer.json<Record<string, number>>();
    return [requests, hits, bytes, hitBytes] as number[];
  };
  /** What one answer adds, once it is counted. */
  const addedBy = async (port: number) => {
    const before = await countsOf();
    await look({ headers: token }, port);
    return eventually('it is counted', async () => {
      const after = await countsOf();
      return after[0]! > before[0]! && after.map((each, at) => each - before[at]!);
    });
  };

  const [short, long] = [await addedBy(gate.port), await addedBy(longPort)];

  expect(short).toEqual(long);
  expect(short.slice(0, 2)).toEqual([1, 1]);
});

it('takes one token of the bucket of its address, and so does what is not answered at once', async () => {
  const { look, hold, gate } = await open();
  await gate.account(ANN.username);
  const { token } = await tokenFor(gate.url, ANN, 'repository:team/app:pull');
  await hold(bearer(token));
  const frozen = performance.now();
  const now = jest.spyOn(performance, 'now').mockReturnValue(frozen);
  const headers = fresh();
  const asked = { headers: { ...bearer(token), ...headers } };

  const held = [await look(asked), await look(asked), await look(asked)];
  const other = [
    await look(asked, gate.port, '/v2/team/app/manifests/2'),
    await look(asked, gate.port, '/v2/team/other/manifests/1'),
    await look({ ...asked, headers: { ...asked.headers, accept: 'text/plain' } }),
  ];
  let left = 0;
  while ((await look({ headers })).answer.status !== 429) left += 1;
  now.mockRestore();

  expect(other.map(({ atOnce }) => atOnce)).toEqual([false, false, false]);
  // What was gathered may be written in between, and what was found be looked up again.
  expect(held.some(({ atOnce }) => atOnce)).toBe(true);
  expect(left).toBe(BURST - held.length - other.length);
});

it('who has no token left waits for one, as on the long way', async () => {
  const { gate, look, hold } = await open({ RATE_LIMIT: '10' });
  await gate.account(ANN.username);
  const { token } = await tokenFor(gate.url, ANN, 'repository:team/app:pull');
  await hold(bearer(token));
  const headers = { ...bearer(token), ...fresh() };
  const before = counted.answers;
  const began = performance.now();

  const answers = await Promise.all(Array.from({ length: 20 }, () => look({ headers })));
  const seconds = (performance.now() - began) / 1000;

  expect(answers.map(({ answer }) => answer.status)).toEqual(Array(20).fill(200));
  expect(counted.answers - before).toBeLessThanOrEqual(BURST + seconds * 10);
  expect(seconds).toBeGreaterThan(0.6);
});

it.each<[string, (good: string) => Record<string, string>]>([
  ['a password', () => basic(ANN)],
  ['a wrong one', () => basic({ ...ANN, password: 'wrong' })],
  ['a token that was changed', (good) => bearer(`${good.slice(0, -6)}AAAAAA`)],
  ['nothing', () => ({})],
])('who shows %s is not answered at once', async (_, shown) => {
  const { gate, longPort, look, token } = await openWithToken();
  const headers = { ...shown(token.authorization.slice('Bearer '.length)) };

  const short = await look({ headers });
  const long = await look({ headers }, longPort);

  expect([short.atOnce, short.answer.status]).toEqual([false, long.answer.status]);
  expect(gate.lines().filter(({ audit }) => audit === 'denied')).toEqual([]);
});

it.each([
  ['CACHE=off', { CACHE: 'off' }],
  ['AUTH_MODE=open', { AUTH_MODE: 'open' }],
  ['AUTH_MODE=passthrough', { AUTH_MODE: 'passthrough' }],
  ['AUTH_MODE=relay', { AUTH_MODE: 'relay' }],
  ['CACHE_MEMORY=0', { CACHE_MEMORY: '0' }],
  ['CACHE_TAG_TTL=0', { CACHE_TAG_TTL: '0s' }],
])('nothing is answered at once with %s', async (_, env) => {
  const { gate, look } = await open(env);
  // In passthrough the registry is shown it.
  registry.opensWith = bearer('a.token').authorization;
  const before = counted.answers;
  const shown =
    'AUTH_MODE' in env
      ? bearer('a.token')
      : await gate
          .account(ANN.username)
          .then(() => tokenFor(gate.url, ANN, 'repository:team/app:pull'))
          .then(({ token }) => bearer(token));

  for (let time = 0; time < 10; time += 1) await look({ headers: shown });

  expect(counted.answers).toBe(before);
});

it('a fault in it is told in the log, and costs nobody an answer', async () => {
  const { gate, app, look, token } = await openWithToken();
  jest.spyOn(app.get(ContentService), 'manifestAtOnce').mockImplementationOnce(() => {
    throw new Error('a fault that nobody thought of');
  });

  const { answer, atOnce } = await look({ headers: token });

  expect([answer.status, answer.text, atOnce]).toEqual([200, MANIFEST.bytes.toString(), false]);
  const id = answer.headers['x-request-id'];
  expect(gate.lines().filter(({ request, level }) => request === id && level === 50)).toHaveLength(
    1,
  );
  expect(requestLines(gate).filter(({ request }) => request === id)).toHaveLength(1);
});

it('of two requests at once on one connection neither is answered, as on the long way', async () => {
  const { gate, longPort, token } = await openWithToken();
  const head = `GET ${LOOK} HTTP/1.1\r\nHost: gate\r\nAuthorization: ${token.authorization}\r\n\r\n`;
  await eventually('one alone is answered at once', async () => {
    const before = counted.answers;
    await raw(gate.port, head, 200);
    return counted.answers > before;
  });

  const [short, long] = [await raw(gate.port, head + head), await raw(longPort, head + head)];

  expect(short).toEqual(long);
  expect(short).toEqual({ text: '', closed: true });
});

it('a connection goes on after it, and ends where its client says so', async () => {
  const { gate, longPort, token } = await openWithToken();
  const heads = [
    `HTTP/1.1\r\nHost: gate\r\n`,
    `HTTP/1.1\r\nConnection: close\r\nHost: gate\r\n`,
    `HTTP/1.0\r\n`,
  ];
  const ask = async (port: number, head: string) => {
    const got = await raw(
      port,
      `GET ${LOOK} ${head}Authorization: ${token.authorization}\r\n\r\n`,
      200,
    );
    return { closed: got.closed, connection: /^connection: (.*)\r$/im.exec(got.text)?.[1] };
  };
  const all = async (port: number) => [
    await ask(port, heads[0]!),
    await ask(port, heads[1]!),
    await ask(port, heads[2]!),
  ];
  const before = counted.answers;

  const short = await all(gate.port);

  expect(counted.answers).toBeGreaterThan(before);
  expect(short).toEqual(await all(longPort));
  expect(short.map(({ closed }) => closed)).toEqual([false, true, true]);
});
