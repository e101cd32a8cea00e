import fc from 'fast-check';
import type { UpstreamResponse } from '../../upstream/upstream-response';
import { readContentAnswer } from './content-answer';

type Headers = Record<string, string>;

/** What the answer to bytes [from, to) is. */
function read(status: number, headers: Headers, from = 0, to?: number) {
  return readContentAnswer({ status, headers } as unknown as UpstreamResponse, { from, to });
}

const part = (first: number, last: number, total: number, length?: number): Headers => ({
  'content-range': `bytes ${first}-${last}/${total}`,
  ...(length === undefined ? {} : { 'content-length': String(length) }),
});

describe('an answer to a question for a part', () => {
  it.each<[string, number, Headers, number, number | undefined, object]>([
    ['all of it', 200, { 'content-length': '9' }, 0, undefined, { total: 9, skip: 0, exact: true }],
    ['all, of no length', 200, {}, 0, undefined, { total: undefined, skip: 0, exact: true }],
    [
      'all for its end',
      200,
      { 'content-length': '9' },
      4,
      undefined,
      { total: 9, skip: 4, exact: true },
    ],
    [
      'all for nothing behind its end',
      200,
      { 'content-length': '9' },
      9,
      undefined,
      { total: 9, skip: 9, exact: true },
    ],
    [
      'all for its middle',
      200,
      { 'content-length': '9' },
      4,
      8,
      { total: 9, skip: 4, exact: false },
    ],
    ['all up to its end', 200, { 'content-length': '9' }, 4, 9, { total: 9, skip: 4, exact: true }],
    ['all and more', 200, { 'content-length': '9' }, 4, 12, { total: 9, skip: 4, exact: true }],
    ['all, of no length, for a part', 200, {}, 4, 8, { total: undefined, skip: 4, exact: false }],
    ['the part', 206, part(4, 7, 9), 4, 8, { total: 9, skip: 0, exact: true }],
    ['the part with its length', 206, part(4, 7, 9, 4), 4, 8, { total: 9, skip: 0, exact: true }],
    ['the rest', 206, part(4, 8, 9, 5), 4, undefined, { total: 9, skip: 0, exact: true }],
    ['what there is of the part', 206, part(4, 8, 9), 4, 12, { total: 9, skip: 0, exact: true }],
    ['one byte', 206, part(4, 4, 9), 4, 5, { total: 9, skip: 0, exact: true }],
  ])('is taken: %s', (_what, status, headers, from, to, answer) => {
    expect(read(status, headers, from, to)).toEqual(answer);
  });

  it.each<[string, number, Headers, number, number | undefined]>([
    ['all of what ends before the part', 200, { 'content-length': '3' }, 4, undefined],
    ['a part that begins before', 206, part(3, 7, 9), 4, 8],
    ['a part that begins behind', 206, part(5, 7, 9), 4, 8],
    ['a part that ends before', 206, part(4, 6, 9), 4, 8],
    ['a part that ends behind', 206, part(4, 8, 9), 4, 8],
    ['a part of nothing', 206, part(4, 3, 9), 4, 4],
    ['a part behind the end', 206, part(9, 8, 9), 9, undefined],
    ['a part of another length', 206, part(4, 7, 9, 5), 4, 8],
    ['a part that is not said', 206, {}, 4, 8],
    ['a part of what has no end', 206, { 'content-range': 'bytes 4-7/*' }, 4, 8],
    ['several parts', 206, { 'content-type': 'multipart/byteranges' }, 4, 8],
    ['other units', 206, { 'content-range': 'lines 4-7/9' }, 4, 8],
    ['something before its range', 206, { 'content-range': 'x bytes 4-7/9' }, 4, 8],
    ['something behind its range', 206, { 'content-range': 'bytes 4-7/9, bytes 1-2/9' }, 4, 8],
    ['another status', 203, part(4, 7, 9), 4, 8],
    ['a length that is none', 200, { 'content-length': '-1' }, 0, undefined],
    ['a length of two', 200, { 'content-length': '9, 9' }, 0, undefined],
    ['a length beyond counting', 200, { 'content-length': '9'.repeat(30) }, 0, undefined],
    ['a part with a length that is none', 206, { ...part(4, 7, 9), 'content-length': 'x' }, 4, 8],
  ])('is refused: %s', (_what, status, headers, from, to) => {
    expect(() => read(status, headers, from, to)).toThrow(
      expect.objectContaining({ code: 'BAD_UPSTREAM' }),
    );
    expect(() => read(status, headers, from, to)).toThrow('another part of the content');
  });

  it('never leads outside of what was asked for', () => {
    const number = fc.integer({ min: 0, max: 20 });
    fc.assert(
      fc.property(number, number, number, number, number, (first, last, total, from, length) => {
        const to = from + length;
        try {
          read(206, part(first, last, total), from, to);
        } catch {
          return;
        }
        expect([first, last]).toEqual([from, Math.min(to, total) - 1]);
        expect(first).toBeLessThanOrEqual(last);
      }),
    );
  });
});
