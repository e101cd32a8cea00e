/** Manifests by digest and by tag: held, asked for again when a tag's word is too old, and served while the upstream is away. */
import { Injectable } from '@nestjs/common';
import type { Digest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import { isDigest, type Reference, type Tag } from '../oci/reference';
import type { CacheStatus } from './cache-status';
import type { TagRecord } from './index/content-index';
import { ManifestFetches } from './manifest-fetches';
import { ManifestsAtOnce } from './manifests-at-once';
import { isNotThere, isOutage } from './outage';
import { Permission } from './permission';
import { accepts, type Described } from './questions';
import type { Reader } from './reader';
import { MAX_MANIFEST, SmallContent } from './small-content';
import { nameOf, type Source } from './source';
import { Tags } from './tags.service';

/** A manifest, or what a HEAD says of one. */
export interface Manifest extends Described {
  /** Byte for byte as the registry holds it; undefined for a HEAD. */
  readonly bytes?: Buffer;
  /** Set when the registry could not be asked whether this is still so: for a `Warning` header. */
  readonly warning?: string;
}

/** A manifest with its bytes. */
export type WholeManifest = Manifest & { readonly bytes: Buffer };

/** Told of what was held. */
type Note = (digest: Digest, mediaType: string) => void;

/** Milliseconds that a client waits for a registry to say whether a tag that is held has moved. */
const PATIENCE = 3_000;

@Injectable()
export class Manifests {
  constructor(
    private readonly fetches: ManifestFetches,
    private readonly permission: Permission,
    private readonly tags: Tags,
    private readonly small: SmallContent,
    private readonly answers: ManifestsAtOnce,
  ) {}

  /** What `get` would give, where that is known and nobody has to be waited for. */
  atOnce(
    source: Source,
    reference: Reference,
    accept: string | undefined,
  ): WholeManifest | undefined {
    const found = this.answers.find(source, reference, accept);
    if (!found) return undefined;
    const { mediaType, digest, bytes } = found;
    return { mediaType, digest, size: bytes.length, bytes };
  }

  /** @throws OciError MANIFEST_UNKNOWN, BAD_UPSTREAM, … */
  async get(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    reader: Reader,
  ): Promise<WholeManifest> {
    const generation = this.answers.generation(source);
    const note = (digest: Digest, mediaType: string, record?: TagRecord) => {
      if (generation === undefined) return;
      this.answers.note(source, reference, accept, { generation, digest, mediaType, record });
    };
    if (isDigest(reference)) return this.#byDigest(source, reference, accept, reader, note);
    const { record, ...known } = await this.tags.known(source, reference);
    if (!record) return this.fetches.get(source, reference, accept, reader, 'miss');
    const state = known.fresh
      ? ({ seen: record } as const)
      : await this.#revalidated(source, reference, known.version, reader);
    if ('outage' in state) return this.#stale(source, record, accept, reader, state.outage);
    const { seen } = state;
    if (!seen) return this.fetches.get(source, reference, accept, reader, 'stale');
    const found = { seen, record, fresh: known.fresh };
    const noteTag: Note = (digest, mediaType) => {
      if (known.fresh) note(digest, mediaType, record);
    };
    return this.#tagged(source, reference, found, accept, reader, noteTag);
  }

  /** What a GET would say of it. Never starts a fetch, unless the registry's HEAD leaves something out. */
  async head(
    source: Source,
    reference: Reference,
    accept: string | undefined,
    reader: Reader,
  ): Promise<Manifest> {
    const found = isDigest(reference)
      ? await this.#headByDigest(source, reference, accept, reader)
      : await this.#headByTag(source, reference, accept, reader);
    if (found) return found;
    const { bytes: _, ...head } = await this.fetches.get(source, reference, accept, reader, 'miss');
    return head;
  }

  /** Those who ask from now on see what was pushed or deleted, and join nothing that was asked for before. */
  async forget(
    source: Pick<Source, 'registry' | 'repository'>,
    reference: Reference,
  ): Promise<void> {
    const name = nameOf({ ...source, as: 'configured' });
    this.fetches.forget(source, reference);
    // A digest may be what any tag led to.
    await this.tags.forget(name, isDigest(reference) ? undefined : reference);
  }

  async #byDigest(
    source: Source,
    digest: Digest,
    accept: string | undefined,
    reader: Reader,
    noteHeld: Note,
  ): Promise<WholeManifest> {
    const link = await this.permission.linkFor(source, digest, 'manifest');
    if (link?.mediaType !== undefined && accepts(accept, link.mediaType)) {
      const bytes = await this.small.read(digest, MAX_MANIFEST, reader.hold);
      if (bytes) {
        reader.note({ hit: true });
        noteHeld(digest, link.mediaType);
        return { mediaType: link.mediaType, digest, size: bytes.length, bytes };
      }
    }
    return this.fetches.get(source, digest, accept, reader, 'miss');
  }

  /** The tag leads where `seen` says. */
  async #tagged(
    source: Source,
    tag: Tag,
    { seen, record, fresh }: { seen: Described; record: TagRecord; fresh: boolean },
    accept: string | undefined,
    reader: Reader,
    noteHeld: Note,
  ): Promise<WholeManifest> {
    // Asked for by the tag: a registry may have another kind of it for whoever does not take this one.
    if (!accepts(accept, seen.mediaType))
      return this.fetches.get(source, tag, accept, reader, fresh ? 'bypass' : 'stale');
    const note = (status: CacheStatus) =>
      reader.note(fresh || !status.hit ? status : { hit: false, fwd: 'stale', fwdStatus: 200 });
    try {
      return await this.#byDigest(source, seen.digest, accept, { ...reader, note }, noteHeld);
    } catch (error) {
      // Gone since the tag was last seen: where does it lead now?
      if (isNotThere(error)) return this.fetches.get(source, tag, accept, reader, 'stale');
      if (!isOutage(error)) throw error;
      return this.#stale(source, record, accept, reader, error);
    }
  }

  /** What was last known of the tag, while the registry cannot say whether it is still so. */
  async #stale(
    source: Source,
    record: TagRecord,
    accept: string | undefined,
    reader: Reader,
    outage: unknown,
  ): Promise<WholeManifest> {
    const link = await this.permission.linkFor(source, record.digest, 'manifest');
    if (link?.mediaType === undefined || !accepts(accept, link.mediaType)) throw outage;
    const bytes = await this.small.read(record.digest, MAX_MANIFEST, reader.hold);
    if (!bytes) throw outage;
    reader.note({ hit: false, fwd: 'stale', detail: 'served stale' });
    return {
      mediaType: link.mediaType,
      digest: record.digest,
      size: bytes.length,
      bytes,
      warning: warningOf(source, record),
    };
  }

  async #headByDigest(source: Source, digest: Digest, accept: string | undefined, reader: Reader) {
    const link = await this.permission.linkFor(source, digest, 'manifest');
    if (link?.mediaType !== undefined && accepts(accept, link.mediaType)) {
      const size = await this.small.sizeOf(digest);
      if (size !== undefined) {
        reader.note({ hit: true });
        return { mediaType: link.mediaType, digest, size };
      }
    }
    return this.fetches.head(source, digest, accept, reader, 'miss');
  }

  async #headByTag(
    source: Source,
    tag: Tag,
    accept: string | undefined,
    reader: Reader,
  ): Promise<Manifest | undefined> {
    const { record, ...known } = await this.tags.known(source, tag);
    if (!record) return this.fetches.head(source, tag, accept, reader, 'miss');
    if (!known.fresh) {
      const state = await this.#revalidated(source, tag, known.version, reader);
      if ('outage' in state) {
        const { bytes: _, ...head } = await this.#stale(
          source,
          record,
          accept,
          reader,
          state.outage,
        );
        return head;
      }
      if (!state.seen) return undefined;
      if (!accepts(accept, state.seen.mediaType))
        return this.fetches.head(source, tag, accept, reader, 'bypass');
      reader.note({ hit: false, fwd: 'stale', fwdStatus: 200 });
      return state.seen;
    }
    if (!accepts(accept, record.mediaType))
      return this.fetches.head(source, tag, accept, reader, 'bypass');
    // A tag's digest that a HEAD named is no right to it: only one that was pulled is answered with nobody asked.
    if (!(await this.permission.linkFor(source, record.digest, 'manifest')))
      return this.fetches.head(source, tag, accept, reader, 'miss');
    reader.note({ hit: true });
    return { mediaType: record.mediaType, digest: record.digest, size: record.size };
  }

  /** Asks the registry where the tag leads now; undefined within when only a GET can tell. */
  async #revalidated(
    source: Source,
    tag: Tag,
    version: number,
    { signal }: Reader,
  ): Promise<{ readonly seen: Described | undefined } | { readonly outage: unknown }> {
    const asked = this.fetches.revalidate(source, tag, version).then((seen) => ({ seen }));
    const done = new AbortController();
    const tired = sleep(PATIENCE, AbortSignal.any([done.signal, signal]));
    try {
      const answer = await Promise.race([asked, tired]);
      if (answer) return answer;
      signal.throwIfAborted();
      asked.catch(() => undefined);
      const message = `${source.registry.name} did not answer in time`;
      return { outage: new OciError('UPSTREAM_TIMEOUT', { message }) };
    } catch (error) {
      if (isOutage(error)) return { outage: error };
      throw error;
    } finally {
      done.abort();
    }
  }
}

function warningOf({ registry }: Source, { checkedAt }: TagRecord): string {
  const seconds = Math.max(0, Math.round((Date.now() - checkedAt) / 1000));
  return `299 - "stale: ${registry.name} cannot be asked now; this is what it said ${seconds} s ago"`;
}

/** Resolves to undefined after that time, or when the signal is aborted. */
function sleep(milliseconds: number, signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, milliseconds);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve(undefined);
    }
    if (signal.aborted) done();
    else signal.addEventListener('abort', done);
  });
}
