/** GET /: the status document that monitors of earlier gates ask for. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Header, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { Registries } from '../config/registry-table';
import { contextOf } from '../edge/request-context';

@Controller()
@ApiTags('health')
export class StatusController {
  constructor(private readonly registries: Registries) {}

  /** Names the default registry by its host, as clients' settings do; its URL is the operator's own business. */
  @Get()
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'The status document' })
  @ApiResponse({
    status: 200,
    description:
      '{"status":"ok","service":"docker-registry-proxy","upstream":"registry-1.docker.io"}',
  })
  @ApiResponse({ status: 301, description: 'On the host of a registry: to its /v2/' })
  status(
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): { status: string; service: string; upstream: string } | undefined {
    if (contextOf(request)?.byHost) {
      response.statusCode = 301;
      response.setHeader('Location', '/v2/');
      return undefined;
    }
    const { host } = this.registries.current.default.url;
    return { status: 'ok', service: 'docker-registry-proxy', upstream: host };
  }
}
