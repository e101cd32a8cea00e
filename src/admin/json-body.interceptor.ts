/** Bodies of /admin: JSON whatever the Content-Type says (`curl -d` names a form), read only once the guards said yes. */
import type { IncomingMessage } from 'node:http';
import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { Observable } from 'rxjs';
import { admittedContextOf } from '../edge/request-context';
import { OciError } from '../oci/oci-error';

const WITH_BODY = new Set(['POST', 'PATCH', 'PUT']);
/** A full list of access rules, 1000 of the longest repository patterns, fits. */
const MAX_BYTES = 512 * 1024;
const MILLISECONDS = 30_000;

/**
 * Puts the parsed body where Nest's `@Body()` looks for it.
 * @throws OciError BODY_INVALID, BODY_TOO_LARGE. Neither quotes the body: a password may stand in it.
 */
@Injectable()
export class JsonBody implements NestInterceptor {
  async intercept(execution: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const request = execution.switchToHttp().getRequest<IncomingMessage & { body?: unknown }>();
    if (WITH_BODY.has(request.method ?? '')) {
      if (Number(request.headers['content-length'] ?? 0) > MAX_BYTES) throw tooLarge();
      if (!['', 'identity'].includes(request.headers['content-encoding'] ?? '')) {
        throw invalid('send the body without Content-Encoding');
      }
      admittedContextOf(request).wantBody();
      request.body = parse(await read(request));
    }
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

function read(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  return new Promise<Buffer>((resolve, reject) => {
    const end = (settle: () => void) => {
      clearTimeout(timer);
      request.off('data', take).off('end', whole).off('close', cut).pause();
      settle();
    };
    const take = (chunk: Buffer) => {
      size += chunk.length;
      if (size > MAX_BYTES) end(() => reject(tooLarge()));
      else chunks.push(chunk);
    };
    const whole = () => end(() => resolve(Buffer.concat(chunks)));
    const cut = () => end(() => reject(invalid('the body did not come whole')));
    const timer = setTimeout(
      () => end(() => reject(invalid(`the body did not come within ${MILLISECONDS / 1000} s`))),
      MILLISECONDS,
    );
    request.on('data', take).on('end', whole).on('close', cut);
  });
}

function invalid(message: string): OciError {
  return new OciError('BODY_INVALID', { message });
}

function tooLarge(): OciError {
  return new OciError('BODY_TOO_LARGE', {
    message: `the body is larger than ${MAX_BYTES / 1024} KiB`,
  });
}
