import fc from 'fast-check';
import { expectLinear, fuzzed, shapes, textOf } from '../../test/support/fuzz';
import { readContentAnswer } from '../cdn/fetch/content-answer';
import { readParts } from '../cdn/jobs/manifest-parts';
import { signedPayload } from '../cdn/signed-manifest';
import { OciError } from '../oci/oci-error';
import { retryAfterSeconds } from './retry-after';
import { parseTokenAnswer } from './token-answer';
import { isAsItIs } from './upstream-response';

const bytes = (text: string) => Buffer.from(text);

it('Retry-After is from a second to six hours, whatever it says', () => {
  const text = fc.oneof(
    fc.string(),
    shapes('9', ' ', 'Thu, 01 Jan 1970 00:00:00 GMT', '-', '.').map((shape) => textOf(shape, 30)),
    fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
    fc.bigInt().map(String),
  );
  fc.assert(
    fc.property(text, fc.nat(), (header, now) => {
      const seconds = retryAfterSeconds(header, now);

      expect(Number.isInteger(seconds) && seconds >= 1 && seconds <= 21_600).toBe(true);
    }),
    fuzzed(300, [
      ['Fri, 99 Jan 2026 00:00:00 GMT', 0],
      ['9999999999', 0],
      ['1e9', 0],
    ]),
  );
});

it('a token that is taken can stand in a header, and lives from a moment to a day', () => {
  const value = fc.oneof(
    fc.constantFrom('t', '', ' ', 'a\r\nb', null, 'é'),
    fc.string(),
    fc.jsonValue(),
  );
  const text = fc.oneof(
    fc
      .record(
        {
          token: value,
          access_token: value,
          expires_in: fc.oneof(value, fc.double()),
          refresh_token: value,
        },
        { requiredKeys: [] },
      )
      .map((document) => JSON.stringify(document)),
    fc.json(),
    fc.string(),
  );
  fc.assert(
    fc.property(text, (said) => {
      const issued = parseTokenAnswer(bytes(said));

      if (!issued) return;
      expect(issued.token).toMatch(/^[!-~]+$/);
      expect(issued.refreshToken ?? 'x').toMatch(/^[!-~]+$/);
      expect(issued.life > 0 && issued.life <= 86_400).toBe(true);
    }),
    fuzzed(300, [
      ['{"token":"t","expires_in":"1e400"}'],
      ['{"token":"t","expires_in":1e-320}'],
      ['{"__proto__":{"token":"t"}}'],
    ]),
  );
});

it('an answer with content is the part that was asked for, or refused', () => {
  const number = fc.oneof(
    fc.nat({ max: 12 }).map(String),
    fc.constantFrom('999999999999999', '9999999999999999', '', '-1', '1e3'),
  );
  const headers = fc.record(
    {
      'content-length': fc.oneof(number, fc.constantFrom('1, 1', '+5')),
      'content-range': fc.oneof(
        fc.tuple(number, number, number).map(([a, b, c]) => `bytes ${a}-${b}/${c}`),
        fc.constantFrom('bytes */10', 'bytes 0-9', ''),
      ),
    },
    { requiredKeys: [] },
  ) as fc.Arbitrary<Record<string, string>>;
  const part = fc
    .tuple(fc.nat({ max: 12 }), fc.option(fc.nat({ max: 12 }), { nil: undefined }))
    .map(([from, length]) => ({ from, to: length === undefined ? undefined : from + 1 + length }));
  fc.assert(
    fc.property(fc.constantFrom(200, 206, 204, 304), headers, part, (status, said, asked) => {
      let answer;
      try {
        answer = readContentAnswer({ status, headers: said }, asked);
      } catch (error) {
        expect(error).toBeInstanceOf(OciError);
        return;
      }
      const { total, skip } = answer;
      if (status === 200) return expect(skip).toBe(asked.from);
      const end = Math.min(asked.to ?? Infinity, total ?? NaN);
      expect(said['content-range']).toBe(`bytes ${asked.from}-${end - 1}/${total}`);
      expect(Number(said['content-length'] ?? end - asked.from)).toBe(end - asked.from);
    }),
    fuzzed(500),
  );
});

it('a manifest names nothing but digests, of sizes that are sizes', () => {
  const digest = fc.oneof(
    fc.constantFrom(`sha256:${'a'.repeat(64)}`, 'sha256:../../x', '__proto__'),
    fc.string(),
  );
  const part = fc.record(
    {
      digest,
      size: fc.oneof(fc.integer(), fc.double()),
      mediaType: fc.string(),
      urls: fc.jsonValue(),
      platform: fc.jsonValue(),
    },
    { requiredKeys: [] },
  );
  const text = fc.oneof(
    fc
      .record(
        {
          config: part,
          layers: fc.oneof(fc.array(part), fc.jsonValue()),
          manifests: fc.oneof(fc.array(part), fc.jsonValue()),
        },
        { requiredKeys: [] },
      )
      .map((document) => JSON.stringify(document)),
    fc.json(),
  );
  fc.assert(
    fc.property(fc.constantFrom('image', 'index'), text, (kind, said) => {
      const parts = readParts(kind, bytes(said));
      const named = parts?.kind === 'image' ? parts.blobs : (parts?.children ?? []);

      for (const each of named) {
        expect(each.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
        if ('size' in each) expect(Number.isSafeInteger(each.size) && each.size >= 0).toBe(true);
      }
    }),
    fuzzed(200),
  );
});

it('what is packed is never taken for the content itself', () => {
  fc.assert(
    fc.property(
      shapes('gzip', 'identity', 'chunked', ', ').map((shape) => textOf(shape, 30)),
      (coding) => {
        if (/gzip/.test(coding))
          expect(isAsItIs({ headers: { 'content-encoding': coding } })).toBe(false);
      },
    ),
    fuzzed(50),
  );
});

describe('what an upstream sent is read in time that grows with its length alone', () => {
  const protectedHeader = (text: string) =>
    bytes(JSON.stringify({ signatures: [{ protected: Buffer.from(text).toString('base64url') }] }));
  it.each<[string, (text: string) => unknown, number, string[]]>([
    ['Retry-After', retryAfterSeconds, 64_000, [' 1', 'Thu, ', ' GMT']],
    ['a token', (text) => parseTokenAnswer(bytes(text)), 256_000, ['{"token":"', '\\u0000', '[']],
    [
      'Content-Range',
      (text) => readContentAnswer({ status: 206, headers: { 'content-range': text } }, { from: 0 }),
      64_000,
      ['bytes ', '0-9/', '9'],
    ],
    [
      'an image',
      (text) => readParts('image', bytes(text)),
      256_000,
      ['{"layers":[', '{"digest":"x"},', '[', '{"config":{}'],
    ],
    [
      'an index',
      (text) => readParts('index', bytes(text)),
      256_000,
      ['{"manifests":[', '{},', 'null,'],
    ],
    [
      'a signed manifest',
      (text) => signedPayload(protectedHeader(text)),
      64_000,
      ['{"formatLength":', '1', '['],
    ],
    [
      'Content-Encoding',
      (text) => isAsItIs({ headers: { 'content-encoding': text } }),
      64_000,
      [' identity', ','],
    ],
  ])('%s', (_, read, length, pieces) => {
    fc.assert(
      fc.property(shapes(...pieces), (shape) => expectLinear(read, shape, { length, quick: 5 })),
      fuzzed(15),
    );
  });

  it('an image of many layers', () => {
    const layer = `{"digest":"sha256:${'a'.repeat(64)}","size":1},`;
    const shape = {
      before: [`{"config":${layer}"layers":[`],
      unit: [layer],
      after: [`${layer.slice(0, -1)}]}`],
    };
    expectLinear((text) => expect(readParts('image', bytes(text))).toBeDefined(), shape, {
      length: 2_000_000,
      quick: 5,
    });
  });
});
