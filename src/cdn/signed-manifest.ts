/**
 * docker's first manifests (schema 1) are signed within: their digest is of the payload that the signatures speak of, not of
 * the bytes that are sent. CNCF distribution, docs/spec/manifest-v2-1; RFC 7515 for the signatures' headers.
 */
import { z } from 'zod';

export const SIGNED_MANIFEST = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

const Signed = z.object({ signatures: z.array(z.object({ protected: z.string() })).min(1) });
const Protected = z.object({ formatLength: z.int().nonnegative(), formatTail: z.string() });

/** The payload of a signed manifest, which its digest is of; undefined when the bytes are none. */
export function signedPayload(bytes: Buffer): Buffer | undefined {
  try {
    const { signatures } = Signed.parse(JSON.parse(bytes.toString('utf8')));
    const header = Buffer.from(signatures[0]?.protected ?? '', 'base64url').toString('utf8');
    const { formatLength, formatTail } = Protected.parse(JSON.parse(header));
    if (formatLength > bytes.length) return undefined;
    return Buffer.concat([bytes.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
  } catch {
    return undefined;
  }
}
