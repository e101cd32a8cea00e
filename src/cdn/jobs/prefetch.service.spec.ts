import { imageOf, indexOf, layersWith, type Image } from '../../../test/support/images';
import { registryAt } from '../../../test/support/upstream-fixture';
import { digestOf, type Digest } from '../../oci/digest';
import { OciError } from '../../oci/oci-error';
import { parseReference, type Reference } from '../../oci/reference';
import { parseRepositoryName, type RepositoryName } from '../../oci/repository-name';
import { JobProgress } from './job-progress';
import { parsePlatform, type Platform } from './platform';
import { Prefetch, type PrefetchSource } from './prefetch.service';
import type { Source } from '../source';

const INDEX = 'application/vnd.oci.image.index.v1+json';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** Holds what it is asked for, in memory, from a set of images. */
class Shelf implements PrefetchSource {
  readonly manifests = new Map<string, { mediaType: string; bytes: Buffer }>();
  readonly blobs = new Map<string, Buffer>();
  readonly held = new Set<string>();
  readonly asked: string[] = [];
  readonly sources: Source[] = [];
  storing = true;
  atOnce = 0;
  mostAtOnce = 0;
  /** What is done before a blob is given. */
  before: (digest: Digest, signal: AbortSignal) => Promise<void> = async () => undefined;

  put(image: Image, ...names: string[]): Digest {
    const { mediaType, manifest: bytes } = image;
    for (const name of [...names, image.digest]) this.manifests.set(name, { mediaType, bytes });
    for (const [digest, blob] of image.blobs) this.blobs.set(digest, blob);
    return image.digest as Digest;
  }

  manifest: PrefetchSource['manifest'] = async (source, reference, accept) => {
    this.asked.push(reference);
    this.sources.push(source);
    expect(accept).toContain(INDEX);
    const found = this.manifests.get(reference);
    if (!found) throw new OciError('MANIFEST_UNKNOWN');
    return found;
  };

  hold: PrefetchSource['hold'] = async (source, digest, { signal, progress }) => {
    this.asked.push(digest);
    this.sources.push(source);
    this.atOnce += 1;
    this.mostAtOnce = Math.max(this.mostAtOnce, this.atOnce);
    try {
      await this.before(digest, signal);
      const bytes = this.blobs.get(digest);
      if (!bytes) throw new OciError('BLOB_UNKNOWN');
      if (this.held.has(digest)) return { size: bytes.length, stored: true, hit: true };
      progress?.(Math.floor(bytes.length / 2), bytes.length);
      if (this.storing) this.held.add(digest);
      return { size: bytes.length, stored: this.storing, hit: false };
    } finally {
      this.atOnce -= 1;
    }
  };
}

const registry = registryAt('http://127.0.0.1:5000');
const repository = parseRepositoryName('team/app') as RepositoryName;

async function prefetch(
  shelf: Shelf,
  reference: string,
  platforms: string[] = [],
  signal = new AbortController().signal,
) {
  const progress = new JobProgress();
  const image = {
    registry,
    repository,
    reference: parseReference(reference) as Reference,
    platforms: platforms.map((text) => parsePlatform(text) as Platform),
  };
  const error = await new Prefetch(shelf).run(image, progress, signal).then(
    () => undefined,
    (thrown: unknown) => thrown as Error,
  );
  return { progress, error };
}

const sizeOf = (...images: Image[]) =>
  [...new Map(images.flatMap(({ blobs }) => [...blobs])).values()].reduce(
    (all, { length }) => all + length,
    0,
  );

describe('prefetching', () => {
  it('holds config and layers of an image, three at a time, by the operator’s credentials', async () => {
    const shelf = new Shelf();
    const image = imageOf(layersWith(5_000));
    shelf.put(image, '1');
    shelf.before = () => new Promise((resolve) => setImmediate(resolve));

    const { progress, error } = await prefetch(shelf, '1');

    expect(error).toBeUndefined();
    expect([...shelf.held].sort()).toEqual([...image.blobs.keys()].sort());
    expect(shelf.mostAtOnce).toBe(3);
    expect(progress.items).toEqual({ done: 5, total: 5 });
    expect(progress.bytes).toEqual({ done: sizeOf(image), total: sizeOf(image), held: 0 });
    expect(new Set(shelf.sources.map(({ as }) => as))).toEqual(new Set(['configured']));
  });

  it('fetches all platforms of an index, and layers that they share once', async () => {
    const shelf = new Shelf();
    const layers = layersWith(3_000);
    const [amd64, arm64] = [imageOf(layers), imageOf(layers, 'arm64')];
    for (const image of [amd64, arm64]) shelf.put(image);
    shelf.put(indexOf({ amd64, arm64 }), 'latest');

    const { progress, error } = await prefetch(shelf, 'latest');

    expect(error).toBeUndefined();
    expect(progress.items).toEqual({ done: 6, total: 6 });
    expect(shelf.asked).toHaveLength(9);
    expect(progress.bytes.done).toBe(sizeOf(amd64, arm64));
  });

  it('fetches of an index what was asked for, and names what there is when it lacks that', async () => {
    const shelf = new Shelf();
    const images = { amd64: imageOf(layersWith(100)), arm64: imageOf(layersWith(100), 'arm64') };
    for (const image of Object.values(images)) shelf.put(image);
    shelf.put(indexOf(images), 'latest');

    const one = await prefetch(shelf, 'latest', ['linux/arm64/v8']);
    expect(one.error).toBeUndefined();
    expect([...shelf.held].sort()).toEqual([...images.arm64.blobs.keys()].sort());

    const before = shelf.held.size;
    const none = await prefetch(shelf, 'latest', ['linux/amd64', 'linux/s390x', 'windows/amd64']);
    expect(none.error?.message).toBe(
      'the image is not there for linux/s390x, windows/amd64; it has linux/amd64, linux/arm64',
    );
    expect(shelf.held.size).toBe(before);
  });

  it('says that platforms cannot be chosen where there is one image alone', async () => {
    const shelf = new Shelf();
    shelf.put(imageOf(layersWith(100)), '1');

    const { progress, error } = await prefetch(shelf, '1', ['linux/arm64']);

    expect(error).toBeUndefined();
    expect(progress.notes).toEqual([expect.stringContaining('one platform alone')]);
  });

  it('finds what is held already, and counts it for no speed', async () => {
    const shelf = new Shelf();
    const image = imageOf(layersWith(100));
    shelf.put(image, '1');
    await prefetch(shelf, '1');

    const { progress } = await prefetch(shelf, '1');

    expect(progress.bytes).toMatchObject({ done: sizeOf(image), held: sizeOf(image) });
    expect([progress.rate, progress.items.done]).toEqual([0, 5]);
  });

  it('leaves layers that lie elsewhere alone, and says so (S3)', async () => {
    const shelf = new Shelf();
    const config = Buffer.from('{}');
    const elsewhere = digestOf(Buffer.from('elsewhere'));
    shelf.blobs.set(digestOf(config), config);
    const manifest = Buffer.from(
      JSON.stringify({
        config: { digest: digestOf(config), size: config.length },
        layers: [{ digest: elsewhere, size: 9, urls: ['http://169.254.169.254/layer'] }],
      }),
    );
    shelf.manifests.set('1', { mediaType: MANIFEST, bytes: manifest });

    const { progress, error } = await prefetch(shelf, '1');

    expect(error).toBeUndefined();
    expect(shelf.asked).not.toContain(elsewhere);
    expect(progress.items).toEqual({ done: 1, total: 1 });
    expect(progress.notes).toEqual([expect.stringContaining(elsewhere)]);
  });

  it('goes on without a layer that cannot be had, and fails in the end with what was wrong', async () => {
    const shelf = new Shelf();
    const image = imageOf(layersWith(100));
    shelf.put(image, '1');
    const [, missing = ''] = image.blobs.keys();
    shelf.blobs.delete(missing);

    const { progress, error } = await prefetch(shelf, '1');

    expect(error?.message).toBe('1 of 5 layers are not held; faults says why');
    expect(progress.faults).toEqual([{ what: missing, message: 'blob unknown to registry' }]);
    expect(shelf.held.size).toBe(4);
  });

  it('gives up where nothing can be had', async () => {
    const shelf = new Shelf();
    const layers = Array.from({ length: 100 }, (_, n) => ({
      digest: digestOf(Buffer.from(String(n))),
      size: 1,
    }));
    const bytes = Buffer.from(JSON.stringify({ config: layers[0], layers }));
    shelf.manifests.set('1', { mediaType: MANIFEST, bytes });

    const { progress } = await prefetch(shelf, '1');

    // Those that were under way beside the tenth are counted, too.
    expect(progress.faultCount).toBeGreaterThanOrEqual(10);
    expect(progress.faultCount).toBeLessThanOrEqual(12);
    expect(shelf.asked.length).toBeLessThan(15);
  });

  it('counts as done what really came, whatever the manifest says, and nothing of what failed', async () => {
    const shelf = new Shelf();
    const [small, large] = [Buffer.alloc(10), Buffer.alloc(1000, 1)];
    const [right, wrong] = [small, large].map(digestOf) as [Digest, Digest];
    shelf.blobs.set(right, small);
    const hold = shelf.hold;
    shelf.hold = async (source, digest, holder) => {
      if (digest === right) return hold(source, digest, holder);
      holder.progress?.(500, 1000);
      throw new OciError('UNAVAILABLE');
    };
    const manifest = Buffer.from(
      JSON.stringify({
        config: { digest: right, size: 999 },
        layers: [{ digest: wrong, size: 1000 }],
      }),
    );
    shelf.manifests.set('1', { mediaType: MANIFEST, bytes: manifest });

    const { progress } = await prefetch(shelf, '1');

    expect(progress.bytes).toMatchObject({ done: 10, total: 1010 });
    expect(progress.items).toEqual({ done: 1, total: 2 });
  });

  it('tells of bytes as they come', async () => {
    const shelf = new Shelf();
    const bytes = Buffer.alloc(1000);
    const digest = digestOf(bytes);
    const seen: number[] = [];
    const progress = new JobProgress();
    shelf.hold = async (_source, _digest, holder) => {
      for (const received of [100, 700]) {
        holder.progress?.(received, 1000);
        seen.push(progress.bytes.done);
      }
      return { size: 1000, stored: true, hit: false };
    };
    const manifest = Buffer.from(JSON.stringify({ config: { digest, size: 1000 } }));
    shelf.manifests.set('1', { mediaType: MANIFEST, bytes: manifest });
    const reference = parseReference('1') as Reference;
    const { signal } = new AbortController();

    await new Prefetch(shelf).run(
      { registry, repository, reference, platforms: [] },
      progress,
      signal,
    );

    expect([seen, progress.bytes.done]).toEqual([[100, 700], 1000]);
  });

  it('asks for nothing once it is given up', async () => {
    const shelf = new Shelf();
    shelf.put(imageOf(layersWith(100)), '1');

    const { error } = await prefetch(shelf, '1', [], AbortSignal.abort());

    expect([error?.name, shelf.asked]).toEqual(['AbortError', []]);
  });

  it('fails where what it fetched could not be kept', async () => {
    const shelf = new Shelf();
    shelf.put(imageOf(layersWith(100)), '1');
    shelf.storing = false;

    const { progress, error } = await prefetch(shelf, '1');

    expect(error?.message).toContain('not held');
    expect(progress.faults[0]?.message).toContain('could not be kept');
  });

  it('ends all of it before it ends with a fault of the gate itself', async () => {
    const shelf = new Shelf();
    shelf.put(imageOf(layersWith(100)), '1');
    let first = true;
    shelf.before = async (_digest, signal) => {
      if (first) {
        first = false;
        throw new TypeError('broken');
      }
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()));
      signal.throwIfAborted();
    };

    const { error } = await prefetch(shelf, '1');

    expect([error?.message, shelf.atOnce]).toEqual(['broken', 0]);
  });

  it('stops at once when it is given up', async () => {
    const shelf = new Shelf();
    shelf.put(imageOf(layersWith(100)), '1');
    const stopping = new AbortController();
    shelf.before = async (_digest, signal) => {
      stopping.abort();
      signal.throwIfAborted();
    };

    const { error } = await prefetch(shelf, '1', [], stopping.signal);

    expect(error?.name).toBe('AbortError');
    expect(shelf.asked.length).toBeLessThanOrEqual(4);
  });
});
