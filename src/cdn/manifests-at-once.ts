/** Manifests that were answered from what is held, and can be again with nothing looked up. */
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import type { Digest } from '../oci/digest';
import type { Reference } from '../oci/reference';
import { Cache } from './cache';
import type { TagRecord } from './index/content-index';
import { Permission } from './permission';
import { SmallContent } from './small-content';
import { isClients, nameOf, viaOf, type Source } from './source';
import { Tags } from './tags.service';

/** Characters of questions that are remembered, all together, and what each costs beside them. */
const MOST = 4 * 1024 * 1024;
const ENTRY = 200;

/** What was found, and when. */
export interface Found {
  /** Of the index, from before anything was looked up. */
  readonly generation: number;
  readonly digest: Digest;
  readonly mediaType: string;
  /** By which a tag led there; undefined where the digest itself was asked for. */
  readonly record?: TagRecord;
}

/**
 * What was found in the index holds until the index is written to, where it has been told everything, and for as long as the
 * tag's record may be believed. Rights to a name, and whether the bytes are still held, are part of the index. What clients are
 * told by logins of their own is not: that is never answered here. ADR 31.
 */
@Injectable()
export class ManifestsAtOnce {
  readonly #found = new LRUCache<string, Found>({
    maxSize: MOST,
    sizeCalculation: (_, question) => question.length + ENTRY,
  });

  constructor(
    @Inject(Cache) private readonly cache: Cache | null,
    private readonly permission: Permission,
    private readonly tags: Tags,
    private readonly small: SmallContent,
  ) {}

  /** To be taken before anything is looked up; undefined where what is found then may be another thing the next moment. */
  generation(source: Source): number | undefined {
    if (!this.cache || !this.permission.settled || !this.tags.settled) return undefined;
    return isClients(viaOf(source)) ? undefined : this.cache.index.generation;
  }

  note(source: Source, reference: Reference, accept: string | undefined, found: Found): void {
    this.#found.set(questionOf(source, reference, accept), found);
  }

  find(
    source: Source,
    reference: Reference,
    accept: string | undefined,
  ): (Found & { readonly bytes: Buffer }) | undefined {
    const found = this.#found.get(questionOf(source, reference, accept));
    if (!found || found.generation !== this.generation(source)) return undefined;
    if (found.record && !this.tags.isFresh(source, found.record)) return undefined;
    const bytes = this.small.inMemory(found.digest);
    return bytes && { ...found, bytes };
  }
}

function questionOf(source: Source, reference: Reference, accept = ''): string {
  return `${nameOf(source)} ${reference} ${viaOf(source)} ${accept}`;
}
