import {
  answer,
  type Behaviour,
  challenge,
  FaultServer,
  json,
  redirect,
  reset,
  tooManyRequests,
} from '../../test/support/fault-server';
import {
  registryAt,
  upstreamFixture,
  type UpstreamFixture,
} from '../../test/support/upstream-fixture';
import type { Registry } from '../config/registry-table';
import { discard } from './upstream.client';
import { UpstreamFaults } from './upstream-faults';

const credentials = { username: 'robot', password: 'hunter2hunter2' };
const BASIC = `Basic ${Buffer.from('robot:hunter2hunter2').toString('base64')}`;
const REFUSED = "the gate's own credentials for reg.example (user robot) are refused there";

let upstream: FaultServer;
let registry: Registry;
let fixture: UpstreamFixture;

beforeEach(async () => {
  upstream = await FaultServer.start({ own: [BASIC, 'Bearer t', 'Bearer worthless'] });
  registry = registryAt(upstream.url, { name: 'reg.example', credentials: [credentials] });
  fixture = upstreamFixture();
});

afterEach(async () => {
  await fixture.client.close();
  await upstream.close();
});

/** Pulls once more after a minute, whatever comes of it, and gives what an operator is told from then on. */
async function afterPull(as: 'anonymous' | 'configured' = 'configured', at = registry) {
  const access = [{ type: 'repository', name: 'team/app', actions: ['pull'] }];
  const request = { registry: at, as, method: 'GET', path: '/v2/team/app/x', access } as const;
  fixture.later(60_000);
  await fixture.client.request(request).then(discard, () => undefined);
  return fixture.faults.all.map(({ kind, message }) => [kind, message]);
}

/** Takes these credentials at the registry itself. */
function basicFor(good: string): Behaviour {
  return (request, response, seen) =>
    (request.headers.authorization === good ? answer(200) : challenge('Basic realm="r"'))(
      request,
      response,
      seen,
    );
}

/** A registry with a token endpoint that answers so. */
function tokensBy(endpoint: Behaviour): Behaviour {
  return (request, response, seen) => {
    if (request.url?.startsWith('/token')) return endpoint(request, response, seen);
    return (
      request.headers.authorization
        ? answer(200)
        : challenge(`Bearer realm="${upstream.url}token",service="s"`)
    )(request, response, seen);
  };
}

describe('silence', () => {
  it('is told since it began, and no longer once the registry answers, with whatever', async () => {
    upstream.handler = reset();
    expect(await afterPull()).toEqual([['silent', 'reg.example closed the connection']]);
    const [first] = fixture.faults.all;
    await new Promise((resolve) => setTimeout(resolve, 5));
    await afterPull();
    expect(fixture.faults.all).toEqual([first]);

    upstream.handler = answer(404);
    expect(await afterPull()).toEqual([]);
  });

  it.each<[string, Behaviour]>([
    ['an error', answer(503)],
    ['patience', tooManyRequests('9')],
  ])('is over when it answers with %s: it speaks for itself', async (_what, behaviour) => {
    upstream.handler = reset();
    await afterPull();

    upstream.handler = behaviour;

    expect(await afterPull()).toEqual([]);
  });

  it('of the token endpoint is not forgotten because the registry itself answers', async () => {
    upstream.handler = tokensBy(reset());
    const told = [['silent', 'the token endpoint of reg.example closed the connection']];
    expect(await afterPull()).toEqual(told);
    const [first] = fixture.faults.all;

    expect(await afterPull()).toEqual(told);
    expect(fixture.faults.all).toEqual([first]);
    upstream.handler = tokensBy(json({ token: 't' }));
    expect(await afterPull()).toEqual([]);
  });

  it('of the host of the content is not forgotten because the registry itself answers', async () => {
    const content = await FaultServer.start({ handler: reset() });
    const [known, moved] = [answer(200), redirect(content.url)];
    upstream.queue(moved, known, moved);
    const told = [['silent', 'the content host of reg.example closed the connection']];

    expect(await afterPull()).toEqual(told);
    expect(await afterPull()).toEqual(told);
    content.handler = answer(200);
    expect(await afterPull()).toEqual([]);
    await content.close();
  });

  it('of one registry is not that of another', async () => {
    const other = await FaultServer.start({ handler: reset() });
    upstream.handler = answer(200);

    await afterPull('anonymous', registryAt(other.url, { name: 'other' }));

    expect(await afterPull()).toEqual([['silent', 'other closed the connection']]);
    await other.close();
  });
});

describe("the gate's own credentials", () => {
  it.each([401, 403])('are told as refused when the token endpoint says %d', async (status) => {
    upstream.handler = tokensBy(answer(status));
    expect(await afterPull()).toEqual([['refused', REFUSED]]);

    upstream.handler = tokensBy(json({ token: 't' }));
    expect(await afterPull('anonymous')).toEqual([['refused', REFUSED]]);
    expect(await afterPull()).toEqual([]);
  });

  it('are told as refused at the first Basic that is, until one is taken', async () => {
    upstream.handler = basicFor('another');
    expect(await afterPull()).toEqual([['refused', REFUSED]]);
    expect(fixture.logged.filter((line) => line.includes('"level":50'))).toHaveLength(1);
    expect(await afterPull()).toEqual([['refused', REFUSED]]);

    upstream.handler = basicFor(BASIC);
    expect(await afterPull()).toEqual([]);
  });

  it('stay refused while the registry is silent for a time', async () => {
    upstream.handler = basicFor('another');
    await afterPull();
    upstream.handler = reset();
    expect((await afterPull()).map(([kind]) => kind)).toEqual(['refused', 'silent']);

    upstream.handler = answer(503);

    expect(await afterPull()).toEqual([['refused', REFUSED]]);
  });

  it.each<[string, Behaviour]>([
    ['an anonymous reader is refused a token', (...all) => tokensBy(answer(401))(...all)],
    ['an anonymous reader is refused', challenge('Basic realm="r"')],
  ])('are not to blame where %s', async (_what, behaviour) => {
    upstream.handler = behaviour;

    expect(await afterPull('anonymous')).toEqual([]);
  });

  it('are not to blame where the registry takes no token, or forbids what was asked for', async () => {
    upstream.handler = (request, response, seen) =>
      request.url?.startsWith('/token')
        ? json({ token: 'worthless' })(request, response, seen)
        : challenge(`Bearer realm="${upstream.url}token",service="s"`)(request, response, seen);
    expect(await afterPull()).toEqual([]);

    upstream.handler = (request, response, seen) =>
      (request.headers.authorization ? answer(403) : challenge('Basic realm="r"'))(
        request,
        response,
        seen,
      );
    expect(await afterPull()).toEqual([]);
  });

  it('are shown neither in what is held nor in the log', async () => {
    upstream.handler = basicFor('another');

    await afterPull();

    expect(JSON.stringify(fixture.faults.all)).not.toMatch(/hunter2|127\./);
    expect(fixture.logged.join('')).not.toMatch(/hunter2|Basic /);
  });
});

it("tells whether a registry refuses the gate's own credentials, of that registry alone", () => {
  const faults = new UpstreamFaults();
  faults.noteFailure('r', 'registry', 'silent', 'r cannot be reached');
  expect(faults.refuses('r')).toBe(false);

  const one = registryAt('http://r', { name: 'r', credentials: [credentials] });

  faults.noteRefused(one, credentials);

  expect([faults.refuses('r'), faults.refuses('other')]).toEqual([true, false]);
  faults.noteAccepted(one, credentials);
  expect(faults.refuses('r')).toBe(false);
});

describe('several accounts at one registry', () => {
  const [a, b] = [credentials, { username: 'second', password: 'hunter2hunter2' }];
  const both = registryAt('http://r', { name: 'r', credentials: [a, b] });

  it('are refused when none is left, and told of one by one', () => {
    const faults = new UpstreamFaults();
    const heard: [string, boolean][] = [];
    faults.onCredentials((registry, taken) => heard.push([registry, taken]));

    faults.noteRefused(both, a);
    expect([faults.refuses('r'), heard]).toEqual([false, []]);
    faults.noteRefused(both, b);
    expect([faults.refuses('r'), heard]).toEqual([true, [['r', false]]]);
    expect(faults.all.map(({ message }) => message)).toEqual([
      "the gate's own credentials for r (user robot) are refused there",
      "the gate's own credentials for r (user second) are refused there",
    ]);

    faults.noteAccepted(both, b);
    expect([faults.refuses('r'), heard.at(-1)]).toEqual([false, ['r', true]]);
    expect(faults.all.map(({ message }) => message)).toEqual([
      "the gate's own credentials for r (user robot) are refused there",
    ]);
  });

  it('are forgotten when they are no longer configured', () => {
    const faults = new UpstreamFaults();
    faults.noteRefused(both, a);
    const reloaded = registryAt('http://r', { name: 'r', credentials: [b] });

    faults.noteAccepted(reloaded, b);
    expect(faults.all).toEqual([]);
    faults.noteRefused(reloaded, b);
    expect(faults.refuses('r')).toBe(true);
  });
});

it('a fault of another kind begins anew', () => {
  jest.useFakeTimers({ now: 0 });
  const faults = new UpstreamFaults();
  faults.noteFailure('r', 'registry', 'silent', 'r cannot be reached');
  jest.setSystemTime(1000);
  faults.noteFailure('r', 'registry', 'silent', 'r did not answer in time');
  expect(faults.all).toMatchObject([{ message: 'r did not answer in time', since: new Date(0) }]);

  faults.noteFailure('r', 'registry', 'untrusted', 'r has a TLS certificate that has expired');

  expect(faults.all).toMatchObject([{ kind: 'untrusted', since: new Date(1000) }]);
  jest.useRealTimers();
});

it('a changed table of registries has what is wrong heard anew, and keeps whose login is refused while it is there', () => {
  const faults = new UpstreamFaults();
  const credentials = { username: 'robot', password: 'wrong' };
  const kept = registryAt('http://kept', { name: 'kept', credentials: [credentials] });
  const gone = registryAt('http://gone', { name: 'gone', credentials: [credentials] });
  faults.noteFailure('gone', 'registry', 'silent', 'gone cannot be reached');
  faults.noteFailure('mirror 1 of kept', 'registry', 'silent', 'it cannot be reached');
  faults.noteRefused(kept, credentials);
  faults.noteRefused(gone, credentials);

  faults.forget((name) => (name === 'kept' ? kept : undefined));

  expect(faults.all.map(({ registry, kind }) => [registry, kind])).toEqual([['kept', 'refused']]);
  expect([faults.refuses('kept'), faults.refuses('gone')]).toEqual([true, false]);
});

it('a changed table of registries has nothing said of an account that it does not know any more', () => {
  const faults = new UpstreamFaults();
  const credentials = { username: 'robot', password: 'wrong' };
  const before = ['open', 'other'].map((name) =>
    registryAt(`http://${name}`, { name, credentials: [credentials] }),
  );
  for (const registry of before) faults.noteRefused(registry, credentials);

  faults.forget((name) => {
    const other = name === 'other' ? [{ username: 'second', password: 'right' }] : [];
    return registryAt(`http://${name}`, { name, credentials: other });
  });

  expect(faults.all).toEqual([]);
  expect([faults.refuses('open'), faults.refuses('other')]).toEqual([false, false]);
});
