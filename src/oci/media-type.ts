/** Media types: those of manifests, and the form that any must have. OCI image-spec, media-types.md; RFC 6838. */

/** What a client that says nothing about it is taken to accept. */
export const MANIFEST_MEDIA_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const;

/** A longer one is none: it would stand in a header of every answer. */
const MAX_LENGTH = 512;

/** RFC 6838 § 4.2, with optional parameters of printable characters, so that no line break reaches a header. */
const MEDIA_TYPE =
  /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}(?:[ \t]*;[ -~]*)?$/i;

/** What a browser would run, were it served from the gate's own origin. */
const NO_SCRIPT = /^application\/(?!(?:[a-z0-9.+-]*x?html)|(?:x-)?(?:java|ecma)script)/i;

/**
 * The value, unchanged, if it is a media type that a manifest may have: `application/…`, and nothing that a browser would run,
 * since whoever may push chooses it, and operators' browsers know their login at the gate.
 */
export function parseManifestType(text: string | undefined): string | undefined {
  const type = parseMediaType(text);
  return type !== undefined && NO_SCRIPT.test(type) ? type : undefined;
}

/** The value, unchanged, if it is a media type; else undefined, and the value is not to be passed on to a client. */
export function parseMediaType(text: string | undefined): string | undefined {
  return text !== undefined && text.length <= MAX_LENGTH && MEDIA_TYPE.test(text)
    ? text
    : undefined;
}
