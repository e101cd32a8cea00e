/**
 * A container registry in memory, for the demo: enough of OCI distribution-spec 1.1 for real clients to push and pull.
 * It asks for no login and forgets everything when it ends; it is no registry to keep anything in.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

const MAX_MANIFEST = 4 * 1024 * 1024;
const DIGEST = /^sha256:[a-f0-9]{64}$/;
const TAG = /^[\w][\w.-]{0,127}$/;

class Refusal extends Error {
  constructor(status, code, message, headers = {}) {
    super(message);
    Object.assign(this, { status, code, headers });
  }
}

const sha256 = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;

/** What the registry holds: a repository is known from the first thing that is put into it. */
class Holdings {
  #repositories = new Map();
  uploads = new Map();

  find(name) {
    return this.#repositories.get(name);
  }

  get(name) {
    const found = this.#repositories.get(name);
    if (!found) throw new Refusal(404, 'NAME_UNKNOWN', 'repository name not known to registry');
    return found;
  }

  make(name) {
    if (!this.find(name)) {
      this.#repositories.set(name, { blobs: new Map(), manifests: new Map(), tags: new Map() });
    }
    return this.find(name);
  }

  names() {
    return [...this.#repositories.keys()].sort();
  }
}

async function bodyOf(request, limit = Infinity) {
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > limit) throw new Refusal(413, 'SIZE_INVALID', 'the body is too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function answer(response, status, headers = {}, body = undefined) {
  response.writeHead(status, { 'Content-Length': body?.length ?? 0, ...headers });
  response.end(body);
}

function answerJson(response, status, value, headers = {}) {
  const body = Buffer.from(JSON.stringify(value));
  answer(response, status, { 'Content-Type': 'application/json', ...headers }, body);
}

/** One page of a sorted list: `?n=` entries after `?last=`, and the Link to the next page. */
function page(all, query, path) {
  const last = query.get('last');
  const rest = last === null ? all : all.filter((entry) => entry > last);
  if (!query.has('n')) return { entries: rest, headers: {} };
  const n = Number(query.get('n'));
  if (!Number.isInteger(n) || n < 1) {
    throw new Refusal(400, 'PAGINATION_NUMBER_INVALID', 'invalid number of results requested');
  }
  const entries = rest.slice(0, n);
  const next = `${path}?n=${n}&last=${encodeURIComponent(entries.at(-1) ?? '')}`;
  return { entries, headers: rest.length > n ? { Link: `<${next}>; rel="next"` } : {} };
}

/** The bytes that a Range header asks for; undefined without one that can be read. RFC 9110 §14. */
function rangeOf(header, size) {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? [];
  if (first === undefined || (first === '' && last === '')) return undefined;
  const from = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const to = first === '' || last === '' ? size - 1 : Math.min(size - 1, Number(last));
  if (from > to || from >= size) {
    const headers = { 'Content-Range': `bytes */${size}` };
    throw new Refusal(416, 'RANGE_INVALID', 'invalid content range', headers);
  }
  return { from, to };
}

function blobs({ request, response, holdings, name, rest: digest }) {
  if (!DIGEST.test(digest)) throw new Refusal(400, 'DIGEST_INVALID', 'the digest is malformed');
  const held = holdings.get(name).blobs;
  const bytes = held.get(digest);
  if (!bytes) throw new Refusal(404, 'BLOB_UNKNOWN', 'blob unknown to registry');
  if (request.method === 'DELETE') {
    held.delete(digest);
    return answer(response, 202);
  }
  const range = rangeOf(request.headers.range, bytes.length);
  const headers = {
    'Content-Type': 'application/octet-stream',
    'Docker-Content-Digest': digest,
    'Accept-Ranges': 'bytes',
  };
  if (!range) return answer(response, 200, headers, bytes);
  headers['Content-Range'] = `bytes ${range.from}-${range.to}/${bytes.length}`;
  return answer(response, 206, headers, bytes.subarray(range.from, range.to + 1));
}

function finish({ response, holdings, name }, bytes, digest) {
  if (sha256(bytes) !== digest) {
    throw new Refusal(400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
  }
  holdings.make(name).blobs.set(digest, bytes);
  const location = `/v2/${name}/blobs/${digest}`;
  answer(response, 201, { Location: location, 'Docker-Content-Digest': digest });
}

function progress(response, status, name, id, length) {
  answer(response, status, {
    Location: `/v2/${name}/blobs/uploads/${id}`,
    'Docker-Upload-UUID': id,
    Range: `0-${Math.max(0, length - 1)}`,
  });
}

async function startUpload(call) {
  const { request, response, holdings, name, query } = call;
  const mounted = holdings.find(query.get('from') ?? '')?.blobs.get(query.get('mount') ?? '');
  if (mounted) return finish(call, mounted, query.get('mount'));
  const body = await bodyOf(request);
  if (query.has('digest')) return finish(call, body, query.get('digest'));
  const id = randomUUID();
  holdings.uploads.set(id, { name, chunks: [], length: 0 });
  return progress(response, 202, name, id, 0);
}

async function upload(call) {
  const { request, response, holdings, name, rest: id, query } = call;
  if (id === '') return startUpload(call);
  const session = holdings.uploads.get(id);
  if (session?.name !== name) {
    throw new Refusal(404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
  }
  if (request.method === 'GET') return progress(response, 204, name, id, session.length);
  if (request.method === 'DELETE') {
    holdings.uploads.delete(id);
    return answer(response, 204);
  }
  const start = /^(\d+)-\d+$/.exec(request.headers['content-range'] ?? '')?.[1];
  if (start !== undefined && Number(start) !== session.length) {
    const headers = { Range: `0-${Math.max(0, session.length - 1)}` };
    throw new Refusal(416, 'RANGE_INVALID', 'a chunk is out of order', headers);
  }
  for await (const chunk of request) {
    session.chunks.push(chunk);
    session.length += chunk.length;
  }
  if (request.method === 'PATCH') return progress(response, 202, name, id, session.length);
  holdings.uploads.delete(id);
  return finish(call, Buffer.concat(session.chunks), query.get('digest'));
}

async function putManifest({ request, response, holdings, name, rest: reference }) {
  const bytes = await bodyOf(request, MAX_MANIFEST);
  const digest = sha256(bytes);
  const document = readManifest(bytes);
  if (DIGEST.test(reference) ? reference !== digest : !TAG.test(reference)) {
    throw new Refusal(400, 'DIGEST_INVALID', 'the reference does not fit the manifest');
  }
  const repository = holdings.make(name);
  const mediaType = request.headers['content-type'] ?? document.mediaType;
  repository.manifests.set(digest, { bytes, mediaType, document });
  if (reference !== digest) repository.tags.set(reference, digest);
  const headers = { Location: `/v2/${name}/manifests/${digest}`, 'Docker-Content-Digest': digest };
  if (document.subject) headers['OCI-Subject'] = document.subject.digest;
  answer(response, 201, headers);
}

function readManifest(bytes) {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new Refusal(400, 'MANIFEST_INVALID', 'the manifest is not JSON');
  }
}

function manifests(call) {
  const { request, response, holdings, name, rest: reference } = call;
  if (request.method === 'PUT') return putManifest(call);
  const repository = holdings.get(name);
  const digest = DIGEST.test(reference) ? reference : repository.tags.get(reference);
  const held = digest && repository.manifests.get(digest);
  if (!held) throw new Refusal(404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  if (request.method === 'DELETE') {
    if (reference === digest) repository.manifests.delete(digest);
    for (const [tag, target] of repository.tags) {
      if (reference === tag || reference === target) repository.tags.delete(tag);
    }
    return answer(response, 202);
  }
  const headers = { 'Content-Type': held.mediaType, 'Docker-Content-Digest': digest };
  return answer(response, 200, headers, held.bytes);
}

function tags({ response, holdings, name, query }) {
  const all = [...holdings.get(name).tags.keys()].sort();
  const { entries, headers } = page(all, query, `/v2/${name}/tags/list`);
  answerJson(response, 200, { name, tags: entries }, headers);
}

function referrers({ response, holdings, name, rest: digest, query }) {
  const wanted = query.get('artifactType');
  const found = [...(holdings.find(name)?.manifests ?? [])]
    .filter(([, { document }]) => document.subject?.digest === digest)
    .map(([own, { bytes, mediaType, document }]) => {
      const artifactType = document.artifactType ?? document.config?.mediaType;
      const { annotations } = document;
      return { mediaType, digest: own, size: bytes.length, artifactType, annotations };
    })
    .filter(({ artifactType }) => wanted === null || artifactType === wanted);
  const mediaType = 'application/vnd.oci.image.index.v1+json';
  const filtered = wanted === null ? {} : { 'OCI-Filters-Applied': 'artifactType' };
  const headers = { 'Content-Type': mediaType, ...filtered };
  answerJson(response, 200, { schemaVersion: 2, mediaType, manifests: found }, headers);
}

const ROUTES = [
  [/^\/v2\/(.+)\/blobs\/uploads\/([\w-]*)$/, upload, ['POST', 'PATCH', 'PUT', 'GET', 'DELETE']],
  [/^\/v2\/(.+)\/blobs\/([^/]+)$/, blobs, ['GET', 'HEAD', 'DELETE']],
  [/^\/v2\/(.+)\/manifests\/([^/]+)$/, manifests, ['GET', 'HEAD', 'PUT', 'DELETE']],
  [/^\/v2\/(.+)\/referrers\/([^/]+)$/, referrers, ['GET']],
  [/^\/v2\/(.+)\/tags\/list$/, tags, ['GET']],
];

async function serve(request, response, holdings) {
  response.setHeader('Docker-Distribution-API-Version', 'registry/2.0');
  const { pathname, searchParams: query } = new URL(request.url ?? '/', 'http://registry');
  if (pathname === '/v2/') return answerJson(response, 200, {});
  if (pathname === '/v2/_catalog') {
    const { entries, headers } = page(holdings.names(), query, pathname);
    return answerJson(response, 200, { repositories: entries }, headers);
  }
  for (const [pattern, handler, methods] of ROUTES) {
    const [, name, rest] = pattern.exec(pathname) ?? [];
    if (name === undefined) continue;
    if (!methods.includes(request.method)) {
      throw new Refusal(405, 'UNSUPPORTED', 'the operation is unsupported');
    }
    return handler({ request, response, holdings, name, rest, query });
  }
  throw new Refusal(404, 'NAME_UNKNOWN', 'there is nothing at this address');
}

/** Starts a registry on a free port of 127.0.0.1; the server is listening when this returns. */
export async function startMemoryRegistry() {
  const holdings = new Holdings();
  const server = createServer((request, response) => {
    serve(request, response, holdings).catch((error) => {
      if (response.headersSent) return response.destroy();
      const { status = 500, code = 'UNKNOWN', message, headers } = error;
      return answerJson(response, status, { errors: [{ code, message }] }, headers);
    });
  });
  server.requestTimeout = 0;
  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(0, '127.0.0.1', resolve);
  });
  return server;
}
