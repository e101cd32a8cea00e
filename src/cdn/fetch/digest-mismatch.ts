import type { Hash } from 'node:crypto';
import type { Digest } from '../../oci/digest';
import { OciError } from '../../oci/oci-error';

/** The upstream sent something else than what its digest says. The transfer breaks, and nothing of it is held. */
export class DigestMismatch extends OciError {
  constructor(digest: Digest) {
    super('BAD_UPSTREAM', { message: `the upstream registry sent content that is not ${digest}` });
    this.name = 'DigestMismatch';
  }
}

/** @throws DigestMismatch. The hash is used up. */
export function assertDigest(digest: Digest, hash: Hash): void {
  if (!holds(digest, hash)) throw new DigestMismatch(digest);
}

/** Whether the hashed bytes are those that the digest names. The hash is used up. */
export function holds(digest: Digest, hash: Hash): boolean {
  return hash.digest('hex') === digest.slice(digest.indexOf(':') + 1);
}
