/** What content asks of registries, and what their answers mean. */
import { Injectable } from '@nestjs/common';
import { parseDigest, type Digest } from '../oci/digest';
import { MANIFEST_MEDIA_TYPES, parseManifestType } from '../oci/media-type';
import { OciError } from '../oci/oci-error';
import { isDigest, type Reference } from '../oci/reference';
import {
  discard,
  UpstreamClient,
  type UpstreamRequest,
  type UpstreamResponse,
} from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import { Permission } from './permission';
import { takesMirrorsWord, type Source } from './source';

/** What a registry says of a manifest without sending it. */
export interface Described {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
}

/** What was heard, and of whom. */
export interface Heard<T> {
  readonly said: T;
  /** A mirror said so. It opens nothing: only what it hands out does. */
  readonly byMirror: boolean;
}

/** Who may be asked: the registry alone where its word counts, such as for what is held; else its mirrors first. */
export type Whom = 'registry' | 'mirrors too';

/** What the gate itself takes of a tag: every kind of manifest of today, so that what is held serves every client. */
export const GATE_ACCEPTS: string = MANIFEST_MEDIA_TYPES.join(', ');

type Asking = Omit<UpstreamRequest, 'registry' | 'as' | 'access' | 'method'> & {
  readonly source: Source;
  readonly method: 'GET' | 'HEAD';
};

interface BlobOptions {
  readonly redirects?: 'follow' | 'pass';
  readonly whom?: Whom;
}

@Injectable()
export class Questions {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly permission: Permission,
  ) {}

  /** The answer with the manifest, of the registry or a mirror. @throws OciError MANIFEST_UNKNOWN, DENIED … */
  async manifest(
    source: Source,
    reference: Reference,
    accept: string,
    signal: AbortSignal,
  ): Promise<UpstreamResponse> {
    const mirrored = await this.#mirrored(source, reference, async () => {
      await this.describedManifest(source, reference, accept, signal);
    });
    return this.#manifest('GET', source, reference, accept, signal, mirrored);
  }

  /** What a HEAD says of the manifest; undefined where it leaves out what a client must be told: only a GET will tell. */
  async describedManifest(
    source: Source,
    reference: Reference,
    accept: string,
    signal: AbortSignal,
    whom: Whom = 'registry',
  ): Promise<Heard<Described> | undefined> {
    const mirrored = whom === 'mirrors too' && takesMirrorsWord(source) ? reference : undefined;
    const response = await this.#manifest('HEAD', source, reference, accept, signal, mirrored);
    await discard(response);
    const digest = namedDigest(response, reference);
    const mediaType = parseManifestType(response.headers['content-type']);
    const size = lengthOf(response);
    if (!digest || !mediaType || size === undefined) return undefined;
    return { said: { mediaType, digest, size }, byMirror: response.mirror !== undefined };
  }

  /**
   * The answer with the blob, or with its part [from, to), of the registry or a mirror: 200 or 206. With `redirects: 'pass'` it may be a redirect
   * that is the client's to follow.
   * @throws OciError BLOB_UNKNOWN, RANGE_INVALID, DENIED …
   */
  async blob(
    source: Source,
    digest: Digest,
    { from, to }: { readonly from: number; readonly to: number | undefined },
    signal: AbortSignal,
    { redirects = 'follow', whom = 'mirrors too' }: BlobOptions = {},
  ): Promise<UpstreamResponse> {
    const ask = async () => {
      await this.hasBlob(source, digest, signal);
    };
    const mirrored = whom === 'registry' ? undefined : await this.#mirrored(source, digest, ask);
    const whole = from === 0 && to === undefined;
    const range: Record<string, string> = whole
      ? {}
      : { Range: `bytes=${from}-${to === undefined ? '' : to - 1}` };
    const response = await this.#ask({
      source,
      method: 'GET',
      path: `/v2/${source.repository}/blobs/${digest}`,
      headers: range,
      signal,
      large: true,
      redirects,
      mirrored,
    });
    const { status } = response;
    const passed = redirects === 'pass' && status >= 300 && status < 400;
    if (status === 200 || (status === 206 && !whole) || passed) return response;
    throw await noOf(response, 'BLOB_UNKNOWN');
  }

  /**
   * Asks whether the source may have the blob: returns for a yes, with the blob's size where the registry tells it.
   * @throws OciError BLOB_UNKNOWN, DENIED …
   */
  async hasBlob(
    source: Source,
    digest: Digest,
    signal: AbortSignal,
    whom: Whom = 'registry',
  ): Promise<Heard<number | undefined>> {
    const response = await this.#ask({
      source,
      method: 'HEAD',
      path: `/v2/${source.repository}/blobs/${digest}`,
      signal,
      mirrored: whom === 'mirrors too' && takesMirrorsWord(source) ? digest : undefined,
    });
    if (response.status !== 200) throw await noOf(response, 'BLOB_UNKNOWN');
    await discard(response);
    return { said: lengthOf(response), byMirror: response.mirror !== undefined };
  }

  /** It was pushed or deleted: who asks from now on is not told by a mirror, which does not know yet. */
  changed(
    { registry, repository }: Pick<Source, 'registry' | 'repository'>,
    what: Reference,
  ): void {
    this.upstream.noteChanged(registry, repository, what);
  }

  /**
   * What mirrors may be asked to send. Whoever does not take their word has the registry's own yes first; where a tag leads, the
   * registry alone says then.
   * @param ask asks the registry for that yes. @throws its refusal.
   */
  async #mirrored(
    source: Source,
    reference: Reference,
    ask: () => Promise<void>,
  ): Promise<Reference | undefined> {
    if (source.registry.mirrors.length === 0) return undefined;
    if (takesMirrorsWord(source)) return reference;
    if (!isDigest(reference)) return undefined;
    await ask();
    return reference;
  }

  /** A registry that refuses this source its repository takes back what it allowed before. */
  async #ask({ source, ...request }: Asking): Promise<UpstreamResponse> {
    const { registry, repository, as } = source;
    const access = [{ type: 'repository', name: repository, actions: ['pull'] }];
    try {
      return await this.upstream.request({ registry, as, access, ...request });
    } catch (error) {
      if (error instanceof OciError && (error.code === 'DENIED' || error.code === 'UNAUTHORIZED'))
        await this.permission.refused(source);
      throw error;
    }
  }

  async #manifest(
    method: 'GET' | 'HEAD',
    source: Source,
    reference: Reference,
    accept: string,
    signal: AbortSignal,
    mirrored: Reference | undefined,
  ): Promise<UpstreamResponse> {
    const response = await this.#ask({
      source,
      method,
      mirrored,
      path: `/v2/${source.repository}/manifests/${reference}`,
      headers: { Accept: accept },
      signal,
    });
    if (response.status === 200) return response;
    throw await noOf(response, 'MANIFEST_UNKNOWN');
  }
}

/**
 * The registry's no. That something is not there is said in the gate's own words: the registry's differ between GET and HEAD, and
 * which of the two was asked would tell a stranger whether others have pulled it.
 */
async function noOf(
  response: UpstreamResponse,
  unknown: 'BLOB_UNKNOWN' | 'MANIFEST_UNKNOWN',
): Promise<OciError> {
  if (response.status !== 404) return refusalOf(response, unknown);
  await discard(response);
  return new OciError(unknown);
}

/** The digest that was asked for, else the one that the registry names. */
export function namedDigest(
  { headers }: UpstreamResponse,
  reference: Reference,
): Digest | undefined {
  return isDigest(reference) ? reference : parseDigest(headers['docker-content-digest'] ?? '');
}

/** @throws OciError BAD_UPSTREAM where the registry sent none. */
export function mediaTypeOf({ headers }: UpstreamResponse): string {
  const type = parseManifestType(headers['content-type']);
  if (type) return type;
  throw new OciError('BAD_UPSTREAM', {
    message: 'the upstream registry sent a manifest without a media type that a manifest may have',
  });
}

/** True when somebody who sent this Accept takes that media type. A missing Accept, and a wildcard, take all. */
export function accepts(accept: string | undefined, mediaType: string): boolean {
  if (accept === undefined || accept.trim() === '') return true;
  const type = bare(mediaType);
  return accept.split(',').some((entry) => {
    const range = bare(entry);
    return (
      range === '*/*' ||
      range === type ||
      (range === 'application/*' && type.startsWith('application/'))
    );
  });
}

/** True when somebody who sent this Accept takes a kind of manifest that the gate would not ask for by itself. */
export function acceptsMore(accept: string | undefined): accept is string {
  const own: readonly string[] = MANIFEST_MEDIA_TYPES;
  return (
    accept !== undefined &&
    accept.split(',').some((entry) => {
      const range = bare(entry);
      return range !== '' && !range.includes('*') && !own.includes(range);
    })
  );
}

function bare(mediaType: string): string {
  return (mediaType.split(';', 1)[0] ?? '').trim().toLowerCase();
}

function lengthOf({ headers }: UpstreamResponse): number | undefined {
  const text = headers['content-length'] ?? '';
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}
