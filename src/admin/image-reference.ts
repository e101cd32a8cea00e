/** Images as people name them: `nginx`, `ghcr.io/org/app:1`, `team/app@sha256:…`. */
import type { RegistryTable } from '../config/registry-table';
import { resolveName, type NamedRepository } from '../edge/names';
import { OciError } from '../oci/oci-error';
import { isDigest, parseReference, type Reference } from '../oci/reference';

export interface NamedImage {
  readonly name: NamedRepository;
  readonly reference: Reference;
}

/**
 * @param text `name[:tag][@digest]`. Without either the tag is `latest`; a digest counts more than a tag.
 * @throws OciError BODY_INVALID that says what is wrong and what would be right: the text is a field of a body.
 */
export function parseImage(text: string, table: RegistryTable): NamedImage {
  const at = text.indexOf('@');
  const tagged = at < 0 ? text : text.slice(0, at);
  // A colon before the last slash is a registry's port.
  const colon = tagged.indexOf(':', tagged.lastIndexOf('/') + 1);
  const tag = colon < 0 ? 'latest' : tagged.slice(colon + 1);
  const asked = colon < 0 ? tagged : tagged.slice(0, colon);
  const digest = at < 0 ? undefined : text.slice(at + 1);
  return { name: nameIn(asked, table), reference: referenceIn(tag, digest) };
}

function referenceIn(tag: string, digest: string | undefined): Reference {
  const parsedTag = parseReference(tag);
  if (!parsedTag || isDigest(parsedTag))
    throw fault('has no tag; give at most 128 of A–Z a–z 0–9 _ . - behind the colon');
  if (digest === undefined) return parsedTag;
  const parsed = parseReference(digest);
  if (parsed && isDigest(parsed)) return parsed;
  throw fault('has no digest behind the @; give sha256: or sha512: and lower-case hex digits');
}

function nameIn(asked: string, table: RegistryTable): NamedRepository {
  try {
    return resolveName(asked, { table });
  } catch (error) {
    if (!(error instanceof OciError)) throw error;
    if (error.code === 'NAME_UNKNOWN') {
      const known = table.registries.map(({ name }) => name).join(', ');
      throw fault(`names a registry that this gate does not know; give one of ${known}`);
    }
    throw fault('names no repository; give a name such as nginx or docker.io/library/nginx');
  }
}

function fault(message: string): OciError {
  return new OciError('BODY_INVALID', {
    message: `the body is not what is asked for here: image: ${message}`,
    detail: [{ path: 'image', message }],
  });
}
