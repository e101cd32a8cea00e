/**
 * docker's first manifests (schema 1) are signed within: their digest is of the payload that the signatures speak of, not of
 * the bytes that are sent. CNCF distribution, docs/spec/manifest-v2-1; RFC 7515 for the signatures' headers.
 */
import { z } from 'zod';
import { parseBoundedJson } from '../oci/bounded-json';

const SIGNED_MANIFEST = 'application/vnd.docker.distribution.manifest.v1+prettyjws';

const MAX_HEADER = 64 * 1024;
const Protected = z.object({ formatLength: z.int().nonnegative(), formatTail: z.string() });

/** The bytes that a manifest's digest is of: all of them, but for those that are signed within. */
export function digestedPart(mediaType: string | undefined, bytes: Buffer): Buffer {
  const type = mediaType?.split(';', 1)[0]?.trim();
  return (type === SIGNED_MANIFEST ? signedPayload(bytes) : undefined) ?? bytes;
}

/** The payload of a signed manifest; undefined when the bytes are none. */
export function signedPayload(bytes: Buffer): Buffer | undefined {
  const header = protectedHeader(parseBoundedJson(bytes));
  if (header === undefined || header.length > MAX_HEADER) return undefined;
  const parsed = Protected.safeParse(parseBoundedJson(Buffer.from(header, 'base64url')));
  if (!parsed.success || parsed.data.formatLength > bytes.length) return undefined;
  const { formatLength, formatTail } = parsed.data;
  return Buffer.concat([bytes.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
}

/** Looked for by hand: a schema would go through every signature, and a hostile manifest may hold millions. */
function protectedHeader(document: unknown): string | undefined {
  const signatures = propertyOf(document, 'signatures');
  const header = Array.isArray(signatures) ? propertyOf(signatures[0], 'protected') : undefined;
  return typeof header === 'string' ? header : undefined;
}

function propertyOf(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  return (value as Readonly<Record<string, unknown>>)[name];
}
