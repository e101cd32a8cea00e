/** The paths below `/admin`: well-formed segments, rebuilt, so that the router sees one spelling of each. */
import { pageOf } from './query';

/**
 * What a segment may be once it is decoded: no separator, no control character, not `.` or `..`. User names of an
 * htpasswd file may hold any other.
 */
// oxlint-disable-next-line no-control-regex
const SEGMENT = /^(?!\.{1,2}$)[^\x00-\x1f\x7f/\\:;]{1,255}$/u;
const LITERAL = /^(?!\.{1,2}$)[a-z0-9._-]{1,255}$/;

/** What a digest is made of. Whether it is one, an admin is told by the room. */
const DIGEST = /^[a-z0-9]{1,16}:[0-9a-f]{1,255}$/;
/** The host of a registry, as canonical names may begin with one: with a port, or an IPv6 address in brackets. */
const HOST_WITH_PORT = /^(?:[a-z0-9][a-z0-9._-]{0,254}:\d{1,5}|\[[0-9a-f:.]{2,45}\](?::\d{1,5})?)$/;

const REPOSITORIES = '/admin/cache/repositories';

/**
 * @param raw the raw path, from `/admin` on, without a query.
 * @param query kept, checked and rebuilt, where the address is a listing.
 * @returns the path for the router, or undefined where it is malformed.
 * @throws OciError for a page that cannot be meant.
 */
export function readAdminPath(raw: string, query = new URLSearchParams()): string | undefined {
  const segments = raw.split('/').slice(2);
  if (segments[0] === 'cache') {
    if (!isCachePath(segments.slice(1))) return undefined;
    return raw === REPOSITORIES ? `${raw}${pageQuery(query)}` : raw;
  }
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

/**
 * Below `/admin/cache` nothing is ever escaped: no name there needs it. A colon stands in two places, in a digest and in
 * the port of a registry, and slashes part a repository's name.
 */
function isCachePath([noun, first, ...more]: readonly string[]): boolean {
  if (noun === undefined) return true;
  if (!LITERAL.test(noun)) return false;
  if (first === undefined) return true;
  if (noun === 'repositories')
    return (LITERAL.test(first) || HOST_WITH_PORT.test(first)) && more.every(isLiteral);
  if (more.length > 0) return false;
  return LITERAL.test(first) || (noun === 'blobs' && DIGEST.test(first));
}

function isLiteral(segment: string): boolean {
  return LITERAL.test(segment);
}

/** The router gets `n` and `last` alone, in a spelling of the gate's own. */
function pageQuery(query: URLSearchParams): string {
  const { n, last } = pageOf(query);
  const page = new URLSearchParams();
  if (n !== undefined) page.set('n', String(n));
  if (last !== undefined) page.set('last', last);
  return page.size > 0 ? `?${page.toString()}` : '';
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
