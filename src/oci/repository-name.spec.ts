import fc from 'fast-check';
import { canonicalName, parseRepositoryName } from './repository-name';

const part = fc.stringMatching(/^[a-z0-9]{1,6}$/);
const separator = fc.constantFrom('.', '_', '__', '-', '--', '---');
const segment = fc
  .tuple(part, fc.array(fc.tuple(separator, part), { maxLength: 3 }))
  .map(([first, rest]) => first + rest.flat().join(''));
const name = fc
  .array(segment, { minLength: 1, maxLength: 5 })
  .map((segments) => segments.join('/'));

describe('parseRepositoryName', () => {
  it.each([
    'a',
    '0',
    'nginx',
    'library/nginx',
    'a__b',
    'a_b',
    'a-b',
    'a---b',
    'a.b',
    'a.b__c-d/e',
    'a/b/c/d/e/f/g',
  ])('takes %s', (text) => {
    expect(parseRepositoryName(text)).toBe(text);
  });

  it.each([
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    '..',
    'a/../b',
    'a..b',
    'a.-b',
    'a-_b',
    'a___b',
    'a_.b',
    '-a',
    'a-',
    '_a',
    'a_',
    '.a',
    'a.',
    'A',
    'Library/nginx',
    'library/Nginx',
    'a b',
    'a\n',
    'a%2fb',
    'a\\b',
    'a:b',
    'a@b',
    'é',
    'a\u0000',
  ])('refuses %j', (text) => {
    expect(parseRepositoryName(text)).toBeUndefined();
  });

  it('takes every name of the grammar', () => {
    fc.assert(
      fc.property(name, (text) => {
        expect(parseRepositoryName(text)).toBe(text);
      }),
    );
  });

  it('takes 255 characters and not one more, in one segment or in many', () => {
    expect(parseRepositoryName('a'.repeat(255))).toBeDefined();
    expect(parseRepositoryName('a'.repeat(256))).toBeUndefined();
    expect(parseRepositoryName('a/'.repeat(127) + 'a')).toBeDefined();
    expect(parseRepositoryName('a/'.repeat(127) + 'aa')).toBeUndefined();
  });

  it('decides as the specification’s own pattern does, on names that are nearly right', () => {
    const SPECIFICATION =
      /^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$/;
    const near = fc
      .array(fc.constantFrom('a', '0', '.', '_', '-', '/', 'A', '%', '\n'), { maxLength: 14 })
      .map((chars) => chars.join(''));
    fc.assert(
      fc.property(near, (text) => {
        expect(parseRepositoryName(text) !== undefined).toBe(SPECIFICATION.test(text));
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps rights apart: different names under one registry have different canonical names', () => {
    fc.assert(
      fc.property(name, name, (a, b) => {
        const [one, other] = [parseRepositoryName(a)!, parseRepositoryName(b)!];

        expect(canonicalName('ghcr.io', one) === canonicalName('ghcr.io', other)).toBe(a === b);
        expect(canonicalName('docker.io', one)).toBe(`docker.io/${a}`);
      }),
    );
  });
});
