/** May this reader have this digest under this name? Only the upstream's own yes opens what is held. */
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { Log } from '../journal/log';
import type { Digest } from '../oci/digest';
import type { CanonicalName } from '../oci/repository-name';
import { UpstreamFaults } from '../upstream/upstream-faults';
import { Cache } from './cache';
import type { Link } from './content-index';
import { nameOf, viaOf, viasFor, type Source, type Via } from './source';

/** As what content is asked for: an upstream's yes to one is none to the other. */
export type Noun = 'manifest' | 'blob';

/**
 * Taken before the upstream is asked, given back with its yes: a yes that was asked for before the content was deleted or
 * refused is none any more.
 */
export type Moment = { readonly name: CanonicalName; readonly changes: number };

const MAX_NAMES = 10_000;

@Injectable()
export class Permission {
  /** When rights under a name were last taken back. For what fell out of it nothing is granted. */
  readonly #changes = new LRUCache<CanonicalName, number>({ max: MAX_NAMES });
  #clock = 0;
  /** Taken back, but the index could not be told: nothing is served by links until it can. */
  readonly #untold = new Map<string, { name: CanonicalName; digest?: Digest; via?: Via }>();

  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    private readonly faults: UpstreamFaults,
    @Inject(Log) private readonly log: Log,
  ) {}

  /**
   * The yes by which the source may have the digest; undefined when its upstream has to be asked. While a registry refuses the
   * gate's own credentials, what was seen by them counts for nobody.
   */
  async linkFor(source: Source, digest: Digest, noun: Noun): Promise<Link | undefined> {
    if (!this.cache) return undefined;
    const name = nameOf(source);
    try {
      await this.#tell(name);
      const links = await this.cache.index.links(name, digest);
      const vias = this.#countingVias(source);
      return links.find(
        ({ via, mediaType }) =>
          vias.includes(via) && (noun === 'manifest') === (mediaType !== undefined),
      );
    } catch (error) {
      this.log.warn({ err: error }, 'the index of the cache cannot be read');
      return undefined;
    }
  }

  /** To be taken before the upstream is asked. */
  now(source: Source): Moment {
    const name = nameOf(source);
    const changes = this.#changes.get(name) ?? (this.#clock += 1);
    this.#changes.set(name, changes);
    return { name, changes };
  }

  /** Whether a yes that was asked for at that moment still counts: nothing was taken back since, and it is not suspended. */
  stands(source: Source, asked: Moment): boolean {
    return (
      this.#changes.get(asked.name) === asked.changes &&
      this.#countingVias(source).includes(viaOf(source))
    );
  }

  /**
   * Remembers the upstream's yes for that very digest under the source's name.
   * @param mediaType with which it was served as a manifest; undefined for a blob.
   * It never fails: where it cannot be remembered, the upstream is asked again.
   */
  async grant(
    source: Source,
    digest: Digest,
    mediaType: string | undefined,
    asked: Moment,
  ): Promise<void> {
    if (!this.cache || this.#changes.get(asked.name) !== asked.changes) return;
    const link = { via: viaOf(source), mediaType };
    await this.cache.index.link(asked.name, digest, link).catch((error: unknown) => {
      this.log.warn({ err: error }, 'the index of the cache cannot be written');
    });
  }

  /** The upstream refused this source its repository: what it was allowed before counts no more. */
  async refused(source: Source): Promise<void> {
    await this.#takeBack({ name: nameOf(source), via: viaOf(source) });
  }

  /** The digest is gone from the repository, for everybody. */
  async deleted(name: CanonicalName, digest: Digest): Promise<void> {
    await this.#takeBack({ name, digest });
  }

  #countingVias(source: Source): readonly Via[] {
    const vias = viasFor(source);
    if (!this.faults.refuses(source.registry.name)) return vias;
    return vias.filter((via) => via.startsWith('anonymous.'));
  }

  async #takeBack(what: { name: CanonicalName; digest?: Digest; via?: Via }): Promise<void> {
    if (!this.cache) return;
    this.#changes.set(what.name, (this.#clock += 1));
    const key = `${what.name} ${what.digest ?? ''} ${what.via ?? ''}`;
    this.#untold.set(key, what);
    await this.#tell(what.name).catch((error: unknown) => {
      this.log.warn({ err: error }, 'the index of the cache cannot be written');
    });
  }

  async #tell(name: CanonicalName): Promise<void> {
    if (this.#untold.size === 0) return;
    for (const [key, what] of this.#untold) {
      if (what.name !== name) continue;
      await this.cache?.index.unlink(name, { digest: what.digest, via: what.via });
      this.#untold.delete(key);
    }
  }
}
