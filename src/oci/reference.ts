/** References: what names a manifest within a repository, a tag or a digest. Distribution-spec 1.1 § Pulling manifests. */
import { parseDigest, type Digest } from './digest';

export type Tag = string & { readonly __brand: 'Tag' };

/** A tag or a digest. {@link isDigest} tells which. */
export type Reference = Tag | Digest;

const TAG = /^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/;

/** The reference that the text is, or undefined. What holds a colon can only be a digest. */
export function parseReference(text: string): Reference | undefined {
  if (text.includes(':')) return parseDigest(text);
  return TAG.test(text) ? (text as Tag) : undefined;
}

/** Tags hold no colon, digests always do. */
export function isDigest(reference: Reference): reference is Digest {
  return reference.includes(':');
}

/** How a reference stands behind a name: `:1.0` or `@sha256:…`. */
export function suffixOf(reference: Reference): string {
  return `${isDigest(reference) ? '@' : ':'}${reference}`;
}
