/** A registry whose every answer a test can bend: it does its work, until the test says otherwise for a request. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { answer, challenge, FaultServer, type Behaviour, type SeenRequest } from './fault-server';
import { sha256 } from './http';

export const IMAGE = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX = 'application/vnd.oci.image.index.v1+json';
export const SCHEMA_2 = 'application/vnd.docker.distribution.manifest.v2+json';

export const SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

/** What opens its private repositories. */
export const ROBOT = { username: 'robot', password: 'robot-password' };

export interface HeldManifest {
  readonly mediaType: string;
  readonly bytes: Buffer;
  readonly digest: string;
}

interface Repository {
  /** By tag and by digest; a tag may stand for several kinds, of which the client's Accept chooses. */
  readonly manifests: Map<string, readonly HeldManifest[]>;
  readonly blobs: Map<string, Buffer>;
}

const PATH = /^\/v2\/(.+)\/(manifests|blobs)\/([^/?]+)\/?(?:\?.*)?$/;
const UNKNOWN = {
  manifests: answer(404, '{"errors":[{"code":"MANIFEST_UNKNOWN"}]}'),
  blobs: answer(404, '{"errors":[{"code":"BLOB_UNKNOWN"}]}'),
};

export function sha512(bytes: Buffer | string): string {
  return `sha512:${createHash('sha512').update(bytes).digest('hex')}`;
}

/** An image's manifest that names these blobs as its layers. */
export function manifestOf(layers: readonly Buffer[], mediaType = IMAGE): HeldManifest {
  const describe = (bytes: Buffer) => ({ digest: sha256(bytes), size: bytes.length });
  const config = { mediaType: 'application/json', digest: sha256('{}'), size: 2 };
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config,
    layers: layers.map((layer) => ({ mediaType: 'application/octet-stream', ...describe(layer) })),
  });
  return heldManifest(text, mediaType);
}

export function heldManifest(text: string | Buffer, mediaType = IMAGE): HeldManifest {
  const bytes = Buffer.from(text);
  return { mediaType, bytes, digest: sha256(bytes) };
}

/**
 * A manifest of schema 1 with this payload, which ends before its last brace. CNCF distribution,
 * docs/spec/manifest-v2-1.
 */
export function signedManifest(payload: string): HeldManifest {
  const whole = `${payload}\n}`;
  const encode = (text: string) => Buffer.from(text).toString('base64url');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const head = encode(
    JSON.stringify({ formatLength: payload.length, formatTail: encode('\n}'), time: '2026' }),
  );
  const text = Buffer.from(`${head}.${encode(whole)}`);
  const signature = sign('sha256', text, { key: privateKey, dsaEncoding: 'ieee-p1363' });
  const signatures = [
    {
      header: { jwk: publicKey.export({ format: 'jwk' }), alg: 'ES256' },
      signature: signature.toString('base64url'),
      protected: head,
    },
  ];
  const bytes = Buffer.from(`${payload},\n   "signatures": ${JSON.stringify(signatures)}\n}`);
  return { mediaType: SIGNED, bytes, digest: sha256(whole) };
}

export class ScriptedRegistry {
  /** Says what becomes of a request in place of the registry's own answer. */
  fault: (request: SeenRequest) => Behaviour | undefined = () => undefined;
  #opensWith = `Basic ${Buffer.from(`${ROBOT.username}:${ROBOT.password}`).toString('base64')}`;
  readonly #repositories = new Map<string, Repository>();
  readonly #private = new Set<string>();

  private constructor(readonly server: FaultServer) {
    server.owns(this.#opensWith);
    server.handler = (request, response, seen) =>
      (this.fault(seen) ?? this.#behaviour(seen))(request, response, seen);
  }

  /** What the registry takes for a login, as Authorization. It may be shown what it took before as well. */
  get opensWith(): string {
    return this.#opensWith;
  }

  set opensWith(authorization: string) {
    this.server.owns(authorization);
    this.#opensWith = authorization;
  }

  static async start(): Promise<ScriptedRegistry> {
    return new ScriptedRegistry(await FaultServer.start());
  }

  get settings(): Record<string, string> {
    return { UPSTREAM_REGISTRY: this.server.url.origin };
  }

  /** Only whoever logs in gets this repository. */
  close(repository: string): void {
    this.#private.add(repository);
  }

  /** Puts a blob there; gives its digest. */
  blob(repository: string, bytes: Buffer, digest = sha256(bytes)): string {
    this.#of(repository).blobs.set(digest, bytes);
    return digest;
  }

  /** Puts a manifest there, under its digest, and under the tag if there is one. */
  manifest(repository: string, tag: string | undefined, ...kinds: HeldManifest[]): void {
    const { manifests } = this.#of(repository);
    for (const kind of kinds) manifests.set(kind.digest, [kind]);
    if (tag !== undefined) manifests.set(tag, kinds);
  }

  /** Takes a tag, a manifest or a blob away. */
  remove(repository: string, reference: string): void {
    const { manifests, blobs } = this.#of(repository);
    manifests.delete(reference);
    blobs.delete(reference);
    for (const [key, kinds] of manifests)
      if (kinds.some(({ digest }) => digest === reference)) manifests.delete(key);
  }

  /** What was asked so far, as `GET /v2/team/app/blobs/sha256:…`; only those that hold all these parts. */
  asked(...parts: string[]): string[] {
    return this.server.requests
      .map(({ method, url }) => `${method} ${url}`)
      .filter((line) => parts.every((part) => line.includes(part)));
  }

  #of(repository: string): Repository {
    const known = this.#repositories.get(repository);
    if (known) return known;
    const made: Repository = { manifests: new Map(), blobs: new Map() };
    this.#repositories.set(repository, made);
    return made;
  }

  #behaviour({ method, url, headers }: SeenRequest): Behaviour {
    const [, repository = '', noun, reference = ''] = PATH.exec(url) ?? [];
    if (headers.authorization !== undefined && headers.authorization !== this.opensWith)
      return challenge('Basic realm="upstream"');
    if (this.#private.has(repository) && headers.authorization === undefined)
      return challenge('Basic realm="upstream"');
    if (method === 'POST') return this.#beginUpload(repository);
    if (noun !== 'manifests' && noun !== 'blobs') return answer(url === '/v2/' ? 200 : 404);
    if (method === 'PUT') return this.#put(repository, reference);
    if (method === 'DELETE') return this.#delete(repository, noun, reference);
    return noun === 'blobs'
      ? this.#blob(repository, reference)
      : this.#manifest(repository, reference, headers.accept ?? '*/*');
  }

  #beginUpload(repository: string): Behaviour {
    const location = `/v2/${repository}/blobs/uploads/1`;
    return answer(202, '', { location, 'docker-upload-uuid': '1' });
  }

  #put(repository: string, reference: string): Behaviour {
    return async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      const held = heldManifest(Buffer.concat(chunks), request.headers['content-type']);
      this.manifest(repository, reference, held);
      response.writeHead(201, { 'docker-content-digest': held.digest, 'content-length': 0 }).end();
    };
  }

  #delete(repository: string, noun: 'manifests' | 'blobs', reference: string): Behaviour {
    if (!this.#of(repository)[noun].has(reference)) return UNKNOWN[noun];
    this.remove(repository, reference);
    return answer(202);
  }

  #manifest(repository: string, reference: string, accept: string): Behaviour {
    const kinds = this.#of(repository).manifests.get(reference) ?? [];
    const found = kinds.find(({ mediaType }) => accept.includes(mediaType)) ?? kinds[0];
    if (!found) return UNKNOWN.manifests;
    const headers = { 'content-type': found.mediaType, 'docker-content-digest': found.digest };
    return answer(200, found.bytes, headers);
  }

  #blob(repository: string, digest: string): Behaviour {
    const bytes = this.#of(repository).blobs.get(digest);
    if (!bytes) return UNKNOWN.blobs;
    return (request, response) => sendPart(bytes, request, response);
  }
}

/** All of it, or the one range that is asked for. */
export function sendPart(bytes: Buffer, request: IncomingMessage, response: ServerResponse): void {
  const [, from, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? [];
  if (from === undefined) {
    response.writeHead(200, { 'content-length': bytes.length });
    response.end(request.method === 'HEAD' ? undefined : bytes);
    return;
  }
  const end = last ? Math.min(Number(last) + 1, bytes.length) : bytes.length;
  response.writeHead(206, {
    'content-length': end - Number(from),
    'content-range': `bytes ${from}-${end - 1}/${bytes.length}`,
  });
  response.end(bytes.subarray(Number(from), end));
}

/** The head and the first bytes, and nothing more until it is let go on; then the rest. */
export class Pause {
  #go = Promise.withResolvers<void>();
  readonly behaviour: Behaviour;

  constructor(bytes: Buffer, after: number) {
    this.behaviour = async (_request, response) => {
      response.writeHead(200, { 'content-length': bytes.length });
      response.write(bytes.subarray(0, after));
      await this.#go.promise;
      response.end(bytes.subarray(after));
    };
  }

  goOn(): void {
    this.#go.resolve();
  }
}
