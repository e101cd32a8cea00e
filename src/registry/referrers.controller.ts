import { Controller, Get, Req, Res, UseInterceptors } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { addressOf } from '../edge/names';
import { admitted, readerOf, sourceOf } from './exchange';
import { sendJson } from './json-answer';
import { MemoryBudget } from './memory-budget';
import { ListingService, objectsIn } from './listing.service';
import { linkTo } from './next-link';
import { Forwarded } from './forwarded.interceptor';

const INDEX = 'application/vnd.oci.image.index.v1+json';

/**
 * `/v2/<name>/referrers/<digest>`. Distribution-spec 1.1 § Listing referrers. A registry without it answers 404, and so
 * does the gate: clients then look for the `sha256-…` tag themselves, and an empty index of ours would hide signatures.
 */
@UseInterceptors(Forwarded)
@Controller('internal/referrers')
export class ReferrersController {
  constructor(
    private readonly listings: ListingService,
    private readonly budget: MemoryBudget,
  ) {}

  @Get()
  async list(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'referrers');
    const { identity, asked } = exchange;
    const { name, digest, query } = asked;
    const { registry, repository, as } = sourceOf(name, identity);
    const listing = await this.listings.page({
      registry,
      as,
      path: `/v2/${repository}/referrers/${digest}`,
      query,
      access: [{ type: 'repository', name: repository, actions: ['pull'] }],
      notFound: 'NAME_UNKNOWN',
      accept: INDEX,
      ...readerOf(exchange, response, this.budget),
    });
    if (listing.next)
      response.setHeader(
        'Link',
        linkTo(addressOf(name, `referrers/${digest}`, listing.next.toString())),
      );
    const filters = listing.headers['oci-filters-applied'];
    if (filters !== undefined && /^[\w, -]{1,255}$/.test(filters))
      response.setHeader('OCI-Filters-Applied', filters);
    objectsIn(listing.document, 'manifests');
    sendJson(response, listing.document, INDEX);
  }
}
