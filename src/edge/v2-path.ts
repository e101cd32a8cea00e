/**
 * The paths below `/v2/`, read from their end: the specification's nouns stand last, and everything before them is the
 * repository's name. Distribution-spec 1.1 § Endpoints; distribution's own routes where it is silent.
 */
import { parseDigest, type Digest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import { parseReference } from '../oci/reference';
import { partRegistry, resolveName, type Naming } from './names';
import { listingQueryOf, pageOf, single } from './query';
import type { Asked } from './request-context';

const CATALOG = '_catalog';
const UPLOAD_UUID = /^[A-Za-z0-9_=.-]{1,128}$/;

/** @param rest what follows `/v2/`. @returns undefined where no noun is at this address. @throws OciError for a malformed one. */
export function readV2Path(
  rest: string,
  query: URLSearchParams,
  naming: Naming,
): Asked | undefined {
  if (rest === '') return { noun: 'base' };
  if (rest === CATALOG || rest.endsWith(`/${CATALOG}`)) return catalog(rest, query, naming);
  const parts = rest.split('/');
  const last = parts.pop() ?? '';
  const noun = parts.pop();
  const name = () => resolveName(parts.join('/'), naming);
  if (noun === 'manifests') return { noun: 'manifest', name: name(), reference: referenceIn(last) };
  if (noun === 'tags' && last === 'list')
    return { noun: 'tags', name: name(), query: listingQueryOf(query) };
  if (noun === 'referrers')
    return {
      noun: 'referrers',
      name: name(),
      digest: digestIn(last),
      query: listingQueryOf(query),
    };
  if (noun === 'blobs' && last === 'uploads') return uploads(parts.join('/'), query, naming);
  if (noun === 'blobs') return { noun: 'blob', name: name(), digest: digestIn(last) };
  if (noun === 'uploads' && parts.pop() === 'blobs') {
    return last === ''
      ? uploads(parts.join('/'), query, naming)
      : upload(parts.join('/'), last, query, naming);
  }
  return undefined;
}

/** Of the registry that the host or `?ns=` names, or whose name stands in front; else of the default one. */
function catalog(asked: string, query: URLSearchParams, naming: Naming): Asked | undefined {
  const { registry, prefix, rest } = partRegistry(asked, naming);
  return rest === CATALOG ? { noun: 'catalog', registry, prefix, page: pageOf(query) } : undefined;
}

function uploads(asked: string, query: URLSearchParams, naming: Naming): Asked {
  const digest = single(query, 'digest');
  const mount = single(query, 'mount');
  const from = single(query, 'from');
  return {
    noun: 'uploads',
    name: resolveName(asked, naming),
    digest: digest === undefined ? undefined : digestIn(digest),
    mount: mount && from ? mountOf(digestIn(mount), from, naming) : undefined,
  };
}

/** A mount is a shortcut: where its source cannot be meant here, the blob is uploaded instead (CVE-2024-39897). */
function mountOf(digest: Digest, from: string, naming: Naming) {
  try {
    return { digest, from: resolveName(from, naming) };
  } catch {
    return undefined;
  }
}

function upload(asked: string, uuid: string, query: URLSearchParams, naming: Naming): Asked {
  if (!UPLOAD_UUID.test(uuid)) throw new OciError('BLOB_UPLOAD_UNKNOWN');
  const digest = single(query, 'digest');
  return {
    noun: 'upload',
    name: resolveName(asked, naming),
    uuid,
    state: single(query, '_state') ?? '',
    digest: digest === undefined ? undefined : digestIn(digest),
  };
}

function digestIn(text: string): Digest {
  const digest = parseDigest(text);
  if (!digest)
    throw new OciError('DIGEST_INVALID', {
      message: 'a digest is sha256: or sha512: and lower-case hex digits',
    });
  return digest;
}

function referenceIn(text: string) {
  const reference = parseReference(text);
  if (reference) return reference;
  throw text.includes(':')
    ? new OciError('DIGEST_INVALID', {
        message: 'a digest is sha256: or sha512: and lower-case hex digits',
      })
    : new OciError('TAG_INVALID', {
        message: 'a tag is at most 128 of A–Z a–z 0–9 _ . - and begins with none of . and -',
      });
}
