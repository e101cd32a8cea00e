import { manifestKindOf, readParts } from './manifest-parts';
import { formatPlatform, isMeant, parsePlatform, type Platform } from './platform';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const OTHER = `sha512:${'b'.repeat(128)}`;
const bytes = (document: unknown) => Buffer.from(JSON.stringify(document));
const platform = (text: string) => parsePlatform(text) as Platform;

describe('manifests', () => {
  it.each([
    ['application/vnd.oci.image.index.v1+json', 'index'],
    ['application/vnd.docker.distribution.manifest.list.v2+json; charset=utf-8', 'index'],
    ['Application/vnd.oci.image.manifest.v1+json', 'image'],
    ['application/vnd.docker.distribution.manifest.v2+json', 'image'],
    ['application/vnd.docker.distribution.manifest.v1+prettyjws', undefined],
    [' application/vnd.oci.image.index.v1+json ;charset=utf-8', 'index'],
    ['text/html', undefined],
    ['', undefined],
  ])('%s is %s', (mediaType, kind) => {
    expect(manifestKindOf(mediaType)).toBe(kind);
  });

  it('name config and layers, and which of those lie elsewhere', () => {
    const parts = readParts(
      'image',
      bytes({
        config: { mediaType: 'x', digest: DIGEST, size: 1 },
        layers: [
          { digest: OTHER, size: 2, urls: [] },
          { digest: DIGEST, size: 3, urls: ['http://169.254.169.254/'] },
          {
            mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
            digest: DIGEST,
            size: 4,
          },
          {
            mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
            digest: DIGEST,
            size: 5,
          },
        ],
      }),
    );

    expect(parts).toEqual({
      kind: 'image',
      blobs: [
        { digest: DIGEST, size: 1, foreign: false },
        { digest: OTHER, size: 2, foreign: false },
        { digest: DIGEST, size: 3, foreign: true },
        { digest: DIGEST, size: 4, foreign: true },
        { digest: DIGEST, size: 5, foreign: true },
      ],
    });
  });

  it('name the images of an index with their platforms; an odd platform is none', () => {
    const mediaType = 'application/vnd.oci.image.manifest.v1+json';
    const parts = readParts(
      'index',
      bytes({
        manifests: [
          {
            mediaType,
            digest: DIGEST,
            platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
          },
          { mediaType, digest: OTHER, platform: { os: 1 } },
          { mediaType: 'application/wasm', digest: OTHER },
        ],
      }),
    );

    expect(parts).toEqual({
      kind: 'index',
      children: [
        {
          digest: DIGEST,
          kind: 'image',
          platform: { os: 'linux', architecture: 'arm', variant: 'v7' },
        },
        { digest: OTHER, kind: 'image', platform: undefined },
        { digest: OTHER, kind: undefined, platform: undefined },
      ],
    });
  });

  it('may name nothing but a config, and indexes nothing at all', () => {
    const config = { digest: DIGEST, size: 1 };
    for (const layers of [undefined, null, []])
      expect(readParts('image', bytes({ config, layers }))).toEqual({
        kind: 'image',
        blobs: [{ ...config, foreign: false }],
      });
    for (const manifests of [undefined, null, []])
      expect(readParts('index', bytes({ manifests }))).toEqual({ kind: 'index', children: [] });
  });

  it.each([
    ['a list', []],
    ['a number', 1],
    ['manifests that are none', { manifests: [1] }],
    ['a digest that leaves the folder', { manifests: [{ digest: 'sha256:../../x' }] }],
  ])('that are hostile are no index: %s', (_what, document) => {
    expect(readParts('index', bytes(document))).toBeUndefined();
  });

  it('of an index without a type are of neither kind', () => {
    expect(readParts('index', bytes({ manifests: [{ digest: DIGEST }] }))).toEqual({
      kind: 'index',
      children: [{ digest: DIGEST, kind: undefined, platform: undefined }],
    });
  });

  it.each([
    ['no JSON', Buffer.from('<html>')],
    ['no object', bytes([])],
    ['a digest that leaves the folder', bytes({ config: { digest: 'sha256:../../x', size: 1 } })],
    ['a size below nothing', bytes({ config: { digest: DIGEST, size: -1 } })],
    ['a size beyond counting', bytes({ config: { digest: DIGEST, size: 1e300 } })],
    ['a bomb of brackets', Buffer.from('['.repeat(200_000))],
  ])('that are hostile are not read: %s (S14)', (_what, hostile) => {
    expect(readParts('image', hostile)).toBeUndefined();
  });
});

describe('platforms', () => {
  it.each(['linux', 'linux/', '/amd64', 'linux/arm/v7/x', 'Linux/amd64', 'linux/am d64', ''])(
    'are os/architecture[/variant], and %j is none',
    (text) => {
      expect(parsePlatform(text)).toBeUndefined();
    },
  );

  it('are written as they are read', () => {
    expect(formatPlatform(platform('linux/arm/v7'))).toBe('linux/arm/v7');
    expect(formatPlatform(platform('windows/amd64'))).toBe('windows/amd64');
  });

  it.each([
    ['linux/amd64', 'linux/amd64', true],
    ['linux/amd64', 'windows/amd64', false],
    ['linux/arm', 'linux/arm/v6', true],
    ['linux/arm/v7', 'linux/arm/v6', false],
    ['linux/arm/v7', 'linux/arm', false],
    ['linux/arm/v8', 'linux/arm', false],
    ['linux/arm64/v8', 'linux/arm64', true],
    ['linux/arm64', 'linux/arm64/v8', true],
  ])('asked for as %s: %s is meant: %s', (wanted, offered, meant) => {
    expect(isMeant(platform(wanted), platform(offered))).toBe(meant);
  });
});
