/** GET /: the status document that monitors of earlier gates ask for. */
import { Controller, Get, Header } from '@nestjs/common';
import { ApiOperation, ApiResponse, ApiTags } from '@nestjs/swagger';
import { Registries } from '../config/registry-table';

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
  status() {
    const { host } = this.registries.current.default.url;
    return { status: 'ok', service: 'docker-registry-proxy', upstream: host };
  }
}
