import {
  answer,
  type Behaviour,
  challenge,
  FaultServer,
  json,
  redirect,
  reset,
  stall,
  tooManyRequests,
} from '../../test/support/fault-server';
import { eventually } from '../../test/support/lifecycle';
import {
  registryAt,
  upstreamFixture,
  type UpstreamFixture,
} from '../../test/support/upstream-fixture';
import type { Registry } from '../config/registry-table';
import { OciError } from '../oci/oci-error';
import { discard, type UpstreamRequest } from './upstream.client';

const credentials = { username: 'robot', password: 'password' };
const BASIC = `Basic ${Buffer.from('robot:password').toString('base64')}`;

let upstream: FaultServer;
let registry: Registry;
let fixture: UpstreamFixture;

beforeEach(async () => {
  upstream = await FaultServer.start({ handler: answer(200), own: [BASIC, 'Bearer t'] });
  registry = registryAt(upstream.url, { name: 'reg.example', credentials: [credentials] });
  fixture = upstreamFixture({ headerTimeout: 300 });
});

afterEach(async () => {
  await fixture.client.close();
  await upstream.close();
});

/** What comes of a request: the status, or the error's code and the seconds of its Retry-After. */
async function ask(more: Partial<UpstreamRequest> & { of?: string } = {}): Promise<unknown> {
  const { of = 'team/app', ...rest } = more;
  const access = [{ type: 'repository', name: of, actions: ['pull'] }];
  const path = `/v2/${of}/manifests/1`;
  try {
    const request = { registry, as: 'configured', method: 'GET', path, access, ...rest } as const;
    const response = await fixture.client.request(request);
    await discard(response);
    return response.status;
  } catch (error) {
    if (!(error instanceof OciError)) return error;
    const seconds = error.headers['Retry-After'];
    return seconds === undefined ? error.code : [error.code, Number(seconds)];
  }
}

async function asked(requests: () => Promise<unknown>): Promise<number> {
  const before = upstream.requests.length;
  await requests();
  return upstream.requests.length - before;
}

/** A registry with a token endpoint that answers so. */
function tokensBy(endpoint: Behaviour, inside: Behaviour = answer(200)): Behaviour {
  return (request, response, seen) => {
    if (request.url?.startsWith('/token')) return endpoint(request, response, seen);
    return (
      request.headers.authorization
        ? inside
        : challenge(`Bearer realm="${upstream.url}token",service="s"`)
    )(request, response, seen);
  };
}

describe('F8: a registry that asks for patience', () => {
  it('is left alone until then, and clients are told how long', async () => {
    upstream.queue(tooManyRequests('17'));
    expect(await ask()).toEqual(['TOOMANYREQUESTS', 17]);

    expect(
      await asked(async () => {
        expect(await ask()).toEqual(['TOOMANYREQUESTS', 17]);
        fixture.later(7_000);
        expect(await ask({ method: 'HEAD', of: 'team/other' })).toEqual(['TOOMANYREQUESTS', 10]);
      }),
    ).toBe(0);

    fixture.later(10_000);
    expect(await ask()).toBe(200);
  });

  it('is left alone for a minute where it does not say how long', async () => {
    upstream.queue(tooManyRequests());
    await ask();

    expect(await ask()).toEqual(['TOOMANYREQUESTS', 60]);
  });

  it('is left alone by those whom it asked', async () => {
    upstream.queue(tooManyRequests('17'));
    await ask({ as: 'anonymous' });

    expect(await ask({ as: 'configured' })).toBe(200);
    expect(await ask({ as: 'anonymous' })).toEqual(['TOOMANYREQUESTS', 17]);
  });

  it('is left alone by everybody where there are no credentials to tell them apart', async () => {
    registry = registryAt(upstream.url);
    upstream.queue(tooManyRequests('17'));
    await ask({ as: 'anonymous' });

    expect(await ask({ as: 'configured' })).toEqual(['TOOMANYREQUESTS', 17]);
  });

  it('is not asked for tokens either, when it is its token endpoint that asks', async () => {
    upstream.handler = tokensBy(tooManyRequests('17'));
    expect(await ask()).toEqual(['TOOMANYREQUESTS', 17]);

    expect(await asked(() => ask({ of: 'team/other' }))).toBe(0);
  });

  it('is left alone when the host of its content asks', async () => {
    const content = await FaultServer.start({ handler: tooManyRequests('17') });
    upstream.queue(redirect(content.url));
    expect(await ask()).toEqual(['TOOMANYREQUESTS', 17]);

    expect(await asked(() => ask())).toBe(0);
    await content.close();
  });

  it('is pushed to all the same', async () => {
    upstream.queue(tooManyRequests('17'));
    await ask();

    for (const method of ['PUT', 'POST', 'DELETE'] as const)
      expect(await ask({ method })).toBe(200);
  });

  it('has no bearing on other registries, nor on one whose settings were reloaded', async () => {
    upstream.queue(tooManyRequests('17'));
    await ask();

    expect(await ask({ registry: { ...registry } })).toBe(200);
  });

  it('gets the longest that it asked for', async () => {
    upstream.queue(tooManyRequests('17'), tooManyRequests('5'));
    const both = [ask(), ask()];
    await Promise.all(both);

    expect(await ask()).toEqual(['TOOMANYREQUESTS', 17]);
  });
});

describe('F1, F2: a registry that does not answer', () => {
  const three = () => Promise.all([ask(), ask(), ask()]);

  it.each<[string, Behaviour, string]>([
    ['closes connections', reset(), 'UNAVAILABLE'],
    ['says nothing', stall(), 'UPSTREAM_TIMEOUT'],
  ])(
    'and %s is not asked again for 2 s, and clients are told so at once',
    async (_what, behaviour, code) => {
      upstream.handler = behaviour;
      expect(await three()).toEqual([code, code, code]);
      const started = performance.now();

      expect(await asked(async () => expect(await ask()).toEqual(['UNAVAILABLE', 2]))).toBe(0);

      expect(performance.now() - started).toBeLessThan(200);
      await expect(
        fixture.client.request({
          registry,
          as: 'anonymous',
          method: 'HEAD',
          path: '/v2/',
          access: [],
        }),
      ).rejects.toMatchObject({
        status: 503,
        message: 'reg.example does not answer, and is not asked again for 2 s',
      });
    },
  );

  it('is asked by one request when the pause is over, and by all once that was answered', async () => {
    upstream.handler = reset();
    await three();
    let reply: () => void = () => undefined;
    upstream.handler = async (...all) => {
      await new Promise<void>((resolve) => (reply = resolve));
      return answer(404)(...all);
    };
    fixture.later(2_000);

    const seen = upstream.requests.length;
    const probe = ask();
    await eventually('a request', () => upstream.requests.length === seen + 1);
    expect(await ask()).toEqual(['UNAVAILABLE', 1]);
    expect(upstream.requests).toHaveLength(seen + 1);
    upstream.handler = answer(200);
    reply();

    expect(await probe).toBe(404);
    expect(await three()).toEqual([200, 200, 200]);
  });

  it('is asked ever more rarely while it stays so', async () => {
    upstream.handler = reset();
    await three();

    for (const pause of [4, 8, 16, 30, 30]) {
      fixture.later(30_000);
      expect(await ask()).toBe('UNAVAILABLE');
      expect(await ask()).toEqual(['UNAVAILABLE', pause]);
    }
  });

  it('keeps the place of a probe for the next when its client leaves', async () => {
    upstream.handler = stall();
    await three();
    fixture.later(2_000);
    const leaving = new AbortController();
    const seen = upstream.requests.length;
    const probe = ask({ signal: leaving.signal });
    await eventually('a request', () => upstream.requests.length === seen + 1);
    upstream.handler = reset();

    leaving.abort();

    expect(await probe).toMatchObject({ name: 'AbortError' });
    expect(await ask()).toBe('UNAVAILABLE');
    expect(await ask()).toEqual(['UNAVAILABLE', 4]);
  });

  it('is not taken for one because clients leave', async () => {
    upstream.handler = stall();
    const leaving = new AbortController();
    const seen = upstream.requests.length;
    const waiting = [1, 2, 3, 4].map(() => ask({ signal: leaving.signal }));
    await eventually('a request', () => upstream.requests.length === seen + 4);
    leaving.abort();
    await Promise.all(waiting);

    upstream.handler = answer(200);

    expect(await ask()).toBe(200);
  });

  it('is not asked where its token endpoint does not answer', async () => {
    upstream.handler = tokensBy(reset());
    for (let time = 0; time < 3; time += 1) expect(await ask()).toBe('UNAVAILABLE');

    expect(await ask()).toEqual(['UNAVAILABLE', 2]);
  });

  it('is counted once where many wait for the one token', async () => {
    upstream.handler = tokensBy(reset());
    await Promise.all(Array.from({ length: 10 }, () => ask()));

    upstream.handler = tokensBy(json({ token: 't' }));

    expect(await ask()).toBe(200);
  });

  it('is not the registry whose host of content does not answer', async () => {
    const content = await FaultServer.start({ handler: reset() });
    upstream.handler = redirect(content.url);
    for (let time = 0; time < 5; time += 1) expect(await ask()).toBe('UNAVAILABLE');

    upstream.handler = answer(200);

    expect(await ask()).toBe(200);
    await content.close();
  });

  it('answers again as soon as it sends a client on, however silent the host of the content', async () => {
    upstream.handler = reset();
    await three();
    fixture.later(2_000);
    const content = await FaultServer.start({ handler: stall() });
    upstream.queue(redirect(content.url));
    upstream.handler = answer(200);

    const probe = ask();
    await eventually('a request', () => content.requests.length === 1);

    expect(await ask()).toBe(200);
    expect(await probe).toBe('UPSTREAM_TIMEOUT');
    await content.close();
  });

  it('is pushed to all the same, and an answer to a push is one', async () => {
    upstream.handler = reset();
    await three();
    expect(await ask({ method: 'PUT' })).toBe('UNAVAILABLE');
    upstream.handler = answer(201);

    expect(await ask({ method: 'PUT' })).toBe(201);
    expect(await ask()).toBe(201);
  });

  it('is told in the log, once as it begins and once as it ends', async () => {
    upstream.handler = reset();
    await three();
    await ask();
    fixture.later(2_000);
    await ask();
    fixture.later(4_000);
    upstream.handler = answer(200);
    await ask();
    await ask();

    const told = fixture.logged.filter((line) => /left alone|answers again/.test(line));
    expect(told.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { level: 40, upstream: 'reg.example', msg: expect.stringContaining('does not answer') },
      { level: 30, upstream: 'reg.example', msg: 'reg.example answers again' },
    ]);
  });

  it('hinders no other registry', async () => {
    upstream.handler = reset();
    await three();
    const other = await FaultServer.start({ handler: answer(200) });

    expect(await ask({ registry: registryAt(other.url, { name: 'reg.example' }) })).toBe(200);
    await other.close();
  });
});

describe("a registry that refuses the gate's own credentials", () => {
  it.each<[string, () => Behaviour, string]>([
    ['at its token endpoint', () => tokensBy(answer(401)), 'BAD_UPSTREAM'],
    ['by Basic', () => challenge('Basic realm="r"'), 'DENIED'],
  ])('%s is asked the same once in 10 s', async (_where, behaviour, code) => {
    upstream.handler = behaviour();
    expect(await ask()).toBe(code);

    expect(await asked(async () => expect(await ask()).toBe(code))).toBe(0);

    fixture.later(10_000);
    expect(await asked(async () => expect(await ask()).toBe(code))).toBeGreaterThan(0);
    expect(await asked(async () => expect(await ask()).toBe(code))).toBe(0);
  });

  it('is asked for another repository: many say so of a single one that may not be seen', async () => {
    upstream.handler = tokensBy((request, response, seen) =>
      (request.url?.includes('secret') ? answer(403) : json({ token: 't' }))(
        request,
        response,
        seen,
      ),
    );
    expect(await ask({ of: 'team/secret' })).toBe('DENIED');

    expect(await ask({ of: 'team/app' })).toBe(200);
  });

  it('is asked again at once when it has taken them meanwhile', async () => {
    upstream.handler = challenge('Basic realm="r"');
    await ask();
    upstream.handler = (request, response, seen) =>
      (request.headers.authorization === BASIC ? answer(200) : challenge('Basic realm="r"'))(
        request,
        response,
        seen,
      );
    expect(await ask({ of: 'team/other' })).toBe(200);

    expect(await ask()).toBe(200);
  });

  it('is asked by anonymous readers as ever', async () => {
    upstream.handler = challenge('Basic realm="r"');
    await ask();

    expect(await asked(() => ask({ as: 'anonymous' }))).toBe(1);
  });
});
