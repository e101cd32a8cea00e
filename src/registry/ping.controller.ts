import { Controller, Get, Header } from '@nestjs/common';

/**
 * `GET /v1/_ping`: docker looks for it, by https and then, where it may, by http, before it searches. To a registry that
 * stands alone it shows its login; one that does not is taken for a part of Docker Hub. moby, registry/search_endpoint_v1.go.
 */
@Controller('internal/ping')
export class PingController {
  @Get()
  @Header('X-Docker-Registry-Standalone', 'true')
  ping(): object {
    return { standalone: true };
  }
}
