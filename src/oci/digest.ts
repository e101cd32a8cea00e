/**
 * Digests: the name of content by its hash, `algorithm:hex`.
 * OCI image-spec, descriptor.md § Digests; distribution-spec 1.1 § Pulling blobs.
 */
import { createHash, type Hash } from 'node:crypto';

/** A well-formed digest of a supported algorithm: `sha256:` + 64 or `sha512:` + 128 lower-case hex digits. */
export type Digest = string & { readonly __brand: 'Digest' };

const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/;

/** The digest that the text is, or undefined when it is none. Anything that could leave a folder (`..`, `/`) is none. */
export function parseDigest(text: string): Digest | undefined {
  return DIGEST.test(text) ? (text as Digest) : undefined;
}

/** A running hash of the digest's own algorithm, to verify bytes against it. */
export function hasherFor(digest: Digest): Hash {
  return createHash(digest.slice(0, digest.indexOf(':')));
}

/** True when the bytes hash to the digest. */
export function matches(digest: Digest, bytes: Uint8Array): boolean {
  return hasherFor(digest).update(bytes).digest('hex') === digest.slice(digest.indexOf(':') + 1);
}

/** The sha256 digest of the bytes. */
export function digestOf(bytes: Uint8Array): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest;
}
