import { digestOf, type Digest } from '../../oci/digest';
import { parseReference, type Reference } from '../../oci/reference';
import { walkImage } from './image-walk';

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
  async fault(reference: string): Promise<string | undefined> {
    const walk = walkImage(parseReference(reference) as Reference, [], async (wanted) => {
      this.asked.push(wanted);
      return this.#all.get(wanted) ?? { mediaType: 'text/plain', bytes: Buffer.alloc(0) };
    });
    return walk.then(
      () => undefined,
      (error: Error) => error.message,
    );
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
    registry.put(MANIFEST, { config: layers[0], layers }, 'large');

    expect(await registry.fault('large')).toContain('over 10000 layers');
  });

  it('takes no manifest of another kind than its index says, and none that cannot be read', async () => {
    const registry = new Manifests();
    registry.index([child(registry.index([]), MANIFEST)], 'disguised');
    registry.put('text/html', '<html>', 'html');
    registry.put(MANIFEST, 'no manifest', 'broken');

    expect(await registry.fault('disguised')).toContain('for an image');
    expect(await registry.fault('html')).toContain('text/html');
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
