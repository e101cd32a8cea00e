import fc from 'fast-check';
import { signedPayload } from './signed-manifest';

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
