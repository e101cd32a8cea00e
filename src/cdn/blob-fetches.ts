/** Blobs from the upstream: who may have one, and the one fetch of it that all who may read along with. */
import { Inject, Injectable } from '@nestjs/common';
import type { Digest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import type { UpstreamResponse } from '../upstream/upstream.client';
import { Cache } from './cache';
import type { Download } from './download';
import { Flights } from './flights';
import { HeldBlobs } from './held-blobs';
import { Permission, type Moment } from './permission';
import { Questions } from './questions';
import { nameOf, viaOf, type Source } from './source';
import type { Ask } from './upstream-content';

/** Who may read along with a fetch, because the upstream said yes to them. */
type Grants = Map<string, { readonly source: Source; readonly moment: Moment }>;

@Injectable()
export class BlobFetches {
  readonly #heads = new Flights<number | undefined>();
  readonly #grants = new WeakMap<Download, Grants>();

  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    private readonly questions: Questions,
    private readonly permission: Permission,
    private readonly held: HeldBlobs,
  ) {}

  /** Asks for parts of the blob. @param given the answer to the first question, where it is there already. */
  ask(source: Source, digest: Digest, given?: UpstreamResponse): Ask {
    let first = given;
    return async (from, to, signal) => {
      const response = first ?? (await this.questions.blob(source, digest, { from, to }, signal));
      first = undefined;
      return response;
    };
  }

  /** The answer, or the redirect to another host which is the client's to follow. */
  askWithoutFollowing(
    source: Source,
    digest: Digest,
    part: { readonly from: number; readonly to: number | undefined },
    signal: AbortSignal,
  ): Promise<UpstreamResponse> {
    return this.questions.blob(source, digest, part, signal, 'pass');
  }

  /** Held, but no link yet: one HEAD. @returns the size when it is held and the source may have it. */
  async mayHave(source: Source, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const size = await this.held.sizeOf(digest);
    if (size === undefined || (await this.permission.linkFor(source, digest, 'blob'))) return size;
    const said = (await this.yes(source, digest, signal)).value;
    // A registry that speaks of another size does not speak of this content.
    return said === undefined || said === size ? size : undefined;
  }

  /** The upstream's yes, remembered. @throws OciError for its no. */
  yes(source: Source, digest: Digest, signal: AbortSignal) {
    return this.#heads.join(`${viaOf(source)} ${nameOf(source)} ${digest}`, signal, async (own) => {
      const moment = this.permission.now(source);
      const said = await this.questions.hasBlob(source, digest, own);
      const size = await this.held.sizeOf(digest);
      if (said === undefined || said === size)
        await this.permission.grant(source, digest, undefined, moment);
      return said;
    });
  }

  /** The size of what is held, or the fetch of what is not. */
  async heldOr(source: Source, digest: Digest, signal: AbortSignal): Promise<number | Download> {
    const found =
      (await this.mayHave(source, digest, signal)) ??
      (await this.download(source, digest, signal)) ??
      (await this.mayHave(source, digest, signal));
    if (found !== undefined) return found;
    throw new OciError('UNAVAILABLE', { message: 'the cache takes nothing at the moment' });
  }

  /** The fetch of that digest, once the source may read along. */
  async download(
    source: Source,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Download | undefined> {
    const { cache } = this;
    if (!cache || !cache.capacity.storing) return undefined;
    for (;;) {
      const running = cache.downloads.running(digest);
      if (!running) return this.#start(cache, source, digest);
      const grants = this.#grants.get(running);
      const key = grantKey(source);
      const grant = grants?.get(key);
      if (!grant || !this.permission.stands(source, grant.moment)) {
        const moment = this.permission.now(source);
        await this.yes(source, digest, signal);
        grants?.set(key, { source, moment });
      }
      // It may have ended meanwhile, or been refused to the one who began it, but not to this source.
      if (cache.downloads.running(digest) === running) return running;
      if (await this.held.sizeOf(digest)) return undefined;
    }
  }

  #start(cache: Cache, source: Source, digest: Digest): Download {
    const grants: Grants = new Map([
      [grantKey(source), { source, moment: this.permission.now(source) }],
    ]);
    const ask = this.ask(source, digest);
    const download = cache.downloads.start(digest, ask, async (size) => {
      await cache.index.add(digest, size);
      for (const { source: who, moment } of grants.values())
        await this.permission.grant(who, digest, undefined, moment);
    });
    this.#grants.set(download, grants);
    return download;
  }
}

function grantKey(source: Source): string {
  return `${viaOf(source)} ${nameOf(source)}`;
}
