/** May this reader have this digest under this name? Only the upstream's own yes opens what is held. */
import { Inject, Injectable } from '@nestjs/common';
import { Log } from '../journal/log';
import type { Digest } from '../oci/digest';
import type { CanonicalName } from '../oci/repository-name';
import { UpstreamFaults } from '../upstream/upstream-faults';
import { Cache } from './cache';
import { Changes, type Moment } from './changes';
import type { Link } from './index/content-index';
import { nameOf, viaOf, viasFor, type Source, type Via } from './source';

/** As what content is asked for: an upstream's yes to one is none to the other. */
export type Noun = 'manifest' | 'blob';

/** Names that are remembered while the index cannot be written. */
const MAX_UNTOLD = 1_000;

@Injectable()
export class Permission {
  /** When rights under a name were last taken back: a yes that was asked for before then is none any more. */
  readonly #changes = new Changes();
  /** Taken back, but the index could not be told: nothing of these names is served by links until it can. */
  readonly #untold = new Map<CanonicalName, Map<string, { digest?: Digest; via?: Via }>>();
  /** More was taken back than is remembered: nothing is served by links any more. */
  #closed = false;
  /** Registries that refuse the gate's own credentials, as far as the index tells: read once. */
  #suspended: Promise<Set<string>> | undefined;
  /** What registries last said of the gate's own credentials, as long as the index could not be told. */
  readonly #heard = new Map<string, boolean>();

  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    faults: UpstreamFaults,
    @Inject(Log) private readonly log: Log,
  ) {
    faults.onCredentials((registry, taken) => void this.#suspend(registry, !taken));
  }

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
      const vias = await this.#countingVias(source);
      return links.find(
        ({ via, mediaType }) =>
          vias.includes(via) && (noun === 'manifest') === (mediaType !== undefined),
      );
    } catch (error) {
      this.log.warn({ err: error }, 'the index of the cache cannot be read');
      return undefined;
    }
  }

  /** Whether the index says all there is to say: nothing was taken back or heard that it could not be told yet. */
  get settled(): boolean {
    return !this.#closed && this.#untold.size === 0 && this.#heard.size === 0;
  }

  /** To be taken before the upstream is asked. */
  now(source: Source): Moment {
    return this.#changes.now(nameOf(source), viaOf(source));
  }

  /** Whether a yes that was asked for at that moment still counts: nothing was taken back since. */
  stands(asked: Moment): boolean {
    return this.#changes.stands(asked);
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
    if (!this.cache || !this.stands(asked)) return;
    const link = { via: viaOf(source), mediaType };
    await this.cache.index.link(asked.name, digest, link).catch((error: unknown) => {
      this.log.warn({ err: error }, 'the index of the cache cannot be written');
    });
    // What was taken back while this was being written may have been written before it.
    if (!this.stands(asked)) await this.#takeBack(asked.name, { digest, via: link.via });
  }

  /** The upstream refused this source its repository: what it was allowed before counts no more. */
  async refused(source: Source): Promise<void> {
    await this.#takeBack(nameOf(source), { via: viaOf(source) });
  }

  /** The digest is gone from the repository, for everybody. */
  async deleted(name: CanonicalName, digest: Digest): Promise<void> {
    await this.#takeBack(name, { digest });
  }

  async #countingVias(source: Source): Promise<readonly Via[]> {
    if (this.#closed) return [];
    const vias = viasFor(source);
    const { name } = source.registry;
    const heard = this.#heard.get(name);
    if (this.#heard.size > 0) void this.#tellSuspensions().catch(() => undefined);
    const refused = heard ?? (await this.#suspensions()).has(name);
    if (!refused) return vias;
    return vias.filter((via) => !via.startsWith('configured.'));
  }

  #suspensions(): Promise<Set<string>> {
    this.#suspended ??= (this.cache?.index.suspended() ?? Promise.resolve([])).then(
      (names) => new Set(names),
      (error: unknown) => {
        this.#suspended = undefined;
        throw error;
      },
    );
    return this.#suspended;
  }

  async #suspend(registry: string, refused: boolean): Promise<void> {
    // Heard first, written then: links must not count in between, nor where nothing can be written.
    this.#heard.set(registry, refused);
    await this.#tellSuspensions().catch((error: unknown) => {
      this.log.warn({ err: error }, 'the index of the cache cannot be written');
    });
  }

  /** What was heard and is not written yet; tried again with each question until it is. */
  async #tellSuspensions(): Promise<void> {
    const suspended = await this.#suspensions();
    for (const [registry, refused] of this.#heard) {
      if (suspended.has(registry) !== refused) await this.cache?.index.suspend(registry, refused);
      if (refused) suspended.add(registry);
      else suspended.delete(registry);
      if (this.#heard.get(registry) === refused) this.#heard.delete(registry);
    }
  }

  async #takeBack(
    name: CanonicalName,
    what: { readonly digest?: Digest; readonly via?: Via },
  ): Promise<void> {
    if (!this.cache) return;
    this.#changes.note(name, what.via);
    const untold = this.#untold.get(name) ?? new Map<string, typeof what>();
    this.#untold.set(name, untold.set(`${what.digest ?? ''} ${what.via ?? ''}`, what));
    try {
      await this.#tell(name);
    } catch (error) {
      this.log.warn({ err: error }, 'the index of the cache cannot be written');
      // A restart would forget what could not be told: what is gone from the store no link can bring back.
      if (what.digest) await this.cache.store.delete(what.digest).catch(() => false);
      if (this.#untold.size > MAX_UNTOLD) this.#closed = true;
    }
  }

  async #tell(name: CanonicalName): Promise<void> {
    const untold = this.#untold.get(name);
    if (!untold || !this.cache) return;
    for (const [key, only] of untold) {
      await this.cache.index.unlink(name, only);
      untold.delete(key);
    }
    if (untold.size === 0) this.#untold.delete(name);
  }
}
