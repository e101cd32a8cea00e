import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ExecutionContext } from '@nestjs/common';
import type { Exchange } from '../edge/gatekeeper';
import { contextOf } from '../edge/request-context';
import { OciError } from '../oci/oci-error';

/** @throws OciError NOT_FOUND for a request that was not parsed: it has no client to count, and no business here. */
export function exchangeOf(execution: ExecutionContext): Exchange {
  const http = execution.switchToHttp();
  const request = http.getRequest<IncomingMessage>();
  const context = contextOf(request);
  if (!context) throw new OciError('NOT_FOUND');
  return { context, request, response: http.getResponse<ServerResponse>() };
}
