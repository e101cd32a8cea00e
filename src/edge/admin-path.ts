/** The paths below `/admin`: well-formed segments, rebuilt, so that the router sees one spelling of each. */

/**
 * What a segment may be once it is decoded: no separator, no control character, not `.` or `..`. User names of an
 * htpasswd file may hold any other.
 */
// oxlint-disable-next-line no-control-regex
const SEGMENT = /^(?!\.{1,2}$)[^\x00-\x1f\x7f/\\:;]{1,255}$/u;
const LITERAL = /^[a-z0-9._-]+$/;

/** @param raw the raw path, from `/admin` on. @returns the path for the router, or undefined where it is malformed. */
export function readAdminPath(raw: string): string | undefined {
  const segments = raw.split('/').slice(2);
  const decoded: string[] = [];
  for (const [index, segment] of segments.entries()) {
    const text = decodeSegment(segment);
    // Only a user's name, which stands second, may be spelled with escapes; a route's own words are taken literally.
    if (text === undefined || !SEGMENT.test(text) || (index !== 1 && !LITERAL.test(segment)))
      return undefined;
    decoded.push(encodeURIComponent(text));
  }
  return decoded.length === 0 ? undefined : `/admin/${decoded.join('/')}`;
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
