import { Injectable } from '@nestjs/common';
import { z } from 'zod';
import { ClientLogin } from '../config/principal';
import type { Registry } from '../config/registry-table';
import type { Reader } from '../cdn/content.service';
import { parseBoundedJson } from '../oci/bounded-json';
import { OciError } from '../oci/oci-error';
import {
  discard,
  readBody,
  UpstreamClient,
  type UpstreamResponse,
} from '../upstream/upstream.client';

const Count = z.number().int().nonnegative();

/** Docker Hub's document. Others leave out, or set to null, what they do not know. */
const Found = z.object({
  name: z.string(),
  description: z.string().nullish(),
  star_count: Count.nullish(),
  is_official: z.boolean().nullish(),
  is_automated: z.boolean().nullish(),
});
const Document = z.object({
  results: z.array(Found).max(1000),
  num_results: Count.nullish(),
  num_pages: Count.nullish(),
  page: Count.nullish(),
  page_size: Count.nullish(),
});

export type SearchDocument = z.infer<typeof Document>;

/** What is searched for; how many at once and which page are the registry's to choose where they are left out. */
export interface SearchRequest {
  readonly term: string;
  readonly n?: number;
  readonly page?: number;
}

/** A hundred results with descriptions of ten kilobytes. */
const MAX_DOCUMENT = 1024 * 1024;

/** What registries answer at an address that they do not have. */
const NO_SEARCH = new Set([404, 405, 410]);
const REFUSALS = new Set([401, 403]);

/**
 * Searches a registry as anybody may search it. Its `search` is mostly another host than the registry, which has no business
 * with a login there; so nobody's is shown, not even a token for strangers.
 */
@Injectable()
export class SearchService {
  /** Kept by the registry, so that what is learnt of the host (that it is away, that it asks for patience) is remembered. */
  readonly #places = new WeakMap<Registry, Registry>();

  constructor(private readonly upstream: UpstreamClient) {}

  /**
   * @throws OciError NOT_FOUND where the registry has no search, DENIED where it asks for a login, BAD_UPSTREAM for what is
   *   no search document, and what {@link UpstreamClient.request} throws.
   */
  async find(
    registry: Registry,
    { term, n, page }: SearchRequest,
    { signal, hold }: Pick<Reader, 'signal' | 'hold'>,
  ): Promise<SearchDocument> {
    const query = new URLSearchParams({ q: term });
    if (n !== undefined) query.set('n', String(n));
    if (page !== undefined) query.set('page', String(page));
    const place = this.#placeOf(registry);
    const response = await this.upstream
      .request({
        registry: place,
        as: new ClientLogin(place.name, undefined),
        method: 'GET',
        path: `/v1/search?${query.toString()}`,
        headers: { Accept: 'application/json' },
        access: [],
        signal,
      })
      .catch((error: unknown) => {
        const refused = error instanceof OciError && REFUSALS.has(error.status);
        throw refused ? loginAsked(registry) : error;
      });
    if (response.status !== 200) throw await refusalOf(registry, response);
    const document = Document.safeParse(
      parseBoundedJson(await readBody(response, MAX_DOCUMENT, hold)),
    );
    if (document.success) return document.data;
    throw new OciError('BAD_UPSTREAM', {
      message: `the search of ${registry.name} gave an answer that is no list of repositories`,
    });
  }

  /** The host that is searched, as a registry of its own: its faults are not the registry's, and none of its logins is. */
  #placeOf(registry: Registry): Registry {
    const { search } = registry;
    if (!search || search.origin === registry.url.origin) return registry;
    let place = this.#places.get(registry);
    if (!place) {
      const url = new URL(search.origin);
      place = { ...registry, name: url.host, url, credentials: [], mirrors: [], authHosts: [] };
      this.#places.set(registry, place);
    }
    return place;
  }
}

async function refusalOf(registry: Registry, response: UpstreamResponse): Promise<OciError> {
  await discard(response);
  if (NO_SEARCH.has(response.status)) {
    return new OciError('NOT_FOUND', {
      message: `${registry.name} has no search of the kind that docker search asks for`,
    });
  }
  return new OciError('BAD_UPSTREAM', {
    message: `the search of ${registry.name} answered ${response.status}, which cannot be passed on`,
  });
}

function loginAsked(registry: Registry): OciError {
  return new OciError('DENIED', {
    message: `${registry.name} lets nobody search without a login there, and the gate shows it none`,
  });
}
