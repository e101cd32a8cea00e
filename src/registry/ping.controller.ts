import { Controller, Get, Header } from '@nestjs/common';

/**
 * `GET /v1/_ping`: docker asks it before it searches, by https and then, where it may, by http, and always without a login. A
 * registry that stands alone is none of Docker Hub's: docker then shows it its password by Basic at once, as here it may.
 * moby, registry/search_endpoint_v1.go and search_session.go.
 */
@Controller('internal/ping')
export class PingController {
  @Get()
  @Header('X-Docker-Registry-Standalone', 'true')
  ping(): object {
    return { standalone: true };
  }
}
