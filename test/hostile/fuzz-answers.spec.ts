/**
 * A gate as it is shipped, in front of a registry whose answers chance makes of HTTP's grammar and the registries':
 * whatever it says, a client gets the right bytes, or an error, or a broken transfer; and the gate goes on.
 */
import fc from 'fast-check';
import { writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { BUILT_IN_REGISTRIES } from '../../src/config/built-in-registries';
import { fuzzed } from '../support/fuzz';
import { startGate, type Gate } from '../support/gate';
import { answers, answerText, type HostileAnswer } from '../support/hostile-answers';
import { basic, send, sha256 } from '../support/http';
import { freshFolder } from '../support/lifecycle';
import { IMAGE } from '../support/scripted-registry';
import { exchange, startWire } from '../support/wire';
import type { WireAnswer } from '../support/http-text';

/** What is asked of the gate. */
const QUESTIONS = [
  'tag',
  'manifest',
  'blob',
  'part',
  'rest',
  'head',
  'tags',
  'referrers',
  'upload',
] as const;
type Question = (typeof QUESTIONS)[number];

interface Case {
  readonly question: Question;
  /** What the registry says first, one after the other; what is right then. */
  readonly script: readonly HostileAnswer[];
}

/** An upload's address that is short enough as it stands, and too long for a seal: JSON writes each backslash twice. */
const LONG_ONCE_WRITTEN: Case = {
  question: 'upload',
  script: [
    {
      status: '202 Accepted',
      headers: [['Location', `/?${'\\'.repeat(4000)}`]],
      body: '',
      framing: 'length',
      changes: [],
      end: 'keep',
    },
  ],
};

/** Each of them has a patience of its own, so that one that is left alone for a while leaves others to ask. */
const REGISTRIES = Array.from({ length: 250 }, (_, at) => `r${at}.test:5000`);
const ROBOT = { username: 'robot', password: 'robot-password' };
const MIB = 1024 * 1024;

let gate: Gate;
let admin: string;
let origin: string;
let elsewhere: string;
const cases = new Map<string, { script: HostileAnswer[] }>();
const seen = new Map<string, number>();
const leaked: string[] = [];

const manifestText = (id: string) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: IMAGE,
    config: { mediaType: 'application/json', digest: sha256('{}'), size: 2 },
    layers: [],
    annotations: { id },
  });
const blobText = (id: string) => `content of ${id}; `.repeat(20);

/** What the registry would rightly say to this request. */
function right(target: string, id: string): { text: string; type: string } {
  if (target.startsWith('/token')) return { text: '{"token":"t"}', type: 'application/json' };
  if (target.includes('/manifests/')) return { text: manifestText(id), type: IMAGE };
  if (target.includes('/tags/'))
    return { text: '{"name":"x","tags":["1"]}', type: 'application/json' };
  if (target.includes('/referrers/'))
    return {
      text: '{"schemaVersion":2,"manifests":[]}',
      type: 'application/vnd.oci.image.index.v1+json',
    };
  return { text: blobText(id), type: 'application/octet-stream' };
}

function serve(head: string, socket: Socket): void {
  const [, method = '', target = ''] = /^(\S+) (\S+)/.exec(head) ?? [];
  const id = /x\d+/.exec(target)?.[0] ?? '';
  const { text, type } = right(target, id);
  const next = cases.get(id)?.script.shift();
  const fill = {
    '{right}': text,
    '{wrong}': text.replace(/./, '!'),
    '{cut}': text.slice(0, 10),
    '{size}': String(text.length),
    '{type}': type,
    '{digest}': sha256(text),
    '{case}': id,
    '{repository}': `team/${id}`,
    '{origin}': origin,
    '{elsewhere}': elsewhere,
    '{self}': target,
  };
  if (next) {
    socket.write(Buffer.from(answerText(next, fill), 'latin1'));
    if (next.end === 'close') socket.end();
    if (next.end === 'reset') socket.resetAndDestroy();
    return;
  }
  const upload = method === 'POST' ? [`Location: /v2/team/${id}/blobs/uploads/1`] : [];
  const lines = [
    `HTTP/1.1 ${method === 'POST' ? 202 : 200} OK`,
    `Content-Type: ${type}`,
    `Content-Length: ${text.length}`,
    ...upload,
  ];
  socket.write(`${lines.join('\r\n')}\r\n\r\n${method === 'HEAD' ? '' : text}`);
}

beforeAll(async () => {
  origin = `http://127.0.0.1:${await startWire(serve)}`;
  // By another name, so that it is another host: nothing of the robot's may reach it.
  elsewhere = `http://localhost:${await startWire((head, socket) => {
    if (/^(?:authorization|cookie):/im.test(head)) leaked.push(head);
    serve(head, socket);
  })}`;
  const off = BUILT_IN_REGISTRIES.map(({ name }) => ({ name, enabled: 'false' }));
  const mine = REGISTRIES.map((name) => ({ name, url: origin, credentials: [ROBOT] }));
  const file = join(freshFolder('fuzz'), 'tidegate.yaml');
  writeFileSync(file, JSON.stringify({ registries: [...off, ...mine] }));
  gate = await startGate({
    UPSTREAM_REGISTRY: origin,
    CONFIG_FILE: file,
    RATE_LIMIT: '100000',
    RATE_BURST: '100000',
    UPSTREAM_HEADER_TIMEOUT: '500ms',
    UPSTREAM_IDLE_TIMEOUT: '500ms',
    LOG_LEVEL: 'warn',
  });
  admin = basic(gate.admin).authorization;
});

let count = 0;

function ask(question: Question, id: string, registry: string): Promise<WireAnswer | undefined> {
  const path = {
    tag: 'manifests/1',
    manifest: `manifests/${sha256(manifestText(id))}`,
    blob: `blobs/${sha256(blobText(id))}`,
    part: `blobs/${sha256(blobText(id))}`,
    rest: `blobs/${sha256(blobText(id))}`,
    head: `blobs/${sha256(blobText(id))}`,
    tags: 'tags/list',
    referrers: `referrers/${sha256('x')}`,
    upload: 'blobs/uploads/',
  }[question];
  const method = question === 'upload' ? 'POST' : question === 'head' ? 'HEAD' : 'GET';
  const ranges: Partial<Record<Question, string>> = { part: 'bytes=2-5', rest: 'bytes=0-' };
  const more = ranges[question] === undefined ? '' : `Range: ${ranges[question]}\r\n`;
  return exchange(
    gate.port,
    `${method} /v2/team/${id}/${path}?ns=${registry} HTTP/1.1\r\nHost: localhost\r\nAuthorization: ${admin}\r\n${more}Content-Length: 0\r\n\r\n`,
  );
}

/** Whatever came, it is not a lie. */
function judge(question: Question, id: string, answer: WireAnswer | undefined): void {
  const { status = 0, headers, body = '', whole } = answer ?? {};
  const key = `${question} ${status}${answer && !whole ? ' broken' : ''}`;
  seen.set(key, (seen.get(key) ?? 0) + 1);
  expect([200, 202, 206, 400, 401, 403, 404, 405, 413, 416, 429, 502, 503, 504, 0]).toContain(
    status,
  );
  if (!answer || !whole || status >= 400) return;
  if (question === 'blob') expect([status, body]).toEqual([200, blobText(id)]);
  // A part that ends before the content does is nobody's to verify but the client's, once it has the rest.
  if (question === 'part' && status === 206) expect(body.length).toBeLessThanOrEqual(4);
  else if (question === 'part') expect([status, body]).toEqual([200, blobText(id)]);
  if (question === 'rest') expect(body).toBe(blobText(id));
  if (question === 'manifest') expect([status, body]).toEqual([200, manifestText(id)]);
  if (question === 'tag')
    expect(headers?.get('docker-content-digest')).toBe(sha256(Buffer.from(body, 'latin1')));
  if (question === 'tags') expect(JSON.parse(body)).toHaveProperty('tags');
  if (question === 'tags' && headers?.has('link'))
    expect(headers.get('link')).toMatch(/^<\/v2\/[^<>]*>; rel="next"$/);
  if (question === 'upload')
    expect(headers?.get('location')).toMatch(
      /^\/v2\/team\/x\d+\/blobs\/uploads\/[\w.=-]+\?ns=[^&]+&_state=[\w-]+$/,
    );
}

async function play({ question, script }: Case): Promise<void> {
  count += 1;
  const id = `x${count}`;
  const registry = REGISTRIES[count % REGISTRIES.length] ?? '';
  cases.set(id, { script: [...script] });
  let answer: WireAnswer | undefined;
  try {
    answer = await ask(question, id, registry);
    judge(question, id, answer);
    // What was kept of it is no lie either.
    answer = await ask(question, id, registry);
    judge(question, id, answer);
  } catch (cause) {
    // One of many: it is told alone, so that it can be kept as an example.
    throw new Error(
      `${JSON.stringify({ question, script })}: ${JSON.stringify(answer && [...answer.headers])} ${String(cause)}`,
      { cause },
    );
  }
  cases.delete(id);
}

it('whatever a registry answers, a client gets the right bytes, an error or a broken transfer, and the gate goes on', async () => {
  const one = fc.record({
    question: fc.constantFrom(...QUESTIONS),
    script: fc.array(answers, { minLength: 1, maxLength: 3 }),
  });
  const examples: [Case[]][] = [[[LONG_ONCE_WRITTEN]]];
  gate.forgetPeak();
  const { now } = gate.memory();
  await fc.assert(
    fc.asyncProperty(fc.array(one, { minLength: 250, maxLength: 250 }), async (batch) => {
      const before = gate.logs().length;
      await Promise.all(batch.map(play));
      expect(
        gate
          .logs()
          .slice(before)
          // That its login is refused is a thing of the registry's; no other error is.
          .filter(
            ({ level, msg }) =>
              level >= 50 && !(msg ?? '').startsWith("the gate's own credentials for"),
          ),
      ).toEqual([]);
      expect(gate.running).toBe(true);
    }),
    { ...fuzzed(2, examples), endOnFailure: true },
  );
  expect(leaked).toEqual([]);
  expect((await send(`${gate.url}/health/live`)).status).toBe(200);
  expect(gate.stderr()).not.toMatch(/unhandled|uncaught|warning|assert/i);
  expect(gate.memory().peak - now).toBeLessThan(300 * MIB);
  // What is asked gets somewhere, and not only to an error.
  expect([...seen.keys()]).toEqual(
    expect.arrayContaining(['blob 200', 'manifest 200', 'blob 502']),
  );
  if (process.env['FUZZ_RUNS']) process.stderr.write(`${JSON.stringify([...seen].sort())}\n`);
});
