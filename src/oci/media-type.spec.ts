import fc from 'fast-check';
import { MANIFEST_MEDIA_TYPES, parseManifestType, parseMediaType } from './media-type';

describe('parseMediaType', () => {
  it.each([
    ...MANIFEST_MEDIA_TYPES,
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    'application/vnd.cncf.helm.config.v1+json',
    'application/octet-stream',
    'application/json; charset=utf-8',
    'application/json;charset="utf-8"',
    'Application/JSON',
  ])('takes %s, unchanged', (text) => {
    expect(parseMediaType(text)).toBe(text);
  });

  it.each([
    undefined,
    '',
    '/',
    'application',
    'application/',
    '/json',
    'application/json/x',
    'application json',
    ' application/json',
    'application/json, text/html',
    'application/json\r\nSet-Cookie: a=b',
    'application/json\n;charset=utf-8',
    'application/json;\u0000',
    'application/json; é',
    '+a/json',
    `${'a'.repeat(128)}/json`,
  ])('refuses %j', (text) => {
    expect(parseMediaType(text)).toBeUndefined();
  });

  it('takes 512 characters and not one more', () => {
    const padded = (length: number) => `a/b;${'x'.repeat(length - 'a/b;'.length)}`;

    expect(parseMediaType(padded(512))).toBeDefined();
    expect(parseMediaType(padded(513))).toBeUndefined();
  });

  it('takes nothing that could not stand in a header', () => {
    const near = fc
      .tuple(fc.string({ unit: 'binary', maxLength: 3 }), fc.nat({ max: 20 }))
      .map(([text, at]) => {
        const type = 'application/json; a=b';
        return type.slice(0, at) + text + type.slice(at);
      });
    fc.assert(
      fc.property(near, (text) => {
        const taken = parseMediaType(text);

        if (taken !== undefined) expect(taken).toMatch(/^[\t -~]+$/);
      }),
    );
  });
});

describe('parseManifestType', () => {
  it.each([
    ...MANIFEST_MEDIA_TYPES,
    'application/json',
    'Application/JSON; charset=utf-8',
    'application/vnd.docker.distribution.manifest.v1+prettyjws',
    'application/vnd.acme.javascript.bundle',
  ])('takes %s', (text) => {
    expect(parseManifestType(text)).toBe(text);
  });

  it.each([
    undefined,
    '',
    'application/json\r\nX: y',
    // What a browser would run.
    'text/html',
    'image/svg+xml',
    'x-application/json',
    'text/application/json',
    'application/html',
    'application/xhtml+xml',
    'APPLICATION/XHTML+XML; charset=utf-8',
    'application/vnd.acme.html',
    'application/vnd.wap.xhtml+xml',
    'application/javascript',
    'application/x-javascript',
    'application/ecmascript; version=5',
    'application/x-ecmascript',
  ])('refuses %j', (text) => {
    expect(parseManifestType(text)).toBeUndefined();
  });
});
