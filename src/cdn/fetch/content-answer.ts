import { OciError } from '../../oci/oci-error';
import type { UpstreamResponse } from '../../upstream/upstream-response';

/** Bytes [from, to) of a content; to its end without `to`. */
export interface Part {
  readonly from: number;
  readonly to?: number;
}

/** What an upstream's answer is, of the part that was asked for. */
export interface ContentAnswer {
  /** Bytes of the whole content; undefined where the upstream does not say. */
  readonly total: number | undefined;
  /** Bytes of the body before the part begins. */
  readonly skip: number;
  /** The body ends where the part does; else what follows the part is not wanted. */
  readonly exact: boolean;
}

const CONTENT_RANGE = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/;
const CONTENT_LENGTH = /^\d{1,15}$/;

/**
 * Reads the head of an answer to a GET of content. An upstream that does not do ranges answers 200 with everything, which
 * will do; a 206 is good only for the very bytes that were asked for. RFC 9110 § 14.4, § 15.3.7.
 * @throws OciError BAD_UPSTREAM for anything else.
 */
export function readContentAnswer(
  { status, headers }: Pick<UpstreamResponse, 'status' | 'headers'>,
  { from, to }: Part,
): ContentAnswer {
  const length = lengthOf(headers['content-length']);
  if (status === 200) {
    if (length !== undefined && from > length) throw wrongPart();
    return {
      total: length,
      skip: from,
      exact: to === undefined || (length !== undefined && to >= length),
    };
  }
  const range = CONTENT_RANGE.exec(headers['content-range'] ?? '');
  if (status !== 206 || !range) throw wrongPart();
  const [start = 0, last = 0, total = 0] = range.slice(1).map(Number);
  const end = Math.min(to ?? total, total);
  if (start !== from || last !== end - 1 || end <= from) throw wrongPart();
  if (length !== undefined && length !== end - from) throw wrongPart();
  return { total, skip: 0, exact: true };
}

function lengthOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  if (!CONTENT_LENGTH.test(header)) throw wrongPart();
  return Number(header);
}

function wrongPart(): OciError {
  return new OciError('BAD_UPSTREAM', {
    message: 'the upstream registry sent another part of the content than was asked for',
  });
}
