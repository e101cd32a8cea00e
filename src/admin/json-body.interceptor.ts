/** Bodies of /admin: JSON whatever the Content-Type says (`curl -d` names a form), read once the guards said yes. */
import type { IncomingMessage } from 'node:http';
import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { Observable } from 'rxjs';
import { readSmallBody } from '../edge/body';
import { admittedContextOf } from '../edge/request-context';
import { OciError } from '../oci/oci-error';

/** A full list of access rules, 1000 of the longest repository patterns, fits. */
const BOUNDS = { limit: 640 * 1024, what: 'the body', within: 30_000 };

/**
 * For routes that take a body. Puts it, parsed, where Nest's `@Body()` looks for it.
 * @throws OciError BODY_INVALID, BODY_TOO_LARGE. Neither quotes the body: a password may stand in it.
 */
@Injectable()
export class JsonBody implements NestInterceptor {
  async intercept(execution: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = execution.switchToHttp().getRequest<IncomingMessage & { body?: unknown }>();
    if (!['', 'identity'].includes(request.headers['content-encoding'] ?? '')) {
      throw invalid('send the body without Content-Encoding');
    }
    const { wantBody } = admittedContextOf(request);
    request.body = parse(await readSmallBody(request, wantBody, BOUNDS));
    return next.handle();
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    // The parser's own message would quote the body.
    throw invalid('the body is not JSON in UTF-8');
  }
}

function invalid(message: string): OciError {
  return new OciError('BODY_INVALID', { message });
}
