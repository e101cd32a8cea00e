import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { digestOf, hasherFor, matches, parseDigest } from './digest';

const hex = (length: number) =>
  fc.string({
    unit: fc.constantFrom(...'0123456789abcdef'),
    minLength: length,
    maxLength: length,
  });
const digests = fc.oneof(
  hex(64).map((text) => `sha256:${text}`),
  hex(128).map((text) => `sha512:${text}`),
);

describe('parseDigest', () => {
  it('takes sha256 and sha512 in lower-case hex, unchanged', () => {
    fc.assert(
      fc.property(digests, (text) => {
        expect(parseDigest(text)).toBe(text);
      }),
    );
  });

  it.each([
    '',
    ':',
    'sha256:',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'a'.repeat(65)}`,
    `sha256:${'a'.repeat(128)}`,
    `sha256:${'a'.repeat(64)}\n`,
    ` sha256:${'a'.repeat(64)}`,
    `SHA256:${'a'.repeat(64)}`,
    `sha512:${'a'.repeat(64)}`,
    `sha384:${'a'.repeat(96)}`,
    `md5:${'a'.repeat(32)}`,
    'sha256:../../etc/passwd',
    `sha256:${'a'.repeat(62)}/.`,
  ])('refuses %j', (text) => {
    expect(parseDigest(text)).toBeUndefined();
  });

  it('refuses a digest with any one character changed to one that is no hex digit', () => {
    const other = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 1 })
      .filter((char) => !/[0-9a-f]/.test(char));
    fc.assert(
      fc.property(digests, fc.nat({ max: 63 }), other, (text, at, char) => {
        const start = 'sha256:'.length + at;

        expect(parseDigest(text.slice(0, start) + char + text.slice(start + 1))).toBeUndefined();
      }),
    );
  });
});

describe('digestOf, matches and hasherFor', () => {
  it('name the empty blob as the specification does', () => {
    expect(digestOf(Buffer.alloc(0))).toBe(
      'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    );
  });

  it('agree on the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const digest = digestOf(bytes);

        expect(parseDigest(digest)).toBe(digest);
        expect(matches(digest, bytes)).toBe(true);
      }),
    );
  });

  it('agree on no other bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.nat(), (bytes, at) => {
        const changed = Uint8Array.from(bytes);
        changed[at % bytes.length]! ^= 1;

        expect(matches(digestOf(bytes), changed)).toBe(false);
        expect(matches(digestOf(bytes), bytes.subarray(1))).toBe(false);
      }),
    );
  });

  it('verify sha512 with sha512', () => {
    const bytes = Buffer.from('layer');
    const digest = parseDigest(`sha512:${createHash('sha512').update(bytes).digest('hex')}`)!;

    expect(matches(digest, bytes)).toBe(true);
    expect(matches(digest, Buffer.from('Layer'))).toBe(false);
    expect(hasherFor(digest).update(bytes).digest('hex')).toHaveLength(128);
  });
});
