/** Several accounts of the gate's own at one registry. */
import {
  answer,
  type Behaviour,
  challenge,
  FaultServer,
  json,
  tooManyRequests,
} from '../../test/support/fault-server';
import {
  registryAt,
  upstreamFixture,
  type UpstreamFixture,
} from '../../test/support/upstream-fixture';
import type { Registry } from '../config/registry-table';
import { OciError } from '../oci/oci-error';
import { basicOf } from './logins';
import { discard, type UpstreamRequest } from './upstream.client';

const [ANN, BEN, CAT] = ['ann', 'ben', 'cat'].map((username) => ({
  username,
  password: `hunter2-${username}`,
})) as [Account, Account, Account];
type Account = { username: string; password: string };

const MINUTE = 60_000;

let upstream: FaultServer;
let registry: Registry;
let fixture: UpstreamFixture;
/** What becomes of a request of one of them, where it is not simply answered. */
let fate: Map<Account | undefined, Behaviour>;

/** Who sent the request, by Basic or by a token that was issued to them. */
function sender(authorization = ''): Account | undefined {
  return [ANN, BEN, CAT].find(
    (account) =>
      authorization === basicOf(account) || authorization === `Bearer ${account.username}`,
  );
}

/** Takes any of them by Basic. */
const byBasic: Behaviour = (request, response, seen) => {
  const { authorization } = request.headers;
  const own = authorization === undefined ? challenge('Basic realm="r"') : answer(200);
  return (fate.get(sender(authorization)) ?? own)(request, response, seen);
};

/** Takes any of them at its token endpoint. */
const byTokens: Behaviour = (request, response, seen) => {
  const who = sender(request.headers.authorization);
  const own = () => {
    if (request.url?.startsWith('/token'))
      return fate.get(who) ?? json({ token: who?.username ?? 'nobody', expires_in: 300 });
    return who ? answer(200) : challenge(`Bearer realm="${upstream.url}token",service="s"`);
  };
  return own()(request, response, seen);
};

beforeEach(async () => {
  fate = new Map();
  const own = [ANN, BEN, CAT].flatMap((account) => [
    basicOf(account),
    `Bearer ${account.username}`,
  ]);
  upstream = await FaultServer.start({ handler: byBasic, own });
  registry = registryAt(upstream.url, { name: 'reg.example', credentials: [ANN, BEN] });
  fixture = upstreamFixture();
});

afterEach(async () => {
  await fixture.client.close();
  await upstream.close();
});

/** What comes of a request: the status, or the error's code and the seconds of its Retry-After. */
async function ask({ of = 'app', ...more }: Partial<UpstreamRequest> & { of?: string } = {}) {
  const access = [{ type: 'repository', name: of, actions: ['pull'] }];
  const path = `/v2/${of}/manifests/1`;
  try {
    const request = { registry, as: 'configured', method: 'GET', path, access, ...more } as const;
    const response = await fixture.client.request(request);
    await discard(response);
    return response.status;
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    const seconds = error.headers['Retry-After'];
    return seconds === undefined ? error.code : [error.code, Number(seconds)];
  }
}

/** By whom the registry, or its token endpoint, was asked since; those who sent nothing are left out. */
async function askedBy(path: string, requests: () => Promise<unknown>): Promise<string[]> {
  const before = upstream.requests.length;
  await requests();
  return upstream.requests
    .slice(before)
    .filter(({ url }) => url.startsWith(path))
    .flatMap(({ headers }) => sender(headers.authorization)?.username ?? []);
}

async function times(count: number, work: () => Promise<unknown>): Promise<unknown[]> {
  const outcomes: unknown[] = [];
  for (let each = 0; each < count; each += 1) outcomes.push(await work());
  return outcomes;
}

describe('several accounts', () => {
  it.each([
    ['Basic', byBasic],
    ['tokens', byTokens],
  ])('take turns, by %s', async (_kind, handler) => {
    upstream.handler = handler;

    expect(await askedBy('/v2/', () => times(4, ask))).toEqual(['ann', 'ben', 'ann', 'ben']);
  });

  it('have tokens of their own, each fetched once', async () => {
    upstream.handler = byTokens;

    expect(await askedBy('/token', () => times(6, ask))).toEqual(['ann', 'ben']);
  });

  it('are not shown for those who ask as nobody', async () => {
    expect(await askedBy('/', () => times(2, () => ask({ as: 'anonymous' })))).toEqual([]);
  });

  it('take turns for uploads', async () => {
    upstream.handler = byTokens;
    const one = () => fixture.tokens.authorizationFor(registry, 'configured', []);

    expect(await times(3, one)).toEqual(['Bearer ann', 'Bearer ben', 'Bearer ann']);
  });
});

describe('one that is told to wait', () => {
  it.each(['GET', 'HEAD'] as const)('has the same %s done by the next at once', async (method) => {
    fate.set(ANN, tooManyRequests('100'));

    const asked = askedBy('/', async () => expect(await ask({ method })).toBe(200));
    expect(await asked).toEqual(['ann', 'ben']);
  });

  it.each([
    ['the registry', byBasic],
    ['the token endpoint', byTokens],
  ])('by %s is skipped until its time is up', async (_by, handler) => {
    upstream.handler = handler;
    fate.set(ANN, tooManyRequests('100'));
    expect(await ask()).toBe(200);
    fate.delete(ANN);

    expect(await askedBy('/v2/', () => times(4, ask))).toEqual(Array(4).fill('ben'));
    fixture.later(101_000);
    expect((await askedBy('/v2/', () => times(2, ask))).toSorted()).toEqual(['ann', 'ben']);
  });

  it('is one of several: only when all wait is the client told, and how long at least', async () => {
    registry = { ...registry, credentials: [ANN, BEN, CAT] };
    fate.set(ANN, tooManyRequests('100'));
    fate.set(BEN, tooManyRequests('17'));
    fate.set(CAT, tooManyRequests('60'));

    expect(await ask()).toEqual(['TOOMANYREQUESTS', 17]);
    const later = async () => {
      fixture.later(7_000);
      expect(await ask({ of: 'other', method: 'HEAD' })).toEqual(['TOOMANYREQUESTS', 10]);
    };
    expect(await askedBy('/', later)).toEqual([]);

    fate.clear();
    fixture.later(11_000);
    expect(await askedBy('/', () => times(2, ask))).toEqual(['ben', 'ben']);
  });

  it('has no push repeated by another, and the next push is another’s', async () => {
    fate.set(ANN, tooManyRequests('100'));
    const put = () => ask({ method: 'PUT', body: Buffer.from('x') });
    await askedBy('/', () => fixture.tokens.authorizationFor(registry, 'anonymous', []));

    expect(await put()).toEqual(['TOOMANYREQUESTS', 100]);
    expect(await times(2, put)).toEqual([200, 200]);
  });

  it('leaves an upload to the next', async () => {
    upstream.handler = byTokens;
    fate.set(ANN, tooManyRequests('100'));
    const one = () => fixture.tokens.authorizationFor(registry, 'configured', []);

    expect(await askedBy('/token', () => times(3, one))).toEqual(['ann', 'ben']);
    expect(await one()).toBe('Bearer ben');
    expect(await ask()).toBe(200);
  });
});

describe('one whose login is refused', () => {
  const refusal = (handler: Behaviour) =>
    handler === byBasic ? challenge('Basic realm="r"') : answer(401);

  it.each([
    ['the registry', byBasic],
    ['the token endpoint', byTokens],
  ])('by %s is replaced at once, and skipped for a time', async (_by, handler) => {
    upstream.handler = handler;
    fate.set(ANN, refusal(handler));

    expect(await times(6, ask)).toEqual(Array(6).fill(200));
    expect(await askedBy('/', () => times(4, ask))).toEqual(Array(4).fill('ben'));

    fixture.later(5 * MINUTE);
    expect(await askedBy('/', () => times(4, ask))).toContain('ann');
    fate.delete(ANN);
    fixture.later(5 * MINUTE);
    expect((await askedBy('/v2/', () => times(2, ask))).toSorted()).toEqual(['ann', 'ben']);
    expect(fixture.faults.all).toEqual([]);
  });

  it('is told of by its name, and never by its password', async () => {
    fate.set(ANN, refusal(byBasic));
    await times(2, ask);

    expect(fixture.faults.all.map(({ kind, message }) => [kind, message])).toEqual([
      ['refused', "the gate's own credentials for reg.example (user ann) are refused there"],
    ]);
    expect(fixture.faults.refuses('reg.example')).toBe(false);
    const errors = fixture.logged.filter((line) => line.includes('"level":50'));
    expect(errors.join('')).toContain('"username":"ann"');
    expect(errors.join('')).toContain(
      'the config file and what it names are read again by themselves',
    );
    expect(JSON.stringify([fixture.faults.all, fixture.logged])).not.toMatch(/hunter2|Basic /);
  });

  it('is no refusal of the registry until none is left', async () => {
    fate.set(ANN, refusal(byBasic));
    fate.set(BEN, refusal(byBasic));

    expect(await ask()).toBe('DENIED');
    expect(fixture.faults.refuses('reg.example')).toBe(true);

    fate.delete(BEN);
    await ask({ of: 'other' });
    await ask({ of: 'another' });
    expect(fixture.faults.refuses('reg.example')).toBe(false);
  });

  it('is not shown on and on while all are refused', async () => {
    upstream.handler = byTokens;
    fate.set(ANN, refusal(byTokens));
    fate.set(BEN, refusal(byTokens));
    await ask();

    expect(await askedBy('/', () => times(5, ask))).toHaveLength(0);
    fixture.later(11_000);
    // Asked with a scope and without one: it is the login that is refused.
    expect(await askedBy('/', () => times(5, ask))).toHaveLength(2);
  });

  it('leaves an upload to the next', async () => {
    upstream.handler = byTokens;
    fate.set(ANN, refusal(byTokens));
    const one = () => fixture.tokens.authorizationFor(registry, 'configured', []);

    expect(await times(3, one)).toEqual(Array(3).fill('Bearer ben'));
  });

  it('while the other waits does not hide how long', async () => {
    fate.set(ANN, refusal(byBasic));
    fate.set(BEN, tooManyRequests('40'));

    expect(await times(2, ask)).toEqual(Array(2).fill(['TOOMANYREQUESTS', 40]));
  });
});

it('a refusal of what is asked for is one, whoever asks', async () => {
  fate.set(ANN, answer(403));

  expect(await askedBy('/', async () => expect(await ask()).toBe('DENIED'))).toEqual(['ann']);
  expect(fixture.faults.all).toEqual([]);
});

it('a token that is refused is dropped for uploads, and those of the others stay', async () => {
  upstream.handler = byTokens;
  const one = () => fixture.tokens.authorizationFor(registry, 'configured', []);
  await times(2, one);

  fixture.tokens.renounce(registry, 'configured', [], 'Bearer ben');

  expect(await askedBy('/token', () => times(4, one))).toEqual(['ben']);
});
