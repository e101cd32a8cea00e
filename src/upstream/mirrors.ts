/**
 * Other places that hold a registry's content. They are asked as nobody, whoever asks the gate: neither the registry's accounts
 * nor a client's login are for them.
 */
import { Inject, Injectable } from '@nestjs/common';
import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';
import { plainRegistry } from '../config/built-in-registries';
import type { Mirror, Registry } from '../config/registry-table';
import { Log } from '../journal/log';
import { OciError } from '../oci/oci-error';
import { isDigest, type Reference } from '../oci/reference';
import type { RepositoryName } from '../oci/repository-name';
import { RegistryClient, type UpstreamRequest } from './registry-client';
import { discard, type UpstreamResponse } from './upstream-response';

/** A mirror, as the registry that it is to whoever asks it. */
interface Place {
  readonly registry: Registry;
  readonly tags: boolean;
  /** What it is not asked for: it sent something else under that digest, or the path of that tag. */
  readonly distrusted: LRUCache<string, true>;
}

/** Milliseconds for which a mirror is not asked again for what it sent wrong. */
const DISTRUST = 60 * 60_000;
const MAX_DISTRUSTED = 10_000;
/** Milliseconds after which a mirror is taken to know what was pushed or deleted through the gate. */
const CATCHING_UP = 24 * 60 * 60_000;
const MAX_CHANGED = 10_000;

@Injectable()
export class Mirrors {
  /** By the registry itself: those of one whose settings were reloaded are others. */
  readonly #places = new WeakMap<Registry, readonly Place[]>();

  /** What was pushed or deleted through the gate: mirrors do not know of it yet. It outlives a reload. */
  readonly #changed = new LRUCache<string, true>({ ...atMost(MAX_CHANGED), ttl: CATCHING_UP });

  constructor(
    private readonly client: RegistryClient,
    @Inject(Log) private readonly log: Log,
  ) {}

  /**
   * The first mirror's answer that will do: 200, or 206 for a range. Whatever else a mirror says, and whatever befalls it, is no
   * answer; one that cannot be used is left alone for a time.
   * @returns undefined when it is the registry that has to be asked.
   * @throws what the request's signal was aborted with.
   */
  async answer(request: UpstreamRequest): Promise<UpstreamResponse | undefined> {
    const key = keyOf(request);
    if (key === undefined || this.#changed.has(changeKeyOf(request))) return undefined;
    for (const place of this.#placesOf(request.registry)) {
      // A digest can be verified, whoever sends it; where a tag leads is a matter of trust.
      const mayTell = place.tags || key === request.mirrored;
      if (!mayTell || place.distrusted.has(key)) continue;
      const response = await this.#ask(place, request);
      if (response)
        return { ...response, mirror: { distrust: () => this.#distrust(place, request, key) } };
    }
    return undefined;
  }

  /**
   * That was pushed or deleted: the registry alone says what became of it, and where the tags of its repository lead, any of which
   * may have led to it.
   */
  noteChanged({ name, mirrors }: Registry, repository: RepositoryName, reference: Reference): void {
    if (mirrors.length === 0) return;
    for (const noun of ['manifests', 'blobs']) {
      const folder = `${name} /v2/${repository}/${noun}/`;
      this.#changed.set(folder, true);
      if (isDigest(reference)) this.#changed.set(`${folder}${reference}`, true);
    }
  }

  async #ask(place: Place, request: UpstreamRequest): Promise<UpstreamResponse | undefined> {
    try {
      const asked = { ...request, registry: place.registry, as: 'anonymous' } as const;
      const response = await this.client.request(asked, { spare: true });
      if (response.status === 200 || response.status === 206) return response;
      await discard(response);
    } catch (error) {
      request.signal?.throwIfAborted();
      // What is wrong with it has been logged, and noted for health.
      if (!(error instanceof OciError)) throw error;
    }
    return undefined;
  }

  #distrust(place: Place, { mirrored }: UpstreamRequest, key: string): void {
    place.distrusted.set(key, true);
    const { name } = place.registry;
    this.log.warn(
      { upstream: name, reference: mirrored },
      `${name} sent what cannot be used, and is not asked for it again for a time`,
    );
  }

  #placesOf(registry: Registry): readonly Place[] {
    let places = this.#places.get(registry);
    if (!places) {
      places = registry.mirrors.map((mirror, index) => ({
        registry: asRegistry(registry, mirror, index),
        tags: mirror.tags,
        distrusted: new LRUCache({ ...atMost(MAX_DISTRUSTED), ttl: DISTRUST }),
      }));
      this.#places.set(registry, places);
    }
    return places;
  }
}

/** A digest is the same wherever it is; a tag is of its repository. Undefined for what is not mirrored. */
function keyOf({ method, mirrored, path }: UpstreamRequest): string | undefined {
  if (mirrored === undefined || (method !== 'GET' && method !== 'HEAD')) return undefined;
  return isDigest(mirrored) ? mirrored : path;
}

/** A digest counts by itself, the tags of a repository together. */
function changeKeyOf({ registry, mirrored, path }: UpstreamRequest): string {
  const counted =
    mirrored !== undefined && isDigest(mirrored) ? path : path.slice(0, path.lastIndexOf('/') + 1);
  return `${registry.name} ${counted}`;
}

/**
 * A registry at the mirror's address: what holds for where it may send the gate is its own. The registry's way out is kept: a
 * proxy is for all that is asked in its name, and its certificates are for hosts that the operator named.
 */
function asRegistry({ name, proxy, ca }: Registry, { url }: Mirror, index: number): Registry {
  return { ...plainRegistry(`mirror ${index + 1} of ${name}`, url), proxy, ca };
}
