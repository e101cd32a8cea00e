import { Controller, Get, Req, Res } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { admitted, clientOf, sourceOf } from './exchange';
import { sendJson } from './json-answer';
import { MemoryBudget } from './memory-budget';
import { linkTo, ListingService, shaped } from './listing.service';

const Tags = z.object({ tags: z.array(z.string()).nullish() });

/** `/v2/<name>/tags/list`. Distribution-spec 1.1 § Listing tags. */
@Controller('internal/tags')
export class TagsController {
  constructor(
    private readonly listings: ListingService,
    private readonly budget: MemoryBudget,
  ) {}

  @Get()
  async list(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const { identity, asked } = admitted(request, 'tags');
    const { name, query } = asked;
    const { registry, repository, as } = sourceOf(name, identity);
    const listing = await this.listings.page({
      registry,
      as,
      path: `/v2/${repository}/tags/list`,
      query,
      access: [{ type: 'repository', name: repository, actions: ['pull'] }],
      notFound: 'NAME_UNKNOWN',
      ...clientOf(response, this.budget),
    });
    const tags = shaped(Tags, listing.document).tags ?? [];
    if (listing.next)
      response.setHeader('Link', linkTo(`/v2/${name.asked}/tags/list`, listing.next));
    sendJson(response, { name: name.asked, tags });
  }
}
