/** tag → digest: as last seen, asked again when that is too long ago, and as last known while the upstream is away. */
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';
import { Log } from '../journal/log';
import type { Reference, Tag } from '../oci/reference';
import type { CanonicalName } from '../oci/repository-name';
import { Cache } from './cache';
import { Changes, type Moment } from './changes';
import type { TagEntry, TagRecord } from './index/content-index';
import { nameOf, viaOf, type Source } from './source';

/** What is known of a tag, and whether the upstream has to be asked. */
export interface KnownTag {
  readonly record: TagRecord | undefined;
  readonly fresh: boolean;
  /** For {@link Tags.remember}. */
  readonly version: number;
}

/** A 404 is believed for that long, in milliseconds: it may have been asked just before the push. */
const NEGATIVE_TTL = 10_000;
const MAX_NEGATIVE = 10_000;

const UNKNOWN: TagEntry = { record: undefined, version: -1 };

@Injectable()
export class Tags {
  readonly #absent = new LRUCache<string, true>({ ...atMost(MAX_NEGATIVE), ttl: NEGATIVE_TTL });
  /** When a name was last pushed to or deleted from: a 404 that was on its way then is none any more. */
  readonly #changes = new Changes();
  /** Forgotten, but the index could not be told: a record of such a name counts for nothing until it can. */
  readonly #untold = new Set<CanonicalName>();

  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    @Inject(Log) private readonly log: Log,
  ) {}

  /** What these credentials last saw of the tag. */
  async known(source: Source, tag: Tag): Promise<KnownTag> {
    const { record, version } = await this.#read(source, tag);
    return { record, fresh: record !== undefined && this.isFresh(source, record), version };
  }

  /** Whether the upstream need not be asked again. */
  isFresh(source: Source, { checkedAt }: TagRecord): boolean {
    const age = Date.now() - checkedAt;
    // A record from the future is the clock's fault: it is asked again rather than believed for years.
    return age >= 0 && age < this.#ttl(source);
  }

  /** Whether the index says all there is to say: nothing was forgotten that it could not be told yet. */
  get settled(): boolean {
    return this.#untold.size === 0;
  }

  /** @param version of `known`, before the upstream was asked: a push meanwhile makes it void. */
  async remember(
    source: Source,
    tag: Tag,
    seen: Omit<TagRecord, 'checkedAt'>,
    version: number,
  ): Promise<void> {
    if (!this.cache || version < 0) return;
    const record = { ...seen, checkedAt: Date.now() };
    try {
      await this.cache.index.setTag(nameOf(source), tag, viaOf(source), record, version);
    } catch (error) {
      this.log.warn({ err: error }, 'the index of the cache cannot be written');
    }
  }

  /** The tag was pushed or deleted: nobody's record of it counts any more. Without a tag: all tags of the name. */
  async forget(name: CanonicalName, tag?: Tag): Promise<void> {
    this.#changes.note(name);
    for (const key of this.#absent.keys()) if (key.includes(` ${name} `)) this.#absent.delete(key);
    if (!this.cache) return;
    try {
      await this.cache.index.forgetTag(name, tag);
    } catch (error) {
      this.log.warn({ err: error }, 'the index of the cache cannot be written');
      this.#untold.add(name);
    }
  }

  /** The upstream said to this source that the tag is no more. */
  async drop(source: Source, tag: Tag): Promise<void> {
    await this.cache?.index
      .dropTag(nameOf(source), tag, viaOf(source))
      .catch((error: unknown) =>
        this.log.warn({ err: error }, 'the index of the cache cannot be written'),
      );
  }

  /** To be taken before the upstream is asked. */
  asking(source: Source): Moment {
    return this.#changes.now(nameOf(source));
  }

  /** The upstream said 404 to this source. */
  noteAbsent(source: Source, reference: Reference, asked: Moment): void {
    if (!this.cache || !this.#changes.stands(asked)) return;
    this.#absent.set(keyOf(source, reference), true);
  }

  isAbsent(source: Source, reference: Reference): boolean {
    return this.#absent.has(keyOf(source, reference));
  }

  #ttl({ registry }: Source): number {
    return this.cache ? (registry.tagTtl ?? this.cache.settings.tagTtl) : 0;
  }

  async #read(source: Source, tag: Tag): Promise<TagEntry> {
    if (!this.cache) return UNKNOWN;
    const name = nameOf(source);
    try {
      if (this.#untold.has(name)) {
        await this.cache.index.forgetTag(name);
        this.#untold.delete(name);
      }
      return await this.cache.index.tag(name, tag, viaOf(source));
    } catch (error) {
      this.log.warn({ err: error }, 'the index of the cache cannot be read');
      return UNKNOWN;
    }
  }
}

function keyOf(source: Source, reference: Reference): string {
  return `${viaOf(source)} ${nameOf(source)} ${reference}`;
}
