import fc from 'fast-check';
import { parseRange, rangeWithin } from './byte-range';

describe('parseRange', () => {
  it('reads nothing that something stands in front of', () => {
    expect(parseRange('xbytes=0-9')).toBeUndefined();
    expect(parseRange(' bytes=0-9')).toBeUndefined();
  });

  it.each([
    ['bytes=0-9', { from: 0, to: 10 }],
    ['bytes=5-', { from: 5, to: undefined }],
    ['bytes=-7', { last: 7 }],
    ['bytes=3-3', { from: 3, to: 4 }],
  ])('reads %s', (header, expected) => {
    expect(parseRange(header)).toEqual(expected);
  });

  it.each([
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=9-3',
    'bytes=0-1,4-5',
    'items=0-1',
    'bytes= 0-1',
    'bytes=a-b',
    'bytes=0-1234567890123456',
    'Bytes=0-1',
  ])('takes %j for no range', (header) => {
    expect(parseRange(header)).toBeUndefined();
  });
});

describe('rangeWithin', () => {
  it('is the part that a slice would give, or nothing', () => {
    const size = fc.nat(50);
    const number = fc.nat(60);
    fc.assert(
      fc.property(size, number, number, (bytes, a, b) => {
        const content = Buffer.from(Array.from({ length: bytes }, (_, i) => i));
        const header = `bytes=${a}-${a + b}`;

        const range = rangeWithin(parseRange(header)!, bytes);

        const slice = content.subarray(a, a + b + 1);
        expect(range ? content.subarray(range.from, range.to) : Buffer.alloc(0)).toEqual(slice);
      }),
    );
  });

  it.each([
    ['bytes=-5', 10, { from: 5, to: 10 }],
    ['bytes=-50', 10, { from: 0, to: 10 }],
    ['bytes=-0', 10, undefined],
    ['bytes=-1', 0, undefined],
    ['bytes=10-', 10, undefined],
    ['bytes=9-', 10, { from: 9, to: 10 }],
    ['bytes=0-99', 10, { from: 0, to: 10 }],
  ])('gives %s of %i bytes', (header, bytes, expected) => {
    expect(rangeWithin(parseRange(header)!, bytes)).toEqual(expected);
  });
});
