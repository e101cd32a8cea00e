import { createHash, hkdfSync } from 'node:crypto';
import fc from 'fast-check';
import { Secrets } from './secrets';

const CURRENT = 'c'.repeat(43);
const PREVIOUS = 'p'.repeat(43);
const secrets = new Secrets(CURRENT);

/** The text with one bit of its decoded bytes turned round. */
function withBitFlipped(text: string, bit: number): string {
  const bytes = Buffer.from(text, 'base64url');
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  return bytes.toString('base64url');
}

describe('keys', () => {
  it('are derived by HKDF, one for each use, and named by a hash', () => {
    const sign = Buffer.from(hkdfSync('sha256', CURRENT, '', 'tidegate token v1', 32));
    const seal = Buffer.from(hkdfSync('sha256', CURRENT, '', 'tidegate seal v1', 32));
    const id = createHash('sha256').update(sign).digest().subarray(0, 8).toString('base64url');

    expect(secrets.current.sign.export()).toEqual(sign);
    expect(secrets.current.seal.export()).toEqual(seal);
    expect(secrets.current.id).toBe(id);
    expect(sign.equals(seal)).toBe(false);
  });

  it('of the secret before stand behind the current ones', () => {
    const rotated = new Secrets(CURRENT, PREVIOUS);

    expect(rotated.keys.map(({ id }) => id)).toEqual([
      secrets.current.id,
      new Secrets(PREVIOUS).current.id,
    ]);
    expect(rotated.keys).toHaveLength(2);
  });

  it('are one set when both secrets are the same', () => {
    expect(new Secrets(CURRENT, CURRENT).keys).toHaveLength(1);
  });
});

describe('a seal', () => {
  it('gives back what was sealed, for the same purpose alone', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.jsonValue()),
        fc.string(),
        fc.string(),
        (payload, one, other) => {
          const expected: unknown = JSON.parse(JSON.stringify(payload));
          const text = secrets.seal(one, payload);

          expect(secrets.unseal(one, text)).toEqual(expected);
          if (one !== other) expect(secrets.unseal(other, text)).toBeUndefined();
          expect(text).toMatch(/^[A-Za-z0-9_-]+$/);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is void when any one bit differs', () => {
    const text = secrets.seal('upload', { uuid: 'u', account: 'ci' });
    const bits = Buffer.from(text, 'base64url').length * 8;

    const opened = Array.from({ length: bits }, (_, bit) => bit).filter(
      (bit) => secrets.unseal('upload', withBitFlipped(text, bit)) !== undefined,
    );

    expect(bits).toBeGreaterThan(300);
    expect(opened).toEqual([]);
  });

  it('is void when it is cut, longer, or spelt another way', () => {
    const text = secrets.seal('upload', { uuid: 'u' });
    const spellings = [
      `${text}=`,
      `${text} `,
      `${text}A`,
      ` ${text}`,
      text.replace(/^./, '$&\n'),
      `${text}${text}`,
    ];
    const cut = Array.from({ length: text.length }, (_, length) => text.slice(0, length));

    for (const damaged of [...spellings, ...cut]) {
      expect(secrets.unseal('upload', damaged)).toBeUndefined();
    }
  });

  it('has one spelling, spare bits of the last character included', () => {
    const text = ['', 'x', 'xx']
      .map((pad) => secrets.seal('p', { pad }))
      .find((t) => t.length % 4 !== 0)!;
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

    const opened = [...alphabet].filter(
      (c) => secrets.unseal('p', text.slice(0, -1) + c) !== undefined,
    );

    expect(opened).toEqual([text.at(-1)]);
  });

  it('is void for anything else, whatever it is', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.base64String(), fc.string({ unit: 'binary' })),
        (text) => {
          expect(secrets.unseal('upload', text)).toBeUndefined();
        },
      ),
    );
  });

  it('of the secret before is good; of another secret it is void', () => {
    const old = new Secrets(PREVIOUS).seal('refresh', { sub: 'ci' });

    expect(new Secrets(CURRENT, PREVIOUS).unseal('refresh', old)).toEqual({ sub: 'ci' });
    expect(secrets.unseal('refresh', old)).toBeUndefined();
  });

  it('is made with the current keys alone', () => {
    const text = new Secrets(CURRENT, PREVIOUS).seal('refresh', { sub: 'ci' });

    expect(secrets.unseal('refresh', text)).toEqual({ sub: 'ci' });
    expect(new Secrets(PREVIOUS).unseal('refresh', text)).toBeUndefined();
  });

  it('never looks the same twice', () => {
    expect(secrets.seal('p', { a: 1 })).not.toBe(secrets.seal('p', { a: 1 }));
  });

  it('is refused for what could not be read back, and text beyond 8 KiB is not read', () => {
    expect(() => secrets.seal('upload', { url: 'x'.repeat(8192) })).toThrow('too large to seal');
    expect(secrets.unseal('upload', 'A'.repeat(8193))).toBeUndefined();
  });
});
