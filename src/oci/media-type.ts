/** Media types of manifests, and how content of another kind is told from them. OCI image-spec, media-types.md. */

/** What a client that says nothing about it is taken to accept. */
export const MANIFEST_MEDIA_TYPES = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
] as const;

/** RFC 6838 § 4.2, with optional parameters; anything else is not passed on to a client. */
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}(?:\s*;[ -~]*)?$/i;

/** The value if it is a media type, else undefined. */
export function parseMediaType(text: string | undefined): string | undefined {
  return text !== undefined && MEDIA_TYPE.test(text) ? text : undefined;
}
