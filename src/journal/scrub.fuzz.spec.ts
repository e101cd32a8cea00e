import fc from 'fast-check';
import { expectLinear, fuzzed, shapes, type Shape } from '../../test/support/fuzz';
import { scrub } from './scrub';

it('a text that others wrote is scrubbed in time that grows with its length alone', () => {
  fc.assert(
    fc.property(shapes('eyJ', '-eyJ', '://', '@', 'bearer ', 'basic  ', '.', '?x'), (shape) =>
      expectLinear(scrub, shape, { length: 16_384 }),
    ),
    fuzzed<[Shape]>(100, [[{ before: [], unit: ['eyJ', '-'], after: [] }]]),
  );
});

it('no token is left, however it is surrounded', () => {
  const part = fc
    .array(fc.constantFrom('a', 'Z', '9', '-', '_', 'eyJ'), { minLength: 1, maxLength: 20 })
    .map((each) => each.join(''));
  const around = fc.string({
    unit: fc.constantFrom(' ', '"', '-', '.', ',', '=', ':', '/', '(', 'é'),
  });
  fc.assert(
    fc.property(around, part, part, part, around, (before, one, two, three, after) => {
      expect(scrub(`${before}eyJ${one}.${two}.${three}${after}`)).not.toMatch(
        /eyJ[A-Za-z0-9_-]+\./,
      );
    }),
    fuzzed(200),
  );
});

it('what looks harmless at a glance is left alone, and so it is by a closer look', () => {
  const piece = fc.constantFrom(
    '://',
    '@',
    '?',
    'Bearer ',
    'bASIC  ',
    'eyJ',
    'EYj',
    'a.b.',
    'ſ',
    'K',
    ' ',
    '"',
    '\n',
    'user:password',
    'q=1',
    'c2VjcmV0c2VjcmV0c2VjcmV0',
    'registry.example',
  );
  const text = fc.array(fc.oneof(piece, fc.string({ unit: 'binary' })), { maxLength: 12 });
  // It calls for the closer look, and is itself nothing to hide.
  const suspect = '? ';
  fc.assert(
    fc.property(text, (pieces) => {
      const all = pieces.join('');
      expect(suspect + scrub(all)).toBe(scrub(suspect + all));
    }),
    fuzzed(500),
  );
});
