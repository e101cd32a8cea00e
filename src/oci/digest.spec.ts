import { digestOf, matches, parseDigest } from './digest';

describe('parseDigest', () => {
  it('takes sha256 and sha512 in lower-case hex', () => {
    expect(parseDigest(`sha256:${'a'.repeat(64)}`)).toBeDefined();
    expect(parseDigest(`sha512:${'0'.repeat(128)}`)).toBeDefined();
  });

  it.each([
    '',
    'sha256:',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'a'.repeat(64)}\n`,
    `sha512:${'a'.repeat(64)}`,
    `md5:${'a'.repeat(32)}`,
    'sha256:../../etc/passwd',
  ])('refuses %j', (text) => {
    expect(parseDigest(text)).toBeUndefined();
  });
});

describe('digestOf and matches', () => {
  it('agree on the same bytes and on no others', () => {
    const digest = digestOf(Buffer.from('layer'));

    expect(matches(digest, Buffer.from('layer'))).toBe(true);
    expect(matches(digest, Buffer.from('Layer'))).toBe(false);
  });
});
