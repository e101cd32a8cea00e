/** Conditional requests for content, whose validator is its digest. RFC 9110 § 13. */
import type { IncomingMessage } from 'node:http';
import type { Digest } from '../oci/digest';

/** True when the client has it already: If-None-Match names the digest. RFC 9110 § 13.1.2. */
export function isNotModified({ headers }: IncomingMessage, digest: Digest): boolean {
  const given = headers['if-none-match'];
  if (given === undefined) return false;
  return given.split(',').some((tag) => {
    const text = tag.trim();
    return text === '*' || text.replace(/^W\//, '') === `"${digest}"`;
  });
}

/** The Range header, unless an If-Range says that the client's part is of something else. RFC 9110 § 13.1.5. */
export function rangeOf({ headers }: IncomingMessage, digest: Digest): string | undefined {
  const condition = headers['if-range'];
  return condition === undefined || condition === `"${digest}"` ? headers.range : undefined;
}
