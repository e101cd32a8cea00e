/** /health, /health/live, /health/ready: for probes and, with an admin's credentials, for operators. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Header, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { contextOf } from '../edge/request-context';
import { HealthService, type Health } from './health.service';

type Shown = Pick<Health, 'status'> | ({ status: string } & Health['details']);

/** A stranger learns one word; what is wrong, and which version runs, is for admins. */
@Controller('health')
@ApiTags('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  @Get(['', 'ready'])
  @Header('Cache-Control', 'no-store')
  @ApiOperation({
    summary: 'Whether the gate serves: degraded still does, but somebody should look',
  })
  @ApiResponse({ status: 200, description: '{"status":"ok"} or {"status":"degraded"}' })
  @ApiResponse({ status: 503, description: '{"status":"draining"} or {"status":"down"}' })
  async ready(
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<Shown> {
    const { status, details } = await this.health.check();
    response.statusCode = status === 'ok' || status === 'degraded' ? 200 : 503;
    return contextOf(request)?.identity?.admin ? { status, ...details } : { status };
  }

  @Get('live')
  @Header('Cache-Control', 'no-store')
  @ApiOperation({ summary: 'That the process answers at all' })
  @ApiResponse({ status: 200, description: '{"status":"ok"}' })
  live(): Pick<Health, 'status'> {
    return { status: 'ok' };
  }
}
