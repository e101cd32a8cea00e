/** A manifest as it comes from a registry or a mirror: read within bounds, and held to what it is said to be. */
import { parseBoundedJson } from '../oci/bounded-json';
import { matches, type Digest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import type { Reference } from '../oci/reference';
import { readBody, type UpstreamResponse } from '../upstream/upstream.client';
import { mediaTypeOf, namedDigest } from './questions';
import type { Hold } from './reader';
import { digestedPart } from './signed-manifest';
import { MAX_MANIFEST } from './small-content';

/** A manifest as it was sent. */
export interface Whole {
  readonly mediaType: string;
  /** The digest that was asked for, else the one that was named with it. */
  readonly named: Digest | undefined;
  readonly bytes: Buffer;
  /** What the digest is of. */
  readonly digested: Buffer;
}

/** @throws OciError BAD_UPSTREAM where it breaks off, has no type, or is not what was asked for. */
export async function readWhole(
  response: UpstreamResponse,
  reference: Reference,
  hold: Hold,
): Promise<Whole> {
  const bytes = await readBody(response, MAX_MANIFEST, hold);
  const mediaType = mediaTypeOf(response);
  const named = namedDigest(response, reference);
  const digested = digestedPart(mediaType, bytes);
  if (named && !matches(named, digested)) {
    throw new OciError('BAD_UPSTREAM', {
      message: `the upstream registry sent a manifest that is not ${named}`,
    });
  }
  // The digest says nothing of the type with which a mirror hands it out, and what is held is served by that type.
  if (response.mirror && !isOfType(mediaType, bytes)) {
    throw new OciError('BAD_UPSTREAM', {
      message: 'a mirror sent a manifest that is not of the type that it gives',
    });
  }
  return { mediaType, named, bytes, digested };
}

/** Those that list manifests. OCI image-spec, image-index.md. */
const LISTS: ReadonlySet<string> = new Set([
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
]);

/** What the document says of itself counts, else what it holds: a list may not pass for an image, or the reverse. CVE-2021-41190. */
function isOfType(mediaType: string, bytes: Buffer): boolean {
  const document = parseBoundedJson(bytes);
  if (typeof document !== 'object' || document === null) return false;
  const type = mediaType.split(';', 1)[0]?.trim() ?? '';
  if ('mediaType' in document) return document.mediaType === type;
  return LISTS.has(type) === 'manifests' in document;
}
