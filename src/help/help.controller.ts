/** GET /help/clients: how clients are set up for this gate. It needs no login, and says nothing but what is public. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Controller, Get, Header, Req, Res } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiResponse, ApiTags } from '@nestjs/swagger';
import { Registries } from '../config/registry-table';
import { admittedContextOf } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import type { ClientSetup } from './client-setup';
import { clientSetups } from './clients';
import { parseGateAddress } from './gate-address';
import { viewOf } from './gate-view';
import { documentOf } from './markdown';

@Controller('help')
@ApiTags('help')
export class HelpController {
  constructor(private readonly registries: Registries) {}

  /** Made for the address that was asked: the edge has checked its form, and no other text of the request gets in. */
  @Get('clients')
  @Header('Cache-Control', 'no-store')
  @Header('Vary', 'Accept')
  @ApiOperation({ summary: 'How docker, containerd, podman, BuildKit and k3s are set up' })
  @ApiProduces('text/markdown', 'application/json')
  @ApiResponse({ status: 200, description: 'Markdown, or {"clients":[…]} for who accepts JSON' })
  clients(
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): string | { clients: readonly ClientSetup[] } {
    const { base, byHost, home } = admittedContextOf(request);
    const address = parseGateAddress(base);
    if (!address) {
      throw new OciError('REQUEST_INVALID', {
        message: 'no client could be set up with this Host; ask by the gate’s own name',
      });
    }
    const view = viewOf(address, this.registries.current, byHost ? home : undefined);
    const setups = clientSetups(view);
    if (wantsJson(request)) return { clients: setups };
    response.setHeader('Content-Type', 'text/markdown; charset=utf-8');
    return documentOf(view, setups);
  }
}

/** Text is the rule; JSON is for who names it, and does not name Markdown beside it. */
function wantsJson({ headers: { accept = '' } }: IncomingMessage): boolean {
  const types = accept.split(',').map((part) => part.split(';')[0]?.trim().toLowerCase());
  return types.includes('application/json') && !types.includes('text/markdown');
}
