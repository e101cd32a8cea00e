import { Controller, Get, Req, Res } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ClientLogin } from '../config/principal';
import { discard, UpstreamClient } from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import { admitted, untilClientLeaves } from './exchange';

/**
 * `GET /v2/`: a client that gets 200 here knows that it speaks to a registry and that its login is good. Where the login is
 * the registry's to judge, the registry is asked.
 */
@Controller('internal/base')
export class BaseController {
  constructor(private readonly upstream: UpstreamClient) {}

  @Get()
  async check(
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<object> {
    const { identity, context } = admitted(request, 'base');
    const { registry } = context;
    const as = identity.registryAs(registry);
    if (!(as instanceof ClientLogin)) return {};
    const answer = await this.upstream.request({
      registry,
      as,
      method: 'GET',
      path: '/v2/',
      access: [],
      signal: untilClientLeaves(response),
    });
    if (answer.status !== 200) throw await refusalOf(answer, 'NAME_UNKNOWN');
    await discard(answer);
    return {};
  }
}
