import { Controller, Get, Req, Res, UseInterceptors } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setImmediate as yieldToOthers } from 'node:timers/promises';
import type { Registry } from '../config/registry-table';
import type { Identity, Page } from '../edge/request-context';
import { canonicalName, parseRepositoryName } from '../oci/repository-name';
import type { Reader } from '../cdn/content.service';
import { admitted, readerOf } from './exchange';
import { sendJson } from './json-answer';
import { MemoryBudget } from './memory-budget';
import { ListingService, textsIn } from './listing.service';
import { linkTo } from './next-link';
import { Forwarded } from './forwarded.interceptor';

const PAGE = 1000;
/**
 * More pages than this without a visible name end the listing: a hundred thousand hidden repositories in a row are
 * nobody's wait, and a page cannot be named by one of them.
 */
const MAX_PAGES = 100;

/**
 * `/v2/_catalog` of the registry that the host, `?ns=` or the path (`/v2/ghcr.io/_catalog`) names, else of the default one,
 * of which each account sees what it may pull. Its names are such that the client can ask for them in the same way, so that
 * those of a path begin with the registry. The next page is named by the last name that was shown, never by the upstream's
 * `Link`: that would give away a hidden one.
 */
@UseInterceptors(Forwarded)
@Controller('internal/catalog')
export class CatalogController {
  constructor(
    private readonly listings: ListingService,
    private readonly budget: MemoryBudget,
  ) {}

  @Get()
  async list(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'catalog');
    const { identity, asked, context } = exchange;
    const { registry, prefix, page } = asked;
    const limit = page.n ?? PAGE;
    const { visible, more } = await this.#visible(
      registry,
      identity,
      { ...page, last: withoutPrefix(prefix, page.last) },
      limit,
      passing(readerOf(exchange, response, this.budget)),
    );
    const repositories = visible.slice(0, limit).map((repository) => `${prefix}${repository}`);
    if (more || visible.length > limit) {
      const next = nextPage(limit, repositories.at(-1) ?? page.last);
      response.setHeader('Link', linkTo(addressOfCatalog(prefix, context.namespace, next)));
    }
    sendJson(response, { repositories });
  }

  /** Asks the upstream page by page until enough names are visible, or there are no more. */
  async #visible(
    registry: Registry,
    identity: Identity,
    page: Page,
    limit: number,
    client: Pick<Reader, 'signal' | 'hold'>,
  ): Promise<{ visible: string[]; more: boolean }> {
    const visible: string[] = [];
    let query = nextPage(PAGE, page.last);
    for (let pages = 0; pages < MAX_PAGES && limit > 0; pages += 1) {
      const listing = await this.listings.page({
        registry,
        as: identity.registryAs(registry),
        path: '/v2/_catalog',
        query,
        access: [{ type: 'registry', name: 'catalog', actions: ['*'] }],
        notFound: 'UNSUPPORTED',
        ...client,
      });
      for (const [index, text] of textsIn(listing.document, 'repositories').entries()) {
        if (index % PAGE === PAGE - 1) await yieldToOthers();
        const repository = parseRepositoryName(text);
        if (repository && identity.sees(canonicalName(registry.name, repository)))
          visible.push(repository);
      }
      if (!listing.next) return { visible, more: false };
      if (visible.length > limit) return { visible, more: true };
      query = listing.next;
    }
    return { visible, more: visible.length > 0 };
  }
}

function addressOfCatalog(
  prefix: string,
  namespace: string | undefined,
  page: URLSearchParams,
): string {
  if (namespace !== undefined) page.set('ns', namespace);
  return `/v2/${prefix}_catalog?${page.toString()}`;
}

/** The last name as the registry itself knows it. */
function withoutPrefix(prefix: string, last: string | undefined): string | undefined {
  return last?.startsWith(prefix) ? last.slice(prefix.length) : last;
}

function nextPage(n: number, last: string | undefined): URLSearchParams {
  return new URLSearchParams(last === undefined ? { n: String(n) } : { last, n: String(n) });
}

/** Of a page that was looked through only the visible names stay: its bytes are room again for the next one. */
function passing({ signal, hold }: Reader): Pick<Reader, 'signal' | 'hold'> {
  return {
    signal,
    hold: async (bytes) => {
      const settle = await hold(bytes);
      return () => settle(0);
    },
  };
}
