/** Blobs from the upstream: who may have one, and the one fetch of it that all who may read along with. */
import { Inject, Injectable } from '@nestjs/common';
import type { Digest } from '../oci/digest';
import type { CanonicalName } from '../oci/repository-name';
import { OciError } from '../oci/oci-error';
import type { UpstreamResponse } from '../upstream/upstream.client';
import { Cache } from './cache';
import type { Download } from './fetch/download';
import { Flights } from './flights';
import { HeldBlobs } from './held-blobs';
import type { Moment } from './changes';
import { Permission } from './permission';
import { isOutage } from './outage';
import { Questions, type Whom } from './questions';
import { nameOf, takesMirrorsWord, viaOf, type Source } from './source';
import type { Ask } from './fetch/upstream-content';

/** Who may read along with a fetch, because the upstream said yes to them. */
type Grants = Map<string, { readonly source: Source; readonly moment: Moment }>;

/** The upstream's yes, and when it was asked for. */
interface Yes {
  /** Bytes of the blob, where the registry tells. */
  readonly size: number | undefined;
  readonly moment: Moment;
}

/** A fetch that the source may read along with. */
export interface Joined {
  readonly download: Download;
  /** The fetch is asked for by these very credentials under this very name: its refusal is this source's. */
  readonly own: boolean;
  /** It was under way before. */
  readonly joined: boolean;
}

/** So often a yes is asked for again because rights were taken back while it was on its way. */
const ATTEMPTS = 3;

@Injectable()
export class BlobFetches {
  readonly #heads = new Flights<Yes>();
  readonly #owners = new WeakMap<Download, string>();
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
    let byMirror = false;
    return async (from, to, signal) => {
      // What a mirror broke off goes on from the registry; where that cannot be asked, from a mirror again.
      const whom = byMirror ? 'registry' : 'mirrors too';
      byMirror = false;
      const part = { from, to };
      const response = first ?? (await this.questions.blob(source, digest, part, signal, { whom }));
      first = undefined;
      byMirror = response.mirror !== undefined;
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
    return this.questions.blob(source, digest, part, signal, { redirects: 'pass' });
  }

  /** Held, but no link yet: one HEAD. @returns the size when it is held and the source may have it. */
  async mayHave(source: Source, digest: Digest, signal: AbortSignal): Promise<number | undefined> {
    const size = await this.held.sizeOf(digest);
    if (size === undefined || (await this.permission.linkFor(source, digest, 'blob'))) return size;
    const yes = await this.#yesUnlessMirrors(source, digest, signal);
    if (!yes) return undefined;
    const { size: said } = yes;
    // A registry that speaks of another size does not speak of this content.
    return said === undefined || said === size ? size : undefined;
  }

  /** The upstream's yes, remembered. One that was asked for before rights were taken back is asked for again. */
  async yes(
    source: Source,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<Yes & { readonly joined: boolean }> {
    for (let attempt = 1; ; attempt += 1) {
      const { value, joined } = await this.#heads.join(keyOf(source, digest), signal, (own) =>
        this.#askYes(source, digest, own),
      );
      if (this.permission.stands(value.moment)) return { ...value, joined };
      if (attempt === ATTEMPTS) {
        const message = `what may be seen of ${source.registry.name} is changing; try again`;
        throw new OciError('UNAVAILABLE', { message });
      }
    }
  }

  /** What there is to be said of the blob, by whoever says it first: a mirror's word opens nothing that is held. */
  async described(
    source: Source,
    digest: Digest,
    signal: AbortSignal,
  ): Promise<{ readonly size: number | undefined; readonly joined: boolean }> {
    if (!takesMirrorsWord(source)) return this.yes(source, digest, signal);
    const key = `mirrors ${keyOf(source, digest)}`;
    const { value, joined } = await this.#heads.join(key, signal, (own) =>
      this.#askYes(source, digest, own, 'mirrors too'),
    );
    return { size: value.size, joined };
  }

  /** The registry's yes; undefined where it cannot say, and mirrors may be asked to hand the blob out. */
  async #yesUnlessMirrors(source: Source, digest: Digest, signal: AbortSignal) {
    try {
      return await this.yes(source, digest, signal);
    } catch (error) {
      if (takesMirrorsWord(source) && isOutage(error)) return undefined;
      throw error;
    }
  }

  /** Those who ask from now on join no question that was asked before. */
  forget(name: CanonicalName): void {
    this.#heads.forget((key) => key.includes(` ${name} `));
  }

  async #askYes(
    source: Source,
    digest: Digest,
    signal: AbortSignal,
    whom: Whom = 'registry',
  ): Promise<Yes> {
    const moment = this.permission.now(source);
    const { said: size, byMirror } = await this.questions.hasBlob(source, digest, signal, whom);
    const held = await this.held.sizeOf(digest);
    if (!byMirror && (size === undefined || size === held))
      await this.permission.grant(source, digest, undefined, moment);
    return { size, moment };
  }

  /** The size of what is held, or the fetch of what is not. */
  async heldOr(source: Source, digest: Digest, signal: AbortSignal): Promise<number | Download> {
    const found =
      (await this.mayHave(source, digest, signal)) ??
      (await this.download(source, digest, signal))?.download ??
      (await this.mayHave(source, digest, signal));
    if (found !== undefined) return found;
    throw new OciError('UNAVAILABLE', { message: 'the cache takes nothing at the moment' });
  }

  /** The registry's fetch of that digest, once the source may read along. Undefined where nothing is held, it is
   * held by now, or the registry cannot say and a mirror has to be asked for a copy of the source's own. */
  async download(source: Source, digest: Digest, signal: AbortSignal): Promise<Joined | undefined> {
    const { cache } = this;
    if (!cache || !cache.capacity.storing) return undefined;
    const key = keyOf(source, digest);
    for (;;) {
      const running = cache.downloads.running(source.registry, digest);
      if (!running)
        return { download: this.#start(cache, source, digest), own: true, joined: false };
      const grants = this.#grants.get(running);
      const grant = grants?.get(key);
      if (!grant || !this.permission.stands(grant.moment)) {
        const yes = await this.#yesUnlessMirrors(source, digest, signal);
        if (!yes) return undefined;
        grants?.set(key, { source, moment: yes.moment });
      }
      if (cache.downloads.running(source.registry, digest) === running)
        return { download: running, own: this.#owners.get(running) === key, joined: true };
      // It ended meanwhile, or was refused to the one who began it, which is not to say to this source.
      if ((await this.held.sizeOf(digest)) !== undefined) return undefined;
    }
  }

  #start(cache: Cache, source: Source, digest: Digest): Download {
    const key = keyOf(source, digest);
    const grants: Grants = new Map([[key, { source, moment: this.permission.now(source) }]]);
    const ask = this.ask(source, digest);
    const download = cache.downloads.start(source.registry, digest, ask, async (size) => {
      const isNew = await cache.index.add(digest, size);
      for (const { source: who, moment } of grants.values())
        await this.permission.grant(who, digest, undefined, moment);
      return isNew;
    });
    this.#grants.set(download, grants);
    this.#owners.set(download, key);
    return download;
  }
}

/** The name stands between blanks: {@link BlobFetches.forget} looks for it. */
function keyOf(source: Source, digest: Digest): string {
  return `${viaOf(source)} ${nameOf(source)} ${digest}`;
}
