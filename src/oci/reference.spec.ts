import fc from 'fast-check';
import { isDigest, parseReference, suffixOf } from './reference';

const tags = fc.stringMatching(/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/);
const digests = fc.stringMatching(/^sha256:[0-9a-f]{64}$/);

describe('parseReference', () => {
  it.each([
    'latest',
    '1',
    '1.27.0-alpine',
    '_x',
    'A',
    'sha256-0123',
    'a..b',
    'a--b',
    'x'.repeat(128),
  ])('takes the tag %s', (text) => {
    const reference = parseReference(text);

    expect(reference).toBe(text);
    expect(isDigest(reference!)).toBe(false);
  });

  it('takes every tag and digest of the grammar, and tells them apart', () => {
    fc.assert(
      fc.property(tags, digests, (tag, digest) => {
        expect(isDigest(parseReference(tag)!)).toBe(false);
        expect(isDigest(parseReference(digest)!)).toBe(true);
      }),
    );
  });

  it.each([
    '',
    '.',
    '..',
    '-x',
    '.x',
    'a b',
    'a/b',
    'a\\b',
    'a%2e',
    'a+b',
    'latest\n',
    'é',
    'x'.repeat(129),
    ':',
    'a:b',
    'sha256:',
    `sha256:${'a'.repeat(63)}`,
    `sha256:${'A'.repeat(64)}`,
    `tag@sha256:${'a'.repeat(64)}`,
  ])('refuses %j', (text) => {
    expect(parseReference(text)).toBeUndefined();
  });

  it('never throws, and takes nothing that could leave a path segment', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const reference = parseReference(text);

        if (reference !== undefined) expect(reference).toMatch(/^[\w.:-]+$/);
      }),
    );
  });
});

describe('suffixOf', () => {
  it('stands a tag behind a colon, and a digest behind an @', () => {
    const digest = `sha256:${'a'.repeat(64)}`;

    expect(suffixOf(parseReference('1.0')!)).toBe(':1.0');
    expect(suffixOf(parseReference(digest)!)).toBe(`@${digest}`);
  });
});
