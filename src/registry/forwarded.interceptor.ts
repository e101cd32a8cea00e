import {
  Injectable,
  type CallHandler,
  type ExecutionContext,
  type NestInterceptor,
} from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Observable } from 'rxjs';
import { CacheCounters } from '../cdn/cache-counters';
import { cacheStatusOf, noteCacheStatus } from './exchange';

/**
 * Says of every answer how it came about, until a room that knows better says so: pushes and deletions go upstream because of
 * their method, listings because nothing of them is held. RFC 9211 § 2.2. And counts it, with the bytes that were really sent.
 */
@Injectable()
export class Forwarded implements NestInterceptor {
  constructor(private readonly counters: CacheCounters) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    const http = context.switchToHttp();
    this.note(http.getRequest<IncomingMessage>(), http.getResponse<ServerResponse>());
    return next.handle();
  }

  note({ method, socket }: IncomingMessage, response: ServerResponse): void {
    const reads = method === 'GET' || method === 'HEAD';
    noteCacheStatus(response, { hit: false, fwd: reads ? 'bypass' : 'method' });
    const before = socket.bytesWritten;
    response.once('close', () => {
      const status = cacheStatusOf(response);
      if (status) this.counters.note(status, socket.bytesWritten - before);
    });
  }
}
