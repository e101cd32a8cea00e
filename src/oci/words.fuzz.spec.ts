import fc from 'fast-check';
import { expectLinear, fuzzed, shapes, textOf } from '../../test/support/fuzz';
import { formatScope, parseScope, parseScopes } from './access';
import { parseBoundedJson } from './bounded-json';
import { parseRange, rangeWithin } from './byte-range';
import { formatBasicChallenge, formatBearerChallenge, parseChallenges } from './challenge';
import { parseDigest } from './digest';
import { parseManifestType, parseMediaType } from './media-type';
import { parseReference } from './reference';
import { parseRepositoryName } from './repository-name';

const bytes = (text: string) => Buffer.from(text, 'latin1');

describe('what others wrote is read in time that grows with its length alone', () => {
  it.each<[string, (text: string) => unknown, number, string[]]>([
    ['a reference', parseReference, 64_000, ['sha256:', '_']],
    ['a digest', parseDigest, 64_000, ['sha256:', 'sha512:', 'f']],
    ['a repository’s name', parseRepositoryName, 64_000, ['__', 'a-', 'a.', 'a/']],
    ['a scope', parseScope, 16_384, ['repository:', '(x)', 'pull,', '*']],
    ['a list of scopes', (text) => parseScopes([text]), 16_384, ['repository:a:pull', ' : : ']],
    ['a range', parseRange, 64_000, ['bytes=', '0-', '1,']],
    ['a challenge', parseChallenges, 8_192, ['Bearer ', 'a="', '\\"', 'a=b,', ', ,']],
    ['a media type', parseMediaType, 64_000, ['application/', 'x+', '; ', '\t']],
    ['a manifest’s type', parseManifestType, 64_000, ['application/', 'x.', 'html', 'x-']],
    [
      'JSON',
      (text) => parseBoundedJson(bytes(text)),
      256_000,
      ['[', '{"a":', '\\"', '\\u0000', '1e9,'],
    ],
  ])('%s', (_, read, length, pieces) => {
    fc.assert(
      fc.property(shapes(...pieces), (shape) => expectLinear(read, shape, { length })),
      fuzzed(40),
    );
  });
});

describe('scopes', () => {
  const text = shapes('repository:', 'pull', 'push', '*', '(x)', 'registry:catalog:').map((shape) =>
    textOf(shape, 30),
  );

  it('that are read and written are read the same', () => {
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ unit: 'binary' })), (said) => {
        const scope = parseScope(said);

        if (scope) expect(parseScope(formatScope(scope))).toEqual(scope);
      }),
      fuzzed(300, [['repository(plugin):a:b:pull,,pull,*'], ['a::b:'], ['a:b:c:']]),
    );
  });

  it('are a hundred at most, each one that the text holds', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 200 }), (texts) => {
        const scopes = parseScopes(texts);

        expect(scopes.length).toBeLessThanOrEqual(100);
        for (const { name } of scopes) expect(texts.join(' ')).toContain(name);
      }),
      fuzzed(50),
    );
  });
});

it('a range lies within what there is, whatever was asked', () => {
  const text = fc.oneof(
    shapes('bytes=', '0', '9', '-', '007').map((shape) => textOf(shape, 12)),
    fc
      .tuple(fc.bigInt(0n, 10n ** 16n), fc.bigInt(0n, 10n ** 16n))
      .map(([from, to]) => `bytes=${from}-${to}`),
  );
  fc.assert(
    fc.property(text, fc.nat({ max: 2 ** 31 }), (header, size) => {
      const asked = parseRange(header);
      const range = asked && rangeWithin(asked, size);

      if (!range) return;
      expect(Number.isSafeInteger(range.from) && Number.isSafeInteger(range.to)).toBe(true);
      expect(0 <= range.from && range.from < range.to && range.to <= size).toBe(true);
    }),
    fuzzed(300, [
      [`bytes=0-${'9'.repeat(15)}`, 1],
      [`bytes=-${'9'.repeat(15)}`, 7],
      ['bytes=-0', 7],
      ['bytes=0-0', 0],
    ]),
  );
});

describe('challenges', () => {
  const value = fc.string({ unit: 'binary-ascii' }).map((text) => text.replace(/[^ -~]/g, '"'));

  it('that the gate writes are read as they were meant, and can stand in a header', () => {
    fc.assert(
      fc.property(value, value, value, (realm, service, scope) => {
        const bearer = formatBearerChallenge({ realm, service, scope, error: 'invalid_token' });
        const basic = formatBasicChallenge(realm);

        expect(`${bearer}, ${basic}`).toMatch(/^[ -~]*$/);
        const read = parseChallenges(`${bearer}, ${basic}`);
        expect(read.map(({ scheme }) => scheme)).toEqual(['bearer', 'basic']);
        expect({ ...read[0]?.params }).toEqual({
          ...(realm === '' ? {} : { realm }),
          ...(service === '' ? {} : { service }),
          ...(scope === '' ? {} : { scope }),
          error: 'invalid_token',
        });
        expect({ ...read[1]?.params }).toEqual({ realm, charset: 'UTF-8' });
      }),
      fuzzed(200, [
        ['\\', '"', '\\"'],
        ['', ' ', ','],
        ['a"b,c=d', '\\\\', '='],
      ]),
    );
  });

  it('name no property of an object’s own making', () => {
    const text = shapes('Bearer ', '__proto__=x', 'constructor="y"', 'toString=', ',').map(
      (shape) => textOf(shape, 60),
    );
    fc.assert(
      fc.property(text, (header) => {
        for (const { params } of parseChallenges(header)) {
          expect(Object.getPrototypeOf(params)).toBeNull();
          for (const said of Object.values(params)) expect(typeof said).toBe('string');
        }
        expect(({} as Record<string, unknown>)['x']).toBeUndefined();
      }),
      fuzzed(200),
    );
  });
});

it('JSON is read as it stands, or not at all', () => {
  const text = fc.oneof(
    fc.json({ maxDepth: 10 }),
    shapes('{"a":', '[', ']', '}', '"\\"', '"\\\\"', '1e', 'null,').map((shape) =>
      textOf(shape, 400),
    ),
  );
  fc.assert(
    fc.property(text, (said) => {
      const read = parseBoundedJson(Buffer.from(said));

      if (read !== undefined) expect(read).toEqual(JSON.parse(said));
    }),
    fuzzed(200, [
      ['"\\'],
      ['"[\\"["'],
      [`${'['.repeat(64)}${']'.repeat(64)}`],
      [`${'['.repeat(65)}${']'.repeat(65)}`],
    ]),
  );
});
