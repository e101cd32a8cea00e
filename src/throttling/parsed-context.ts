import type { IncomingMessage } from 'node:http';
import type { ExecutionContext } from '@nestjs/common';
import { contextOf, type RequestContext } from '../edge/request-context';
import { OciError } from '../oci/oci-error';

/** @throws OciError NOT_FOUND for a request that was not parsed: it has no client to count, and no business here. */
export function parsedContextOf(execution: ExecutionContext): RequestContext {
  const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
  if (!context) throw new OciError('NOT_FOUND');
  return context;
}
