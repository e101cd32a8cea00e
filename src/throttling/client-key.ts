/** By what a client is told from another, and the parsed request that a guard sees. */
import type { IncomingMessage } from 'node:http';
import type { ExecutionContext } from '@nestjs/common';
import { normalizeIp } from '@nestjs/throttler';
import { contextOf, type RequestContext } from '../edge/request-context';
import { OciError } from '../oci/oci-error';

/** The client's address; of IPv6 the /64, which is what one client can choose addresses from at will. */
export function addressKey({ address }: RequestContext): string {
  return normalizeIp(address, 64) ?? '';
}

/** @throws OciError NOT_FOUND for a request that was not parsed: it has no client to count, and no business here. */
export function parsedContextOf(execution: ExecutionContext): RequestContext {
  const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
  if (!context) throw new OciError('NOT_FOUND');
  return context;
}
