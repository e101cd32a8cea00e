import { once } from 'node:events';
import net from 'node:net';
import { text } from 'node:stream/consumers';
import {
  answer,
  type Behaviour,
  challenge,
  corrupt,
  endEarly,
  FaultServer,
  huge,
  json,
  raw,
  reset,
  resetAfter,
  stall,
  stallAfter,
  tooManyRequests,
  truncate,
  truncateChunked,
  wrongLength,
} from '../../test/support/fault-server';
import {
  registryAt,
  upstreamFixture,
  type UpstreamFixture,
  type UpstreamLimits,
} from '../../test/support/upstream-fixture';
import type { Registry } from '../config/registry-table';
import { OciError } from '../oci/oci-error';
import { discard, readBody, type UpstreamRequest } from './upstream.client';

const PULL = [{ type: 'repository', name: 'team/app', actions: ['pull'] }];
const PATH = '/v2/team/app/manifests/1?n=%7e';
const credentials = { username: 'robot', password: 'pässword' };
const BASIC = `Basic ${Buffer.from('robot:pässword').toString('base64')}`;

let upstream: FaultServer;
let registry: Registry;
const fixtures: UpstreamFixture[] = [];

function fixture(limits?: UpstreamLimits): UpstreamFixture {
  const made = upstreamFixture(limits);
  fixtures.push(made);
  return made;
}

function get(more: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return { registry, as: 'anonymous', method: 'GET', path: PATH, access: PULL, ...more };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error('what was waited for did not come');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** undici takes a connection back one turn of the event loop after the answer's end. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Asks for a token of its own server, and has that answered. */
function challengeThen(token: Behaviour): Behaviour {
  return (request, response, seen) =>
    (request.url?.startsWith('/token')
      ? token
      : challenge(`Bearer realm="${upstream.url}token",service="s"`))(request, response, seen);
}

beforeEach(async () => {
  upstream = await FaultServer.start({ own: [BASIC, 'Bearer t'] });
  registry = registryAt(upstream.url, { name: 'reg.example', credentials: [credentials] });
});

afterEach(async () => {
  await Promise.all(fixtures.splice(0).map(({ client }) => client.close()));
  await upstream.close();
});

describe('a request', () => {
  it('is sent to the letter, and its answer given as it is', async () => {
    upstream.queue(
      answer(206, 'body', {
        'X-Two': ['a', 'b'],
        'set-cookie': 'id=1',
        'content-encoding': 'identity',
      }),
    );

    const response = await fixture().client.request(
      get({ headers: { Range: 'bytes=0-3', Accept: 'a/b' } }),
    );

    expect(response).toMatchObject({
      status: 206,
      headers: { 'x-two': 'a, b', 'content-encoding': 'identity' },
    });
    expect(response.headers).not.toHaveProperty('set-cookie');
    expect(await text(response.body)).toBe('body');
    expect(upstream.requests).toMatchObject([
      {
        method: 'GET',
        url: PATH,
        headers: {
          range: 'bytes=0-3',
          accept: 'a/b',
          'accept-encoding': 'identity',
          host: upstream.host,
        },
      },
    ]);
  });

  it('carries its body, and none of the credentials that a caller may have left among the headers', async () => {
    upstream.queue(answer(201));

    const headers = {
      'Content-Type': 'a/b',
      Authorization: 'Bearer x',
      Cookie: 'a=b',
      'Proxy-Authorization': 'x',
      'Transfer-Encoding': 'chunked',
    };
    const response = await fixture().client.request(
      get({ method: 'PUT', headers, body: Buffer.from('manifest') }),
    );

    expect(response.status).toBe(201);
    expect(upstream.foreignCredentials()).toEqual([]);
    expect(upstream.requests[0]).toMatchObject({
      received: 8,
      headers: { 'content-type': 'a/b', 'content-length': '8' },
    });
  });

  it.each([200, 204, 304, 400, 404, 405, 416])('gives back %d', async (status) => {
    upstream.queue(answer(status));

    expect(await fixture().client.request(get())).toMatchObject({ status });
  });

  it('has an empty body and the length for HEAD', async () => {
    upstream.queue(answer(200, '', { 'content-length': 12345 }));

    const response = await fixture().client.request(get({ method: 'HEAD' }));

    expect([response.headers['content-length'], await text(response.body)]).toEqual(['12345', '']);
  });

  it('refuses a path that would be more than a path', async () => {
    await expect(fixture().client.request(get({ path: '/v2/ HTTP/1.1\r\nX: y' }))).rejects.toThrow(
      'request line',
    );
    expect(upstream.accepted).toBe(0);
  });

  it('never uses a kept connection for what cannot be repeated', async () => {
    upstream.handler = answer(202);
    const { client } = fixture();
    for (const method of ['GET', 'GET', 'POST', 'POST'] as const) {
      await discard(await client.request(get({ method })));
      await settled();
    }

    expect(new Set(upstream.requests.map(({ port }) => port)).size).toBe(3);
  });
});

describe('login by Basic', () => {
  it('shows the configured credentials when asked, and at once from then on', async () => {
    upstream.handler = (request, response, seen) =>
      (request.headers.authorization === BASIC ? answer(200, 'ok') : challenge('Basic realm="r"'))(
        request,
        response,
        seen,
      );
    const { client } = fixture();

    for (const _ of [1, 2])
      expect(await client.request(get({ as: 'configured' }))).toMatchObject({ status: 200 });

    expect(upstream.requests.map(({ headers }) => headers.authorization)).toEqual([
      undefined,
      BASIC,
      BASIC,
    ]);
  });

  it('does not show them for an anonymous reader', async () => {
    upstream.handler = challenge('Basic realm="r"');

    await expect(fixture().client.request(get())).rejects.toMatchObject({ code: 'DENIED' });
    expect(upstream.foreignCredentials()).toEqual([]);
  });

  it('is DENIED when they are refused, and says so in the log without the password', async () => {
    upstream.handler = challenge('Basic realm="r"');
    const { client, logged } = fixture();

    await expect(client.request(get({ as: 'configured' }))).rejects.toMatchObject({
      code: 'DENIED',
      message: "team/app does not exist at reg.example, or the gate's credentials may not see it",
    });
    await expect(client.request(get({ as: 'configured' }))).rejects.toMatchObject({
      code: 'DENIED',
    });

    expect(logged.join('')).toContain('own credentials for reg.example were refused');
    expect(logged.join('')).not.toMatch(/pässword|Basic /);
  });

  it('is BAD_UPSTREAM when the registry asks for what is not known', async () => {
    upstream.handler = challenge('Negotiate');

    await expect(fixture().client.request(get({ as: 'configured' }))).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
    });
  });
});

describe('refusals and failures', () => {
  it('turns 403 into DENIED', async () => {
    upstream.queue(answer(403));

    await expect(fixture().client.request(get())).rejects.toMatchObject({ code: 'DENIED' });
  });

  it.each([
    ['17', '17'],
    [undefined, '60'],
    ['never\t', '60'],
  ])('turns 429 with Retry-After %j into TOOMANYREQUESTS after %s s', async (given, expected) => {
    upstream.queue(tooManyRequests(given));

    await expect(fixture().client.request(get())).rejects.toMatchObject({
      code: 'TOOMANYREQUESTS',
      headers: { 'Retry-After': expected },
    });
  });

  it.each([500, 502, 503])('F9: tries GET and HEAD once more after %d', async (status) => {
    const { client } = fixture();
    for (const method of ['GET', 'HEAD'] as const) {
      upstream.queue(answer(status, method === 'GET' ? 'sorry' : ''), answer(200));

      expect(await client.request(get({ method }))).toMatchObject({ status: 200 });
    }
    expect(upstream.requests).toHaveLength(4);
  });

  it.each([500, 502, 503])('F9: is BAD_UPSTREAM after two times %d', async (status) => {
    upstream.handler = answer(status);

    await expect(fixture().client.request(get())).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
      status: 502,
    });
    expect(upstream.requests).toHaveLength(2);
  });

  it.each(['PUT', 'POST', 'DELETE'] as const)('does not repeat a %s', async (method) => {
    upstream.queue(answer(500), reset());
    const { client } = fixture();

    await expect(client.request(get({ method }))).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });
    await expect(client.request(get({ method }))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(upstream.requests).toHaveLength(2);
  });

  it('F9: tries once more after a reset, then is UNAVAILABLE', async () => {
    const { client } = fixture();
    upstream.queue(reset(), answer(200), reset(), reset());

    expect(await client.request(get())).toMatchObject({ status: 200 });
    await expect(client.request(get())).rejects.toMatchObject({ code: 'UNAVAILABLE', status: 503 });
  });

  it('is UNAVAILABLE when nobody listens, and names the registry but no address', async () => {
    await upstream.close();

    const refused = fixture().client.request(get());

    await expect(refused).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: 'reg.example cannot be reached',
    });
  });

  it('is UNAVAILABLE when the name does not exist', async () => {
    const away = registryAt('http://registry.invalid', { name: 'away' });

    await expect(fixture().client.request(get({ registry: away }))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
  });

  it('F2: is UPSTREAM_TIMEOUT after the header timeout, while another registry answers', async () => {
    upstream.handler = stall();
    const other = await FaultServer.start({ handler: answer(200) });
    const { client } = fixture({ headerTimeout: 300 });

    const silent = client.request(get());
    silent.catch(() => undefined);

    expect(await client.request(get({ registry: registryAt(other.url) }))).toMatchObject({
      status: 200,
    });
    await expect(silent).rejects.toMatchObject({ code: 'UPSTREAM_TIMEOUT', status: 504 });
    await other.close();
  });

  it('is UNAVAILABLE when TLS is not answered within the connect timeout', async () => {
    const mute = net.createServer((socket) => void socket.on('error', () => undefined));
    mute.listen(0, '127.0.0.1');
    await once(mute, 'listening');
    const silent = registryAt(`https://127.0.0.1:${(mute.address() as net.AddressInfo).port}`, {
      name: 'tls',
    });

    await expect(
      fixture({ connectTimeout: 200 }).client.request(get({ registry: silent })),
    ).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    mute.close();
  });

  it('is BAD_UPSTREAM when the other side speaks no TLS', async () => {
    const plain = registryAt(`https://${upstream.host}`, { name: 'plain' });

    await expect(fixture().client.request(get({ registry: plain }))).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
    });
  });

  const OK = 'HTTP/1.1 200 OK\r\n';
  const NO_BODY = 'Content-Length: 0\r\n\r\n';

  describe.each<[string, string]>([
    ['another protocol', 'SSH-2.0-OpenSSH_9\r\n\r\n'],
    ['the status 000', `HTTP/1.1 000 X\r\n${NO_BODY}`],
    ['the status 099', `HTTP/1.1 099 X\r\n${NO_BODY}`],
    ['the status 1000', `HTTP/1.1 1000 X\r\n${NO_BODY}`],
    ['the status 999', `HTTP/1.1 999 X\r\n${NO_BODY}`],
    ['100 that was not asked for', `HTTP/1.1 100 Continue\r\n\r\n${OK}${NO_BODY}`],
    ['101 with an upgrade', 'HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n'],
    ['101 without an upgrade', 'HTTP/1.1 101 X\r\n\r\n'],
    ['two lengths', `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    ['a list of lengths', `${OK}Content-Length: 2, 2\r\n\r\nab`],
    ['a length of 23 digits', `${OK}Content-Length: 12345678901234567890123\r\n\r\nab`],
    ['a length below zero', `${OK}Content-Length: -1\r\n\r\nab`],
    [
      'a length, and chunks',
      `${OK}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n`,
    ],
    [
      'chunks, and a length',
      `${OK}Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nab\r\n0\r\n\r\n`,
    ],
    ['packed chunks', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n`],
    ['a header without a colon', `${OK}Foo Bar\r\n${NO_BODY}`],
    ['a header with a NUL', `${OK}Foo: a\0b\r\n${NO_BODY}`],
    ['a folded header', `${OK}Foo: a\r\n b\r\n${NO_BODY}`],
    ['endless headers', `${OK}Foo: ${'a'.repeat(100_000)}\r\n${NO_BODY}`],
  ])('an answer that is %s', (_what, bytes) => {
    it.each(['GET', 'HEAD', 'PUT'] as const)(
      'is BAD_UPSTREAM for %s, and hinders nobody after it',
      async (method) => {
        upstream.handler = raw(bytes);
        const { client } = fixture();

        const refused = client.request(get({ method }));

        await expect(refused).rejects.toBeInstanceOf(OciError);
        await expect(refused).rejects.toMatchObject({ code: 'BAD_UPSTREAM', status: 502 });
        upstream.handler = answer(200);
        expect(await client.request(get({ method }))).toMatchObject({ status: 200 });
      },
    );
  });

  it('of the upstream name their cause for the log', async () => {
    upstream.handler = raw(`HTTP/1.1 099 X\r\n${NO_BODY}`);

    await expect(fixture().client.request(get())).rejects.toMatchObject({
      message: 'reg.example gave an answer that is not HTTP',
      cause: { code: 'ERR_ASSERTION' },
    });
  });

  it.each(['gzip', 'br', 'identity, gzip', 'Zstd', 'aws-chunked'])(
    'is BAD_UPSTREAM for an answer in %s, which was not asked for, and its connection ended',
    async (encoding) => {
      upstream.handler = huge(1e9, { 'content-encoding': encoding });

      await expect(fixture().client.request(get())).rejects.toMatchObject({
        code: 'BAD_UPSTREAM',
        message: expect.stringContaining('compressed or encoded'),
      });

      await until(() => upstream.open === 0);
    },
  );

  it('holds for HEAD, for redirects and their ends, and for tokens too', async () => {
    const { client } = fixture();
    const packed = { 'content-encoding': 'gzip' };
    const from = (behaviour: Behaviour) => (upstream.handler = behaviour);
    for (const behaviour of [
      answer(200, '', packed),
      answer(307, '', { location: '/else', ...packed }),
      challengeThen(answer(200, '{"token":"t"}', packed)),
    ]) {
      from(behaviour);

      const refused = client.request(get({ method: 'HEAD' }));

      await expect(refused).rejects.toMatchObject({
        code: 'BAD_UPSTREAM',
        message: expect.stringContaining('compressed or encoded'),
      });
    }
  });

  it('leaves a request that could not be sent as the fault of ours that it is', async () => {
    const broken = get({ headers: { range: 'a\r\nX: b' } });

    await expect(fixture().client.request(broken)).rejects.not.toBeInstanceOf(OciError);
    expect(upstream.requests).toHaveLength(0);
  });

  it('is UNAVAILABLE when the gate stops meanwhile, and no fault of the registry', async () => {
    upstream.handler = stall();
    const { client, faults } = fixture();
    const waiting = client.request(get());
    waiting.catch(() => undefined);
    await until(() => upstream.requests.length === 1);

    await client.close();

    await expect(waiting).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(faults.all).toEqual([]);
  });
});

describe('bodies', () => {
  const BODY = Buffer.alloc(200_000, 'x');

  it.each([
    ['reset', resetAfter(BODY, 1000)],
    ['cut short', truncate(BODY, 1000)],
    ['cut short in chunks', truncateChunked(BODY, 1000)],
    ['shorter than announced', wrongLength(BODY, BODY.length + 1)],
    ['stalled', stallAfter(BODY, 1000)],
  ])('fail when they are %s', async (_how, behaviour) => {
    upstream.queue(behaviour);
    const response = await fixture({ idleTimeout: 300 }).client.request(get());

    await expect(text(response.body)).rejects.toThrow();
  });

  it('are given as they came where only a digest could tell that they are wrong', async () => {
    upstream.queue(corrupt(BODY, 5), endEarly(BODY, 1000));
    const { client } = fixture();

    const [wrong, short] = [
      await readBody(await client.request(get()), 1e6),
      await readBody(await client.request(get()), 1e6),
    ];

    expect([wrong.length, wrong.equals(BODY), short.length]).toEqual([BODY.length, false, 1000]);
  });

  it('end their connection when they are destroyed, and bother nobody', async () => {
    upstream.queue(huge(1e9));
    const { body } = await fixture().client.request(get());

    body.destroy();

    await until(() => upstream.open === 0);
  });

  it('end their connection when the signal says so, before and after the headers', async () => {
    const { client } = fixture();
    const controllers = [new AbortController(), new AbortController()] as const;
    upstream.queue(stall());
    const waiting = client.request(get({ signal: controllers[0].signal }));
    waiting.catch(() => undefined);
    await until(() => upstream.requests.length === 1);
    upstream.queue(huge(1e9));
    const reading = await client.request(get({ signal: controllers[1].signal }));
    const read = text(reading.body);
    read.catch(() => undefined);

    for (const controller of controllers) controller.abort();

    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
    await expect(read).rejects.toThrow();
    await until(() => upstream.open === 0);
    await expect(client.request(get({ signal: controllers[0].signal }))).rejects.toMatchObject({
      name: 'AbortError',
    });
  });

  it('wait for a slow reader without reading ahead', async () => {
    let sent = 0;
    upstream.queue((request, response) => {
      const write = response.write.bind(response) as (chunk: Buffer) => boolean;
      response.write = ((chunk: Buffer) => (
        (sent += chunk.length),
        write(chunk)
      )) as typeof response.write;
      return huge(64 * 1024 * 1024)(request, response, upstream.requests[0]!);
    });
    const { body } = await fixture({ idleTimeout: 1000 }).client.request(get());
    const soFar = await new Promise<number>((resolve) => setTimeout(() => resolve(sent), 300));

    expect(soFar).toBeLessThan(32 * 1024 * 1024);
    body.destroy();
  });
});

describe('readBody', () => {
  it('gives the bytes', async () => {
    upstream.queue(json({ a: 1 }));

    expect((await readBody(await fixture().client.request(get()), 7)).toString()).toBe('{"a":1}');
  });

  it.each([
    ['announced', { 'content-length': 1024 ** 3 }],
    ['not announced', {}],
  ])(
    'S26: refuses a manifest of 1 GiB that is %s, and ends its connection',
    async (_how, headers) => {
      upstream.queue(huge(1024 ** 3, headers));
      const before = process.memoryUsage().rss;

      await expect(
        readBody(await fixture().client.request(get()), 4 * 1024 * 1024),
      ).rejects.toMatchObject({ code: 'BAD_UPSTREAM' });

      await until(() => upstream.open === 0);
      expect(process.memoryUsage().rss - before).toBeLessThan(200 * 1024 * 1024);
    },
  );

  it.each([
    ['its announced length', { 'content-length': 1000 }, 1000],
    ['the limit where none is announced', { 'transfer-encoding': 'chunked' }, 4096],
  ])('asks for %s before it reads, and gives back the rest', async (_what, headers, asked) => {
    upstream.queue((_request, response) => {
      response.writeHead(200, headers).end(Buffer.alloc(1000, 'x'));
    });
    const held: number[] = [];
    let admit: () => void = () => undefined;
    const admitted = new Promise<void>((resolve) => (admit = resolve));
    let came = 0;

    const reading = readBody(await fixture().client.request(get()), 4096, async (bytes) => {
      held.push(bytes);
      await admitted;
      return (actual) => (came = actual);
    });
    await until(() => held.length > 0);
    admit();

    expect((await reading).length).toBe(1000);
    expect([held, came]).toEqual([[asked], 1000]);
  });

  it('ends with what the question throws, untouched, and ends the connection', async () => {
    upstream.queue(huge(1e9));
    const full = new Error('no room');

    await expect(
      readBody(await fixture().client.request(get()), 1e9, () => Promise.reject(full)),
    ).rejects.toBe(full);

    await until(() => upstream.open === 0);
  });

  it('is BAD_UPSTREAM when the body breaks off', async () => {
    upstream.queue(truncate(Buffer.alloc(100), 50));

    await expect(readBody(await fixture().client.request(get()), 100)).rejects.toMatchObject({
      code: 'BAD_UPSTREAM',
    });
  });
});

describe('discard', () => {
  it('keeps the connection of a short body and ends that of a long one', async () => {
    const { client } = fixture();
    upstream.queue(answer(200, 'short'), answer(200), huge(1e9));

    await discard(await client.request(get()));
    await settled();
    await discard(await client.request(get()));
    await settled();
    expect(upstream.accepted).toBe(1);
    await discard(await client.request(get()));

    await until(() => upstream.open === 0);
  });

  it('waits a second for a body that stalls, and no longer for one that drips', async () => {
    const { client } = fixture({ idleTimeout: 60_000 });
    const drip: Behaviour = (_request, response) => {
      response.writeHead(200);
      const timer = setInterval(() => response.write('x'), 50);
      response.once('close', () => clearInterval(timer));
    };
    upstream.queue(stallAfter(Buffer.alloc(1000), 10), drip);
    const responses = [await client.request(get()), await client.request(get())];
    const started = performance.now();

    await Promise.all(responses.map(discard));

    expect(performance.now() - started).toBeLessThan(3_000);
    await until(() => upstream.open === 0);
  });

  it('does not mind a body that breaks off', async () => {
    upstream.queue(resetAfter(Buffer.alloc(1000), 10));

    await expect(discard(await fixture().client.request(get()))).resolves.toBeUndefined();
  });
});

it('logs host and path, and neither query nor credentials', async () => {
  upstream.handler = (request, response, seen) =>
    (request.headers.authorization ? answer(200) : challenge('Basic realm="r"'))(
      request,
      response,
      seen,
    );
  const { client, logged } = fixture();

  await discard(
    await client.request(
      get({ as: 'configured', path: '/v2/team/app/blobs/uploads/1?_state=SECRET' }),
    ),
  );

  expect(logged.join('')).toContain('"path":"/v2/team/app/blobs/uploads/1"');
  expect(logged.join('')).not.toMatch(/SECRET|Basic |pässword/);
});
