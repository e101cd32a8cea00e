import { Controller, Get } from '@nestjs/common';

/** `GET /v2/`: a client that gets 200 here knows that it speaks to a registry and that its login is good. */
@Controller('internal/base')
export class BaseController {
  @Get()
  check(): object {
    return {};
  }
}
