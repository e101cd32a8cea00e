/** Finds all that belongs to an image: from its tag or digest through indexes down to its layers. */
import type { Digest } from '../../oci/digest';
import type { Reference } from '../../oci/reference';
import { JobFailure } from './job';
import { manifestKindOf, readParts, type Child, type Part, type Parts } from './manifest-parts';
import { formatPlatform, isMeant, type Platform } from './platform';

/** Fetches a manifest, and gives it whole. */
export type ManifestFetch = (
  reference: Reference,
) => Promise<{ readonly mediaType: string; readonly bytes?: Uint8Array }>;

/** What is to be fetched of an image. */
export interface ImageParts {
  /** Configs and layers, each digest once. */
  readonly blobs: readonly Part[];
  /** Layers that lie elsewhere. */
  readonly foreign: readonly Part[];
  /** What was left out, in words. */
  readonly notes: readonly string[];
}

/** An index may name indexes, which may name indexes. */
const MAX_DEPTH = 3;
const MAX_MANIFESTS = 500;
const MAX_BLOBS = 10_000;
const MAX_NAMED = 20;

class Walk {
  readonly blobs = new Map<Digest, Part>();
  readonly foreign = new Map<Digest, Part>();
  readonly notes: string[] = [];
  readonly #seen = new Set<Reference>();
  readonly #offered = new Set<string>();
  readonly #unmatched: Set<Platform>;

  constructor(
    private readonly fetch: ManifestFetch,
    private readonly platforms: readonly Platform[],
  ) {
    this.#unmatched = new Set(platforms);
  }

  async begin(reference: Reference): Promise<void> {
    const root = await this.#read(reference);
    if (root.kind === 'image') {
      this.#take(root.blobs);
      if (this.platforms.length > 0)
        this.notes.push('the image is there for one platform alone, and that one was fetched');
      return;
    }
    await this.#descend(root.children, 1);
    this.#assertAllMatched();
  }

  /** One manifest after the other: some megabytes each, of which no more than one is held at a time. */
  async #descend(children: readonly Child[], depth: number): Promise<void> {
    for (const child of children) {
      if (this.#seen.has(child.digest) || !this.#isWanted(child)) continue;
      const parts = await this.#read(child.digest, child.kind);
      if (parts.kind === 'image') this.#take(parts.blobs);
      else if (depth < MAX_DEPTH) await this.#descend(parts.children, depth + 1);
      else throw new JobFailure(`the image has indexes within indexes, over ${MAX_DEPTH} deep`);
    }
  }

  #isWanted({ kind, platform, digest }: Child): boolean {
    if (kind === undefined) {
      this.notes.push(`${digest} is neither an image nor an index, and was not fetched`);
      return false;
    }
    if (platform) this.#offered.add(formatPlatform(platform));
    if (this.platforms.length === 0 || (kind === 'index' && !platform)) return true;
    const matching = this.platforms.filter((wanted) => platform && isMeant(wanted, platform));
    for (const wanted of matching) this.#unmatched.delete(wanted);
    return matching.length > 0;
  }

  async #read(reference: Reference, named?: Child['kind']): Promise<Parts> {
    if (this.#seen.size >= MAX_MANIFESTS)
      throw new JobFailure(`the image has over ${MAX_MANIFESTS} manifests; name its platforms`);
    this.#seen.add(reference);
    const { mediaType, bytes } = await this.fetch(reference);
    const kind = manifestKindOf(mediaType);
    if (!kind || (named && kind !== named)) {
      const wanted = named ? `its index takes it for an ${named}` : 'only images can be fetched';
      throw new JobFailure(`${reference} is of type ${mediaType.slice(0, 100)}; ${wanted}`);
    }
    const parts = bytes && readParts(kind, bytes);
    if (!parts) throw new JobFailure(`the manifest ${reference} cannot be read`);
    return parts;
  }

  #take(parts: readonly Part[]): void {
    for (const part of parts) (part.foreign ? this.foreign : this.blobs).set(part.digest, part);
    if (this.blobs.size + this.foreign.size > MAX_BLOBS)
      throw new JobFailure(`the image has over ${MAX_BLOBS} layers; name its platforms`);
  }

  #assertAllMatched(): void {
    if (this.#unmatched.size === 0) return;
    const offered = [...this.#offered].filter((name) => !name.startsWith('unknown/')).sort();
    const more = offered.length > MAX_NAMED ? ' and more' : '';
    const missing = [...this.#unmatched].map(formatPlatform).join(', ');
    const has = offered.slice(0, MAX_NAMED).join(', ') || 'none by name';
    throw new JobFailure(`the image is not there for ${missing}; it has ${has}${more}`);
  }
}

/**
 * @param platforms those that are wanted of an index; all of it when empty.
 * @throws JobFailure for what cannot be read, is out of bounds, or lacks a platform; and whatever `fetch` throws.
 */
export async function walkImage(
  reference: Reference,
  platforms: readonly Platform[],
  fetch: ManifestFetch,
): Promise<ImageParts> {
  const walk = new Walk(fetch, platforms);
  await walk.begin(reference);
  return {
    blobs: [...walk.blobs.values()],
    foreign: [...walk.foreign.values()],
    notes: walk.notes,
  };
}
