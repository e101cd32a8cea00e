import { request as httpRequest, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { BlobUpstream } from '../support/blob-upstream';
import { CacheFolder } from '../support/cache-folder';
import { startGate, type Gate } from '../support/gate';
import { bearer, type Answer } from '../support/http';
import { MIB } from '../support/images';
import { eventually } from '../support/lifecycle';
import { Patterned } from '../support/patterned';
import { visit, type Visitor } from '../support/stand';

let gate: Gate;
let upstream: BlobUpstream;
let who: Visitor;

beforeAll(async () => {
  upstream = await BlobUpstream.start();
  gate = await startGate(upstream.settings);
  who = await visit(gate, await gate.addAccount(), 'team/app', 'pull');
});

let count = 0;

/** Content that nobody has asked for yet. */
function fresh(size: number): Patterned {
  count += 1;
  const content = new Patterned(size, `range-${count}`);
  upstream.add(content);
  return content;
}

const pathOf = ({ digest }: Patterned) => `/v2/team/app/blobs/${digest}`;

function ask(content: Patterned, headers: Record<string, string> = {}, method = 'GET') {
  return who.ask(pathOf(content), { method, headers });
}

const readers: IncomingMessage[] = [];

/** Begins to read, and stops at once. */
async function beginReading(content: Patterned): Promise<IncomingMessage> {
  const headers = bearer(who.token);
  const outgoing = httpRequest(`${gate.url}${pathOf(content)}`, { agent: false, headers });
  outgoing.on('error', () => undefined).end();
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage];
  incoming.on('error', () => undefined).pause();
  readers.push(incoming);
  return incoming;
}

const isHeld = (content: Patterned) => new CacheFolder(gate).digests().includes(content.digest);

/** What an answer must be for those bytes of that content, and what it is. */
function compare(answer: Answer, content: Patterned, from: number, to: number) {
  const { status, headers, body } = answer;
  const { size, digest } = content;
  const seen = {
    status,
    range: headers['content-range'],
    length: headers['content-length'],
    etag: headers.etag,
    digest: headers['docker-content-digest'],
    right: body.equals(content.bytes(from, to)),
  };
  const wanted = {
    status: 206,
    range: `bytes ${from}-${to - 1}/${size}`,
    length: String(to - from),
    etag: `"${digest}"`,
    digest,
    right: true,
  };
  return { seen, wanted };
}

describe.each([
  ['kept in memory', 1_000],
  ['of some size', 300_000],
  ['that is large', 20 * MIB + 17],
])('a part of held content %s', (_what, size) => {
  let content: Patterned;

  beforeAll(async () => {
    content = fresh(size);
    expect((await ask(content)).status).toBe(200);
    await eventually('it is served from here', async () => {
      const { headers } = await ask(content, { range: 'bytes=0-0' });
      return headers['cache-status'] === 'tidegate; hit';
    });
  });

  afterAll(() => {
    expect(upstream.asked('GET', content)).toHaveLength(1);
    expect(upstream.asked('HEAD', content)).toHaveLength(0);
  });

  it.each([
    ['its first byte', 'bytes=0-0', 0, 1],
    ['some bytes', 'bytes=100-299', 100, 300],
    ['an open range', 'bytes=500-', 500, size],
    ['all of it', 'bytes=0-', 0, size],
    ['a suffix', 'bytes=-50', size - 50, size],
    ['a suffix of more than there is', `bytes=-${size + 5}`, 0, size],
    ['an end behind its own', `bytes=900-${size + 1000}`, 900, size],
    ['its last byte', `bytes=${size - 1}-`, size - 1, size],
  ])('is 206 for %s: %s', async (_name, range, from, to) => {
    const answer = await ask(content, { range });

    const { seen, wanted } = compare(answer, content, from, to);
    expect(seen).toEqual(wanted);
    expect(answer.headers['cache-status']).toBe('tidegate; hit');
  });

  it.each([`bytes=${size}-`, `bytes=${size + 100}-${size + 200}`, 'bytes=-0'])(
    'is 416 with the size for %s',
    async (range) => {
      const answer = await ask(content, { range });

      expect(answer.status).toBe(416);
      expect(answer.headers['content-range']).toBe(`bytes */${size}`);
    },
  );

  it.each(['bytes=0-1,5-9', 'bytes=9-5', 'bytes=a-b', 'pages=1-2', 'bytes=', '0-5'])(
    'is all of it for %s',
    async (range) => {
      const answer = await ask(content, { range });

      expect(answer.status).toBe(200);
      expect(answer.body.equals(content.bytes())).toBe(true);
      expect(answer.headers['accept-ranges']).toBe('bytes');
    },
  );

  it('is given by If-Range only while its validator is the digest', async () => {
    const range = 'bytes=10-19';
    const same = await ask(content, { range, 'if-range': `"${content.digest}"` });
    const other = await ask(content, { range, 'if-range': '"sha256:0"' });
    const weak = await ask(content, { range, 'if-range': `W/"${content.digest}"` });
    const dated = await ask(content, { range, 'if-range': new Date().toUTCString() });

    expect([same, other, weak, dated].map(({ status }) => status)).toEqual([206, 200, 200, 200]);
  });

  it('and the whole are 304 for whoever has that digest already, without a body', async () => {
    const has = { 'if-none-match': `"sha256:0", W/"${content.digest}"` };
    const answers = [
      await ask(content, has),
      await ask(content, has, 'HEAD'),
      await ask(content, { ...has, range: 'bytes=0-9' }),
      await ask(content, { 'if-none-match': '"sha256:0"' }, 'HEAD'),
    ];

    expect(answers.map(({ status }) => status)).toEqual([304, 304, 304, 200]);
    expect(answers[0]?.headers.etag).toBe(`"${content.digest}"`);
    expect(answers[0]?.body).toHaveLength(0);
  });

  it('HEAD tells the length of the whole, Range or not', async () => {
    const answers = [
      await ask(content, {}, 'HEAD'),
      await ask(content, { range: 'bytes=0-9' }, 'HEAD'),
    ];

    for (const { status, headers, body } of answers) {
      expect(status).toBe(200);
      expect(headers['content-length']).toBe(String(size));
      expect(headers['accept-ranges']).toBe('bytes');
      expect(body).toHaveLength(0);
    }
  });
});

describe('content that is not held', () => {
  it('S8: is described by HEAD with the length of the GET, and not fetched for it', async () => {
    const content = fresh(2 * MIB);

    const answer = await ask(content, {}, 'HEAD');

    expect(answer.status).toBe(200);
    expect(answer.headers['content-length']).toBe(String(content.size));
    expect(upstream.asked('GET', content)).toEqual([]);
    expect(new CacheFolder(gate).spools()).toEqual([]);
    expect(isHeld(content)).toBe(false);
    expect((await ask(content)).body).toHaveLength(content.size);
  });

  it('is fetched from upstream only for the part that is asked for, and not held by it', async () => {
    const content = fresh(4 * MIB);

    const part = await ask(content, { range: 'bytes=1000-1999' });
    const suffix = await ask(content, { range: 'bytes=-10' });

    for (const [answer, from, to] of [
      [part, 1000, 2000],
      [suffix, content.size - 10, content.size],
    ] as const) {
      const { seen, wanted } = compare(answer, content, from, to);
      expect(seen).toEqual(wanted);
    }
    const ranges = upstream.asked('GET', content).map(({ headers }) => headers.range);
    expect(ranges).toEqual(['bytes=1000-1999', `bytes=${content.size - 10}-${content.size - 1}`]);
    expect(isHeld(content)).toBe(false);
  });

  it('is held by one who asks for all of it as a range', async () => {
    const content = fresh(4 * MIB);

    const answer = await ask(content, { range: 'bytes=0-' });

    const { seen, wanted } = compare(answer, content, 0, content.size);
    expect(seen).toEqual(wanted);
    await eventually('it is held', () => isHeld(content));
    expect(upstream.asked('GET', content)).toHaveLength(1);
  });

  it('is 416 with the size for a range that is not in it', async () => {
    const content = fresh(MIB);

    const answer = await ask(content, { range: `bytes=${MIB}-` });

    expect(answer.status).toBe(416);
    expect(answer.headers['content-range']).toBe(`bytes */${MIB}`);
  });
});

describe('content that is being fetched', () => {
  const SIZE = 64 * MIB;
  const SENT = 8 * MIB;
  let content: Patterned;

  beforeEach(async () => {
    content = fresh(SIZE);
    upstream.sendUpTo(SENT);
  });

  afterEach(async () => {
    for (const incoming of readers.splice(0)) incoming.destroy();
    await eventually('the fetch has ended', () => upstream.sending === 0);
    upstream.sendUpTo();
  });

  it('gives its first bytes before the upstream has sent the last ones', async () => {
    const incoming = await beginReading(content);

    const [first] = (await once(incoming.resume(), 'data')) as [Buffer];
    incoming.pause();

    expect(first.equals(content.bytes(0, first.length))).toBe(true);
    expect(upstream.sent).toBeLessThan(SIZE);
    expect(upstream.sending).toBe(1);
    expect(isHeld(content)).toBe(false);
  });

  it('gives parts that end before its head, while it is not complete', async () => {
    await beginReading(content);

    const parts = [
      await ask(content, { range: 'bytes=0-99' }),
      await ask(content, { range: `bytes=${MIB}-${3 * MIB - 1}` }),
      // Its end lies before that of the whole: nobody could verify it, so that nothing waits for the digest.
      await ask(content, { range: `bytes=${SENT - 10}-${SENT - 1}` }),
    ];

    for (const [at, [from, to]] of [
      [0, 100],
      [MIB, 3 * MIB],
      [SENT - 10, SENT],
    ].entries()) {
      const { seen, wanted } = compare(parts[at]!, content, from!, to!);
      expect(seen).toEqual(wanted);
    }
    expect(upstream.asked('GET', content)).toHaveLength(1);
    expect(upstream.sending).toBe(1);
  });

  it('makes a reader who begins a little ahead wait, and gives it the right bytes', async () => {
    await beginReading(content);
    const range = `bytes=${SENT + MIB}-${SENT + 2 * MIB - 1}`;

    const waiting = ask(content, { range });
    upstream.sendUpTo();

    const { seen, wanted } = compare(await waiting, content, SENT + MIB, SENT + 2 * MIB);
    expect(seen).toEqual(wanted);
    expect(upstream.asked('GET', content)).toHaveLength(1);
  });

  it('is asked for a part far ahead of its head by a request of its own, which is not held', async () => {
    await beginReading(content);
    const [from, to] = [SIZE - 2 * MIB, SIZE - MIB];

    const far = await ask(content, { range: `bytes=${from}-${to - 1}` });

    const { seen, wanted } = compare(far, content, from, to);
    expect(seen).toEqual(wanted);
    expect(upstream.asked('GET', content).map(({ headers }) => headers.range)).toEqual([
      undefined,
      `bytes=${from}-${to - 1}`,
    ]);
    await eventually('one is spooled', () => new CacheFolder(gate).spools().length === 1);
    expect(isHeld(content)).toBe(false);
  });

  it('gives a suffix far ahead of its head at once', async () => {
    await beginReading(content);

    const answer = await ask(content, { range: 'bytes=-1000' });

    const { seen, wanted } = compare(answer, content, SIZE - 1000, SIZE);
    expect(seen).toEqual(wanted);
    expect(upstream.sending).toBe(1);
  });

  it('is 416, and 304, while it is not complete', async () => {
    await beginReading(content);

    const beyond = await ask(content, { range: `bytes=${SIZE}-` });
    const known = await ask(content, { 'if-none-match': `"${content.digest}"` });

    expect(beyond.status).toBe(416);
    expect(beyond.headers['content-range']).toBe(`bytes */${SIZE}`);
    expect(known.status).toBe(304);
  });
});
