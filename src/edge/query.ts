/** Query strings, where each parameter that is understood may stand once: a second one is a disguise, not a choice. */
import { OciError } from '../oci/oci-error';
import type { ListingQuery, Page, SearchQuery } from './request-context';

/** The one value of a parameter, or undefined. */
export function single(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name);
  if (values.length > 1)
    throw new OciError('REQUEST_INVALID', { message: `the parameter ${name} may be given once` });
  return values[0];
}

const MAX_PAGE = 1000;

/** `n` and `last` of a listing; n is capped at 1000. Distribution-spec 1.1 § Listing tags. */
export function pageOf(query: URLSearchParams): Page {
  const n = single(query, 'n');
  const last = single(query, 'last');
  if (n !== undefined && !/^\d{1,9}$/.test(n)) {
    throw new OciError('PAGINATION_NUMBER_INVALID', { message: 'n must be a whole number' });
  }
  if (last !== undefined && !/^[\x21-\x7e]{0,512}$/.test(last)) {
    throw new OciError('REQUEST_INVALID', { message: 'last must be a name that a listing gave' });
  }
  return { n: n === undefined ? undefined : Math.min(Number(n), MAX_PAGE), last };
}

const MAX_TERM = 256;
const MAX_FOUND = 100;

/**
 * What `docker search` asks: the term, how many at once (100 at most), and which page, from 1 on.
 * @throws OciError REQUEST_INVALID
 */
export function searchQueryOf(query: URLSearchParams): SearchQuery {
  const q = single(query, 'q') ?? '';
  // oxlint-disable-next-line no-control-regex
  if (q === '' || q.length > MAX_TERM || /[\x00-\x1f\x7f]/.test(q)) {
    throw new OciError('REQUEST_INVALID', {
      message: `q must be what to search for, in at most ${MAX_TERM} characters`,
    });
  }
  return { q, n: countIn(query, 'n', MAX_FOUND), page: countIn(query, 'page', 1_000_000) };
}

function countIn(query: URLSearchParams, name: string, max: number): number | undefined {
  const text = single(query, name);
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text) || Number(text) === 0) {
    throw new OciError('REQUEST_INVALID', { message: `${name} must be a whole number from 1 on` });
  }
  return Math.min(Number(text), max);
}

const MAX_PARAMETERS = 10;

/** All parameters of a listing but `ns`, each once; n is capped at 1000. */
export function listingQueryOf(query: URLSearchParams): ListingQuery {
  const { n } = pageOf(query);
  const names = [...new Set(query.keys())].filter((name) => name !== 'ns');
  if (names.length > MAX_PARAMETERS)
    throw new OciError('REQUEST_INVALID', { message: 'the query has too many parameters' });
  return Object.fromEntries(
    names.map((name) => [name, name === 'n' ? String(n) : (single(query, name) ?? '')]),
  );
}
