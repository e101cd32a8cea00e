import { Controller, Get, Req, Res, UseInterceptors } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { addressOf } from '../edge/names';
import { admitted, readerOf, sourceOf } from './exchange';
import { sendJson } from './json-answer';
import { MemoryBudget } from './memory-budget';
import { ListingService, textsIn } from './listing.service';
import { linkTo } from './next-link';
import { Forwarded } from './forwarded.interceptor';

/** `/v2/<name>/tags/list`. Distribution-spec 1.1 § Listing tags. */
@UseInterceptors(Forwarded)
@Controller('internal/tags')
export class TagsController {
  constructor(
    private readonly listings: ListingService,
    private readonly budget: MemoryBudget,
  ) {}

  @Get()
  async list(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'tags');
    const { identity, asked } = exchange;
    const { name, query } = asked;
    const { registry, repository, as } = sourceOf(name, identity);
    const listing = await this.listings.page({
      registry,
      as,
      path: `/v2/${repository}/tags/list`,
      query,
      access: [{ type: 'repository', name: repository, actions: ['pull'] }],
      notFound: 'NAME_UNKNOWN',
      ...readerOf(exchange, response, this.budget),
    });
    const tags = textsIn(listing.document, 'tags');
    if (listing.next)
      response.setHeader('Link', linkTo(addressOf(name, 'tags/list', listing.next.toString())));
    sendJson(response, { name: name.asked, tags });
  }
}
