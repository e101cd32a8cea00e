import { isOciErrorCode, OCI_ERRORS, OciError, type OciErrorCode } from './oci-error';

const codes = Object.keys(OCI_ERRORS) as OciErrorCode[];

describe('OciError', () => {
  it.each(codes)('%s has the status and message of the table', (code) => {
    const [status, message] = OCI_ERRORS[code];

    const error = new OciError(code);

    expect(error).toBeInstanceOf(Error);
    expect(error).toMatchObject({ name: 'OciError', code, status, message, headers: {} });
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(600);
  });

  it('is sent as the one document that clients know, without what is for the log', () => {
    const error = new OciError('DENIED', {
      message: 'pull is not among your rights',
      detail: { name: 'team/app' },
      headers: { 'retry-after': '3' },
      cause: new Error('the reason'),
    });

    expect(JSON.parse(JSON.stringify(error))).toEqual({
      errors: [
        { code: 'DENIED', message: 'pull is not among your rights', detail: { name: 'team/app' } },
      ],
    });
    expect(error.headers).toEqual({ 'retry-after': '3' });
    expect((error.cause as Error).message).toBe('the reason');
  });

  it('has no detail where none was given', () => {
    expect(new OciError('BLOB_UNKNOWN').toJSON()).toEqual({
      errors: [{ code: 'BLOB_UNKNOWN', message: 'blob unknown to registry' }],
    });
  });

  it.each([
    ['BAD_UPSTREAM', 502],
    ['UPSTREAM_TIMEOUT', 504],
  ] as const)('%s is UNAVAILABLE to a client, with its own status %d', (code, status) => {
    const error = new OciError(code);

    expect(error.toJSON().errors[0].code).toBe('UNAVAILABLE');
    expect(error.status).toBe(status);
  });
});

describe('isOciErrorCode', () => {
  it('knows the codes of the table and nothing else', () => {
    expect(codes.every(isOciErrorCode)).toBe(true);
    for (const other of [
      '',
      'unauthorized',
      'toString',
      '__proto__',
      'constructor',
      undefined,
      null,
      7,
      ['DENIED'],
    ]) {
      expect(isOciErrorCode(other)).toBe(false);
    }
  });
});
