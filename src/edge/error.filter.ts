import {
  Catch,
  HttpException,
  Inject,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Log } from '../journal/log';
import { OciError } from '../oci/oci-error';
import { UpstreamChallenge } from '../oci/upstream-challenge';
import { sendError } from './answer';
import { contextOf, type RequestContext } from './request-context';

/** Every error of every room leaves here. Unknown ones are logged with the request's id, and only the id is told. */
@Catch()
export class ErrorFilter implements ExceptionFilter {
  constructor(@Inject(Log) private readonly log: Log) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    this.answer(error, http.getRequest<IncomingMessage>(), http.getResponse<ServerResponse>());
  }

  answer(error: unknown, request: IncomingMessage, response: ServerResponse): void {
    const context = contextOf(request);
    refuse(request, response, inTheGatesWords(error, context), context?.id, this.log);
  }
}

/** What a registry asks of the client itself, is asked with a realm of the gate's. */
function inTheGatesWords(error: unknown, context: RequestContext | undefined): unknown {
  if (!(error instanceof UpstreamChallenge)) return error;
  return context?.identity?.challenged?.(error.challenge) ?? error;
}

/** Answers with an error. A client that has left is told nothing, and its leaving is no fault of anybody's. */
export function refuse(
  request: IncomingMessage,
  response: ServerResponse,
  error: unknown,
  id: string | undefined,
  log: Log,
): void {
  if (!response.destroyed) {
    sendError(request, response, toOciError(error, id, log));
    return;
  }
  log.debug({ request: id, err: error }, 'the client left before its answer');
}

/** The error as the client may see it. */
function toOciError(error: unknown, id: string | undefined, log: Log): OciError {
  if (error instanceof OciError) {
    if (error.cause !== undefined || error.status >= 500)
      log.warn({ request: id, code: error.code, err: error }, error.message);
    return error;
  }
  // The router's own: an address below /admin that no controller serves.
  if (error instanceof HttpException && error.getStatus() === 404) return new OciError('NOT_FOUND');
  log.error({ request: id, err: error }, 'a fault in the gate itself');
  return new OciError('UNKNOWN', {
    message: 'the gate failed; its log says more',
    detail: { request: id },
  });
}
