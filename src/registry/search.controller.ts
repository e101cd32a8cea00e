import { Controller, Get, Req, Res, UseInterceptors } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { resolveName, type NamedRepository, type Naming } from '../edge/names';
import type { Asked, Identity } from '../edge/request-context';
import { admitted, readerOf } from './exchange';
import { Forwarded } from './forwarded.interceptor';
import { sendJson } from './json-answer';
import { MemoryBudget } from './memory-budget';
import { SearchService, type SearchDocument } from './search.service';

type Searching = Extract<Asked, { noun: 'search' }>;
type Found = SearchDocument['results'][number];

const MAX_FOUND = 100;
const MAX_DESCRIPTION = 500;

/**
 * `GET /v1/search`: what `docker search` asks. The document is Docker Hub's, made anew: of it the client gets the fields that
 * are known, the repositories that it may pull, and each by the name by which it can pull it here.
 */
@UseInterceptors(Forwarded)
@Controller('internal/search')
export class SearchController {
  constructor(
    private readonly searches: SearchService,
    private readonly budget: MemoryBudget,
  ) {}

  @Get()
  async search(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'search');
    const { asked, identity } = exchange;
    const { registry, rest } = asked.parted;
    const { q, n, page } = asked.query;
    const found = await this.searches.find(
      registry,
      { term: rest, n, page },
      readerOf(exchange, response, this.budget),
    );
    const results = found.results.slice(0, n ?? MAX_FOUND);
    const shown = results.flatMap((result) => shownTo(identity, asked, result) ?? []);
    const counts = countsOf(found, page ?? 1, { all: results.length, shown: shown.length });
    sendJson(response, { query: q, ...counts, results: shown });
  }
}

/**
 * How many there are, in the registry's words. Where one was left out they would give it away: then the listing ends here, and
 * counts what it shows.
 */
function countsOf(
  found: SearchDocument,
  page: number,
  { all, shown }: { all: number; shown: number },
): Record<'num_pages' | 'num_results' | 'page' | 'page_size', number> {
  const page_size = found.page_size ?? all;
  return shown === all
    ? {
        num_pages: found.num_pages ?? page,
        num_results: found.num_results ?? shown,
        page: found.page ?? page,
        page_size,
      }
    : { num_pages: page, num_results: shown, page, page_size };
}

/** The result as the client may see it, or undefined where it may not, or could not come back for it. */
function shownTo(identity: Identity, { parted, naming }: Searching, found: Found) {
  const name = `${parted.prefix}${found.name}`;
  const repository = repositoryOf(name, naming);
  // A name that leads to another registry here is not the one that was found.
  const same = repository !== undefined && repository.registry === parted.registry;
  if (!same || !identity.sees(repository.canonical)) return undefined;
  return {
    name,
    description: printable(found.description ?? ''),
    star_count: found.star_count ?? 0,
    is_official: found.is_official ?? false,
    is_automated: found.is_automated ?? false,
  };
}

function repositoryOf(name: string, naming: Naming): NamedRepository | undefined {
  try {
    return resolveName(name, naming);
  } catch {
    return undefined;
  }
}

/** Descriptions are strangers' texts on their way to a terminal: no control characters, and a bounded length. */
function printable(text: string): string {
  return text
    .slice(0, MAX_DESCRIPTION)
    .replace(/[\p{Cc}\p{Cf}\p{Cs}]+/gu, ' ')
    .trim();
}
