/**
 * The clients of a soak, in a process of their own: orders come in, outcomes go out. Node runs this file as it stands,
 * so that it imports nothing of this project but types. Every byte that is pulled is hashed.
 */
import { createCipheriv, createHash, randomInt } from 'node:crypto';
import http, { type IncomingHttpHeaders } from 'node:http';
import type { Ask, Login, Order, Outcome, Pull, Push } from './orders';

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
/** Longer than anything takes that the gate waits for. */
const PATIENCE = 120_000;
/** Tokens are used for this long: shorter than they are good. */
const TOKEN_USE = 40_000;

const kept = new http.Agent({ keepAlive: true, maxFreeSockets: 64 });
const tokens = new Map<string, { readonly token: string; readonly until: number }>();

interface Sending {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: Buffer | string;
  /** Over a connection of its own, from an address of its own. */
  readonly alone?: boolean;
}

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** What ends an order before its end. */
class Stopped extends Error {
  readonly fault: 'connection' | 'transfer' | 'status' | 'wrong';
  readonly status: number;

  constructor(fault: Stopped['fault'], status: number, where: string) {
    super(where);
    this.fault = fault;
    this.status = status;
  }
}

/** One request, and its whole answer. */
function exchange(base: string, path: string, sending: Sending = {}): Promise<Reply> {
  const { method = 'GET', headers = {}, body } = sending;
  const where = `${method} ${path.replace(/\?.*/, '')}`;
  const reads = !sending.alone && (method === 'GET' || method === 'HEAD');
  return new Promise((resolve, reject) => {
    const outgoing = http.request(
      `${base}${path}`,
      {
        method,
        // What is not asked twice goes over a connection that nobody is about to close.
        agent: reads ? kept : false,
        // The gate bounds what one address may have hashed at once; all of 127.0.0.0/8 is this machine's.
        ...(reads ? {} : { localAddress: `127.0.${randomInt(1, 250)}.${randomInt(1, 250)}` }),
        headers: {
          ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
          ...headers,
        },
      },
      (incoming) => {
        const { statusCode: status = 0 } = incoming;
        const chunks: Buffer[] = [];
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
        incoming.on('error', (error) =>
          reject(new Stopped('transfer', status, `${where}: ${error.message}`)),
        );
        incoming.on('end', () =>
          resolve({ status, headers: incoming.headers, body: Buffer.concat(chunks) }),
        );
      },
    );
    outgoing.setTimeout(PATIENCE, () => outgoing.destroy(new Error('nothing came')));
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      // A kept connection may be closed by its other end just now: clients ask again over a new one.
      const stale = outgoing.reusedSocket && error.code === 'ECONNRESET';
      if (stale) resolve(exchange(base, path, sending));
      else reject(new Stopped('connection', 0, `${where}: ${error.code ?? error.message}`));
    });
    outgoing.end(body);
  });
}

function wanted(reply: Reply, statuses: readonly number[], where: string): Reply {
  if (statuses.includes(reply.status)) return reply;
  const text = reply.body.toString('utf8').slice(0, 300);
  throw new Stopped('status', reply.status, `${where}: ${reply.status} ${text}`);
}

function basic({ username, password }: Login): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

async function authorization(base: string, as: Login, repository: string): Promise<string> {
  if (!as.byToken) return basic(as);
  const key = JSON.stringify([base, as, repository]);
  const known = tokens.get(key);
  if (known && known.until > Date.now()) return `Bearer ${known.token}`;
  const scope = encodeURIComponent(`repository:${repository}:pull,push`);
  const path = `/v2/auth?service=tidegate&scope=${scope}`;
  const headers = { authorization: basic(as) };
  const { body } = wanted(await exchange(base, path, { headers }), [200], 'token');
  const { token } = JSON.parse(body.toString('utf8')) as { token: string };
  tokens.set(key, { token, until: Date.now() + TOKEN_USE });
  return `Bearer ${token}`;
}

function sha256(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Bytes that nothing compresses, the same for one seed. */
function noise(seed: string, size: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(size));
}

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

function imageOf({ seed, sizes }: Push) {
  const layers = sizes.map((size, n) => noise(`${seed}/${n}`, size));
  const diff_ids = layers.map(sha256);
  const about = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids } };
  const config = Buffer.from(JSON.stringify(about));
  const describe = (mediaType: string, bytes: Buffer): Descriptor => {
    return { mediaType, digest: sha256(bytes), size: bytes.length };
  };
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: describe(CONFIG, config),
      layers: layers.map((bytes) => describe(LAYER, bytes)),
    }),
  );
  return { manifest, digest: sha256(manifest), blobs: [config, ...layers] };
}

type Done = Pick<Outcome, 'status' | 'bytes' | 'digest'>;

async function push(order: Push): Promise<Done> {
  const { base, as, repository, tag } = order;
  const { manifest, digest, blobs } = imageOf(order);
  const auth = { authorization: await authorization(base, as, repository) };
  for (const [n, bytes] of blobs.entries()) await upload(order, auth, bytes, n % 2 === 0);
  const path = `/v2/${repository}/manifests/${tag}`;
  const headers = { ...auth, 'content-type': MANIFEST };
  const reply = await exchange(base, path, { method: 'PUT', headers, body: manifest });
  const { status } = wanted(reply, [201], `PUT ${path}`);
  const bytes = blobs.reduce((sum, blob) => sum + blob.length, manifest.length);
  return { status, bytes, digest };
}

/** Whole in one request, or in two pieces and a request that ends it. */
async function upload(
  { base, repository }: Push,
  auth: { authorization: string },
  bytes: Buffer,
  whole: boolean,
): Promise<void> {
  const digest = sha256(bytes);
  const there = await exchange(base, `/v2/${repository}/blobs/${digest}`, {
    method: 'HEAD',
    headers: auth,
  });
  if (wanted(there, [200, 404], 'HEAD of a blob').status === 200) return;
  const begin = `/v2/${repository}/blobs/uploads/`;
  let reply = wanted(
    await exchange(base, begin, { method: 'POST', headers: auth }),
    [202],
    `POST ${begin}`,
  );
  const headers = { ...auth, 'content-type': 'application/octet-stream' };
  const half = Math.floor(bytes.length / 2);
  const pieces = whole ? [] : [bytes.subarray(0, half), bytes.subarray(half)];
  for (const body of pieces) {
    const sent = await exchange(base, pathOf(base, reply), { method: 'PATCH', headers, body });
    reply = wanted(sent, [202], 'PATCH of an upload');
  }
  const at = pathOf(base, reply);
  const end = `${at}${at.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`;
  const body = whole ? bytes : '';
  wanted(await exchange(base, end, { method: 'PUT', headers, body }), [201], 'PUT of an upload');
}

function pathOf(base: string, { headers }: Reply): string {
  const { pathname, search } = new URL(headers.location ?? '', base);
  return `${pathname}${search}`;
}

async function pull({ base, as, repository, reference, digest }: Pull): Promise<Done> {
  const auth = { authorization: await authorization(base, as, repository) };
  const path = `/v2/${repository}/manifests/${reference}`;
  const headers = { ...auth, accept: MANIFEST };
  const manifest = wanted(await exchange(base, path, { headers }), [200], `GET ${path}`);
  expectDigest(manifest, digest, path);
  const { config, layers } = JSON.parse(manifest.body.toString('utf8')) as {
    config: Descriptor;
    layers: Descriptor[];
  };
  let bytes = manifest.body.length;
  for (const blob of [config, ...layers]) {
    const at = `/v2/${repository}/blobs/${blob.digest}`;
    const reply = wanted(await exchange(base, at, { headers: auth }), [200], `GET ${at}`);
    expectDigest(reply, blob.digest, at);
    bytes += reply.body.length;
  }
  return { status: 200, bytes };
}

function expectDigest({ status, body }: Reply, digest: string, where: string): void {
  const got = sha256(body);
  if (got !== digest) throw new Stopped('wrong', status, `${where}: ${got} in place of ${digest}`);
}

async function ask({ base, as, method, path, body }: Ask): Promise<Done> {
  const type: Record<string, string> =
    body === undefined ? {} : { 'content-type': 'application/json' };
  const headers = { authorization: basic(as), accept: `application/json, ${MANIFEST}`, ...type };
  const reply = await exchange(base, path, { method, headers, body, alone: true });
  return { status: reply.status, bytes: reply.body.length };
}

function perform(order: Order): Promise<Done> {
  switch (order.do) {
    case 'pull':
      return pull(order);
    case 'push':
      return push(order);
    case 'ask':
      return ask(order);
    default:
      throw new Error(order satisfies never);
  }
}

async function outcomeOf(order: Order): Promise<Outcome> {
  const began = performance.now();
  const milliseconds = () => performance.now() - began;
  try {
    const done = await perform(order);
    return { ...done, milliseconds: milliseconds() };
  } catch (error) {
    if (!(error instanceof Stopped)) throw error;
    const { status, fault, message: at } = error;
    const why = fault === 'wrong' ? { wrong: at } : { fault };
    return { status, bytes: 0, milliseconds: milliseconds(), at, ...why };
  }
}

process.on('message', ({ id, order }: { id: number; order: Order }) => {
  void outcomeOf(order).then((outcome) => process.send?.({ id, outcome }));
});
process.on('disconnect', () => process.exit());
