import { digestOf, type Digest } from '../../oci/digest';
import { parseReference, type Reference } from '../../oci/reference';
import { walkImage, type ImageParts } from './image-walk';
import { parsePlatform, type Platform } from './platform';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** Manifests of a registry that may mean ill. */
class Manifests {
  readonly #all = new Map<string, { mediaType: string; bytes: Buffer }>();
  readonly asked: string[] = [];

  put(mediaType: string, document: unknown, name?: string): Digest {
    const bytes = Buffer.from(JSON.stringify(document));
    const digest = digestOf(bytes);
    for (const key of [digest, name ?? digest]) this.#all.set(key, { mediaType, bytes });
    return digest;
  }

  /** An image of one blob, which no other has. */
  image(seed: unknown, name?: string): Digest {
    return this.put(MANIFEST, { config: blob(seed), layers: [] }, name);
  }

  index(manifests: object[], name?: string): Digest {
    return this.put(INDEX, { manifests }, name);
  }

  /** Says of a digest what its bytes are not. */
  lie(digest: Digest, mediaType: string, bytes: Buffer): void {
    this.#all.set(digest, { mediaType, bytes });
  }

  /** Why it cannot be walked; undefined where it can. */
  async fault(reference: string, ...platforms: string[]): Promise<string | undefined> {
    return this.walk(reference, ...platforms).then(
      () => undefined,
      (error: Error) => error.message,
    );
  }

  walk(reference: string, ...platforms: string[]): Promise<ImageParts> {
    const wanted = platforms.map((text) => parsePlatform(text) as Platform);
    return walkImage(parseReference(reference) as Reference, wanted, async (name) => {
      this.asked.push(name);
      return this.#all.get(name) ?? { mediaType: 'text/plain', bytes: Buffer.alloc(0) };
    });
  }
}

const blob = (seed: unknown) => ({ digest: digestOf(Buffer.from(String(seed))), size: 1 });
const child = (digest: Digest, mediaType = INDEX) => ({ mediaType, digest, size: 1 });

describe('walking an image of a hostile registry', () => {
  it('descends three indexes deep, and no deeper', async () => {
    const registry = new Manifests();
    const third = registry.index([child(registry.image('a'), MANIFEST)]);
    const second = registry.index([child(third)]);
    const first = registry.index([child(second)], 'three');
    registry.index([child(first)], 'four');

    expect(await registry.fault('three')).toBeUndefined();
    expect(await registry.fault('four')).toContain('over 3 deep');
  });

  it('reads at most five hundred manifests', async () => {
    const registry = new Manifests();
    const images = Array.from({ length: 600 }, (_, n) => child(registry.image(n), MANIFEST));
    registry.index(images, 'many');

    expect(await registry.fault('many')).toContain('over 500 manifests');
    expect(registry.asked).toHaveLength(500);
  });

  it('refuses more layers than any image has', async () => {
    const registry = new Manifests();
    const layers = Array.from({ length: 10_001 }, (_, n) => blob(n));
    registry.put(MANIFEST, { config: layers[0], layers: layers.slice(0, 10_000) }, 'large');

    registry.put(MANIFEST, { config: layers[0], layers: layers.slice(1) }, 'just');

    expect(await registry.fault('large')).toBeUndefined();
    expect(await registry.fault('just')).toContain('over 10000 layers');
  });

  it('counts layers that lie elsewhere, too', async () => {
    const registry = new Manifests();
    const layers = Array.from({ length: 10_000 }, (_, n) => ({
      ...blob(n),
      urls: n % 2 === 0 ? ['http://169.254.169.254/'] : [],
    }));
    registry.put(MANIFEST, { config: blob('config'), layers }, 'large');

    expect(await registry.fault('large')).toContain('over 10000 layers');
  });

  it('takes no manifest of another kind than its index says, and none that cannot be read', async () => {
    const registry = new Manifests();
    registry.index([child(registry.index([]), MANIFEST)], 'disguised');
    registry.put('text/html', '<html>', 'html');
    registry.put(MANIFEST, 'no manifest', 'broken');

    expect(await registry.fault('disguised')).toContain('for an image');
    registry.put('x'.repeat(10_000), '<html>', 'long');
    expect(await registry.fault('html')).toContain('text/html; only images can be fetched');
    expect((await registry.fault('long'))?.length).toBeLessThan(200);
    expect(await registry.fault('broken')).toContain('cannot be read');
  });

  it('reads an index within itself once', async () => {
    const registry = new Manifests();
    const { digest } = blob('a loop');
    const bytes = Buffer.from(JSON.stringify({ manifests: [child(digest), child(digest)] }));
    registry.lie(digest, INDEX, bytes);

    expect(await registry.fault(digest)).toBeUndefined();
    expect(registry.asked).toEqual([digest]);
  });
});

describe('walking an image for some platforms', () => {
  const on = (digest: Digest, text: string) => {
    const [os, architecture] = text.split('/');
    return { ...child(digest, MANIFEST), platform: { os, architecture } };
  };

  it('leaves out what is neither an image nor an index, and says so', async () => {
    const registry = new Manifests();
    const image = registry.image('a');
    const { digest } = blob('signature');
    registry.index([child(digest, 'application/wasm'), child(image, MANIFEST)], 'signed');

    const { blobs, notes } = await registry.walk('signed');

    expect(blobs.map((part) => part.digest)).toEqual([blob('a').digest]);
    expect(notes).toEqual([`${digest} is neither an image nor an index, and was not fetched`]);
    expect(registry.asked).not.toContain(digest);
  });

  it('looks for them in indexes of no platform of their own, and in no image of none', async () => {
    const registry = new Manifests();
    const [arm64, amd64, nobodys] = ['arm64', 'amd64', 'nobodys'].map((n) => registry.image(n)) as [
      Digest,
      Digest,
      Digest,
    ];
    const inner = registry.index([on(arm64, 'linux/arm64'), on(amd64, 'linux/amd64')]);
    registry.index([child(nobodys, MANIFEST), child(inner)], 'nested');

    const { blobs } = await registry.walk('nested', 'linux/arm64');

    expect(blobs.map((part) => part.digest)).toEqual([blob('arm64').digest]);
  });

  it('looks into an index of a platform only where that is meant', async () => {
    const registry = new Manifests();
    const inner = registry.index([on(registry.image('a'), 'linux/arm64')]);
    const windows = { ...on(inner, 'windows/amd64'), mediaType: INDEX };
    registry.index([windows], 'foreign');

    expect(await registry.fault('foreign', 'linux/arm64')).toContain('it has windows/amd64');
  });

  it('names what there is in order, without what has no name, and twenty at most', async () => {
    const registry = new Manifests();
    const image = registry.image('a');
    const named = (count: number) =>
      Array.from({ length: count }, (_, n) => on(image, `linux/a${String(90 - n)}`));
    registry.index([...named(20), on(image, 'unknown/unknown')], 'twenty');
    registry.index(named(21), 'more');
    registry.index([on(image, 'unknown/unknown')], 'unnamed');
    const list = (from: number, to: number) =>
      Array.from({ length: to - from + 1 }, (_, n) => `linux/a${from + n}`).join(', ');

    expect(await registry.fault('twenty', 'linux/s390x')).toBe(
      `the image is not there for linux/s390x; it has ${list(71, 90)}`,
    );
    expect(await registry.fault('more', 'linux/s390x')).toBe(
      `the image is not there for linux/s390x; it has ${list(70, 89)} and more`,
    );
    expect(await registry.fault('unnamed', 'linux/s390x')).toContain('it has none by name');
  });
});
