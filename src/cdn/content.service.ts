import { Injectable } from '@nestjs/common';
import type { Registry } from '../config/registry-table';
import { digestOf, matches, parseDigest, type Digest } from '../oci/digest';
import { MANIFEST_MEDIA_TYPES, parseMediaType } from '../oci/media-type';
import { OciError } from '../oci/oci-error';
import { isDigest, type Reference } from '../oci/reference';
import type { RepositoryName } from '../oci/repository-name';
import {
  discard,
  readBody,
  UpstreamClient,
  type Principal,
  type UpstreamResponse,
} from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import { digestedPart } from './signed-manifest';

/** Whose content, and with whose credentials it is asked for. */
export interface Source {
  readonly registry: Registry;
  readonly repository: RepositoryName;
  readonly as: Principal;
}

/** For whom it is fetched: when they leave, and what asks for room before a part of an answer is held for them. */
export interface Reader {
  readonly signal: AbortSignal;
  readonly hold: (bytes: number) => Promise<(actual: number) => void>;
}

/** A manifest, or what a HEAD says of one. */
export interface Manifest {
  readonly mediaType: string;
  readonly digest: Digest;
  readonly size: number;
  /** Byte for byte as the registry holds it; undefined for a HEAD. */
  readonly bytes?: Buffer;
}

/** The distribution-spec wants at least 4 MiB to be taken; distribution itself takes no more. */
export const MAX_MANIFEST = 4 * 1024 * 1024;

/** Content by name and digest or tag. It is fetched anew each time: nothing is held. */
@Injectable()
export class ContentService {
  constructor(private readonly upstream: UpstreamClient) {}

  /**
   * The manifest, verified: against the digest that was asked for, else against the one that the registry names.
   * @throws OciError MANIFEST_UNKNOWN, or BAD_UPSTREAM for one that is too large or not what its digest says.
   */
  async manifest(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    client: Reader,
  ): Promise<Manifest> {
    const response = await this.#askManifest('GET', source, reference, accept, client.signal);
    const bytes = await readBody(response, MAX_MANIFEST, client.hold);
    const named = isDigest(reference)
      ? reference
      : parseDigest(response.headers['docker-content-digest'] ?? '');
    if (named && !matches(named, digestedPart(response.headers['content-type'], bytes))) {
      throw new OciError('BAD_UPSTREAM', {
        message: `the upstream registry sent a manifest that is not ${named}`,
      });
    }
    return {
      mediaType: mediaTypeOf(response),
      digest: named ?? digestOf(bytes),
      size: bytes.length,
      bytes,
    };
  }

  /** What a GET of the manifest would say of it. Asks by GET where the registry's HEAD leaves something out. */
  async manifestHead(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    client: Reader,
  ): Promise<Manifest> {
    const response = await this.#askManifest('HEAD', source, reference, accept, client.signal);
    await discard(response);
    const named = isDigest(reference)
      ? reference
      : parseDigest(response.headers['docker-content-digest'] ?? '');
    const size = response.headers['content-length'];
    if (named && size !== undefined && parseMediaType(response.headers['content-type'])) {
      return { mediaType: mediaTypeOf(response), digest: named, size: Number(size) };
    }
    const { bytes: _, ...head } = await this.manifest(source, reference, accept, client);
    return head;
  }

  /**
   * A blob, or the part of it that `range` asks for, as a stream with the registry's own status: 200, 206.
   * @throws OciError BLOB_UNKNOWN, RANGE_INVALID.
   */
  async blob(
    method: 'GET' | 'HEAD',
    source: Source,
    digest: Digest,
    range: string | undefined,
    signal: AbortSignal,
  ): Promise<UpstreamResponse> {
    const response = await this.upstream.request({
      ...target(source),
      method,
      path: `/v2/${source.repository}/blobs/${digest}`,
      headers: range === undefined ? {} : { Range: range },
      signal,
    });
    if (response.status === 200 || (response.status === 206 && range !== undefined))
      return response;
    throw await refusalOf(response, 'BLOB_UNKNOWN');
  }

  async #askManifest(
    method: 'GET' | 'HEAD',
    source: Source,
    reference: Reference,
    accept: string | undefined,
    signal: AbortSignal,
  ) {
    const response = await this.upstream.request({
      ...target(source),
      method,
      path: `/v2/${source.repository}/manifests/${reference}`,
      headers: { Accept: acceptable(accept) },
      signal,
    });
    if (response.status === 200) return response;
    throw await refusalOf(response, 'MANIFEST_UNKNOWN');
  }
}

function target({ registry, repository, as }: Source) {
  return { registry, as, access: [{ type: 'repository', name: repository, actions: ['pull'] }] };
}

function mediaTypeOf(response: UpstreamResponse): string {
  const type = parseMediaType(response.headers['content-type']);
  if (!type)
    throw new OciError('BAD_UPSTREAM', {
      message: 'the upstream registry sent a manifest without a media type',
    });
  return type;
}

/** Who takes anything is best served with a manifest of today: registries answer a bare wildcard with their oldest kind. */
function acceptable(accept: string | undefined): string {
  return accept === undefined || accept.trim() === '*/*' ? MANIFEST_MEDIA_TYPES.join(', ') : accept;
}
