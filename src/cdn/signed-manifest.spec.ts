import fc from 'fast-check';
import { digestedPart, signedPayload } from './signed-manifest';

const PAYLOAD = '{\n   "schemaVersion": 1,\n   "name": "team/app"\n}';

/** As docker signs: the signatures stand before the payload's last bytes, which the header keeps. */
function signed(payload: string): Buffer {
  const tail = payload.slice(-2);
  const header = { formatLength: payload.length - 2, formatTail: base64url(tail), time: '2020' };
  const signatures = [{ header: {}, signature: 'x', protected: base64url(JSON.stringify(header)) }];
  return Buffer.from(
    `${payload.slice(0, -2)},\n   "signatures": ${JSON.stringify(signatures)}${tail}`,
  );
}

function base64url(text: string): string {
  return Buffer.from(text).toString('base64url');
}

describe('signedPayload', () => {
  it('is what was signed', () => {
    expect(signedPayload(signed(PAYLOAD))?.toString()).toBe(PAYLOAD);
  });

  it('is nothing for what is not signed', () => {
    expect(signedPayload(Buffer.from(PAYLOAD))).toBeUndefined();
    expect(signedPayload(Buffer.from('evil bytes'))).toBeUndefined();
    expect(signedPayload(Buffer.from('{"signatures":[{"protected":"e30"}]}'))).toBeUndefined();
  });

  const headed = (header: unknown) =>
    Buffer.from(JSON.stringify({ signatures: [{ protected: base64url(JSON.stringify(header)) }] }));
  const length = headed({ formatLength: 10, formatTail: '' }).length;

  it.each([
    ['no document', Buffer.from('null')],
    ['no object', Buffer.from('"signatures"')],
    ['no list', Buffer.from('{"signatures":{"0":{"protected":"e30"}}}')],
    ['an empty list', Buffer.from('{"signatures":[]}')],
    ['no header', Buffer.from('{"signatures":[{}]}')],
    ['no text for a header', Buffer.from('{"signatures":[{"protected":7}]}')],
    ['nobody’s', Buffer.from('{"signatures":[null]}')],
    ['of no length', headed({ formatTail: '' })],
    ['of no tail', headed({ formatLength: 1 })],
    ['of less than nothing', headed({ formatLength: -1, formatTail: '' })],
    ['of a part of a byte', headed({ formatLength: 1.5, formatTail: '' })],
    ['of more than there is', headed({ formatLength: length + 1, formatTail: '' })],
    ['with a header too large', headed({ formatLength: 1, formatTail: '', x: 'x'.repeat(49_152) })],
  ])('is nothing for a signature that is %s', (_what, bytes) => {
    expect(signedPayload(bytes)).toBeUndefined();
  });

  it('may be all of the bytes, none of them, and long of header', () => {
    const all = headed({ formatLength: length, formatTail: '' });
    const none = headed({ formatLength: 0, formatTail: base64url('all') });
    const long = headed({ formatLength: 0, formatTail: base64url('x'.repeat(36_000)) });

    expect(signedPayload(all)).toEqual(all);
    expect(signedPayload(none)?.toString()).toBe('all');
    expect(signedPayload(long)).toHaveLength(36_000);
  });

  it('never throws, and never reads past the bytes', () => {
    fc.assert(
      fc.property(fc.json(), fc.integer(), fc.string(), (payload, formatLength, formatTail) => {
        const header = base64url(JSON.stringify({ formatLength, formatTail }));
        const bytes = Buffer.from(
          `{"payload":${payload},"signatures":[{"protected":"${header}"}]}`,
        );
        const found = signedPayload(bytes);
        if (found) expect(formatLength).toBeLessThanOrEqual(bytes.length);
      }),
    );
  });
});

describe('what a manifest’s digest is of', () => {
  const SIGNED = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
  const bytes = signed(PAYLOAD);

  it.each([SIGNED, `${SIGNED}; charset=utf-8`, `${SIGNED} ;charset=utf-8`])(
    'is the payload of one that is signed within: %s',
    (type) => {
      expect(digestedPart(type, bytes).toString()).toBe(PAYLOAD);
    },
  );

  it.each([undefined, '', 'application/vnd.docker.distribution.manifest.v1+json'])(
    'is all of any other: %p',
    (type) => {
      expect(digestedPart(type, bytes)).toBe(bytes);
    },
  );

  it('is all of one whose signature is none', () => {
    const none = Buffer.from('{}');

    expect(digestedPart(SIGNED, none)).toBe(none);
  });
});
