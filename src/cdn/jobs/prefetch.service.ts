/** Fetches an image before anybody asks for it. */
import type { Registry } from '../../config/registry-table';
import { MANIFEST_MEDIA_TYPES } from '../../oci/media-type';
import { OciError } from '../../oci/oci-error';
import type { Reference } from '../../oci/reference';
import type { RepositoryName } from '../../oci/repository-name';
import type { ContentService } from '../content.service';
import { walkImage } from './image-walk';
import { JobFailure } from './job';
import type { JobProgress } from './job-progress';
import type { Part } from './manifest-parts';
import type { WholeManifest } from '../manifests';
import type { Platform } from './platform';
import type { Source } from '../source';

/** An image of a registry. */
export interface PrefetchImage {
  readonly registry: Registry;
  readonly repository: RepositoryName;
  readonly reference: Reference;
  /** Those of an index that are wanted; all when empty. */
  readonly platforms: readonly Platform[];
}

/** What it is fetched by: the same service, and the same shared fetches, as those of pulls. */
export type PrefetchSource = Pick<ContentService, 'hold'> & {
  manifest(
    ...asked: Parameters<ContentService['manifest']>
  ): Promise<Pick<WholeManifest, 'mediaType' | 'bytes'>>;
};

const AT_ONCE = 3;
/** A registry that refuses so many layers will refuse the rest. */
const MAX_FAULTS = 10;
const ACCEPT = MANIFEST_MEDIA_TYPES.join(', ');

export class Prefetch {
  constructor(private readonly content: PrefetchSource) {}

  /**
   * Makes sure that the image is held, by the operator's own credentials: it is the operator who asks. A layer that cannot
   * be had does not keep the others from being fetched.
   * @throws JobFailure, OciError.
   */
  async run(
    { registry, repository, reference, platforms }: PrefetchImage,
    progress: JobProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const source: Source = { registry, repository, as: 'configured' };
    // Manifests come one after the other: four jobs hold four of them, of some megabytes at most.
    const hold = async () => () => undefined;
    const reader = { signal, hold, holdNow: () => true, note: () => undefined };
    const { blobs, foreign, notes } = await walkImage(reference, platforms, (wanted) => {
      signal.throwIfAborted();
      return this.content.manifest(source, wanted, ACCEPT, reader);
    });
    for (const note of notes) progress.note(note);
    for (const { digest } of foreign)
      progress.note(`the layer ${digest} lies outside the registry, and was not fetched`);
    progress.items.total = blobs.length;
    progress.bytes.total = blobs.reduce((total, { size }) => total + size, 0);
    await this.#fetchAll(source, blobs, progress, signal);
    if (progress.faultCount === 0) return;
    const { done, total } = progress.items;
    throw new JobFailure(`${total - done} of ${total} layers are not held; faults says why`);
  }

  /** Some at once. Whatever ends it ends all of it before it rejects. */
  async #fetchAll(
    source: Source,
    blobs: readonly Part[],
    progress: JobProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const stopping = new AbortController();
    const either = AbortSignal.any([signal, stopping.signal]);
    const left = blobs.values();
    const work = async () => {
      for (const part of left) {
        either.throwIfAborted();
        if (progress.faultCount >= MAX_FAULTS) return;
        await this.#fetch(source, part, progress, either);
      }
    };
    const faults: unknown[] = [];
    const ended = (error: unknown) => {
      faults.push(error);
      stopping.abort();
    };
    await Promise.all(Array.from({ length: AT_ONCE }, () => work().catch(ended)));
    if (faults.length > 0) throw faults[0];
  }

  async #fetch(
    source: Source,
    { digest, size }: Part,
    progress: JobProgress,
    signal: AbortSignal,
  ): Promise<void> {
    let received = 0;
    const advance = (to: number, held = false) => {
      progress.advance(to - received, held);
      received = to;
    };
    try {
      const held = await this.content.hold(source, digest, {
        signal,
        progress: (to) => advance(to),
      });
      advance(held.size, held.hit);
      progress.bytes.total += held.size - size;
      if (held.stored || held.hit) progress.items.done += 1;
      else progress.fault(digest, 'it was fetched and could not be kept; see GET /admin/cache');
    } catch (error) {
      if (signal.aborted || !(error instanceof OciError)) throw error;
      // What came of it is lost: it counts for nothing.
      advance(0);
      progress.fault(digest, error.message);
    }
  }
}
