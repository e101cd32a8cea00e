/** What browsers are refused: a page of another site, that rides on the login an operator's browser remembers. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { admittedContextOf } from '../edge/request-context';
import { OciError } from '../oci/oci-error';

const SAFE = new Set(['GET', 'HEAD', 'OPTIONS']);
const OWN_SITES = new Set(['same-origin', 'none']);

/**
 * Refuses cross-site requests, before any body is read. Browsers send Sec-Fetch-Site and Origin by themselves, and no
 * page can change them; command-line clients send neither, and pass. A link to an address here may be followed
 * (`navigate`): it shows the operator an answer, and tells the other site nothing. W3C, Fetch Metadata.
 */
@Injectable()
export class BrowserGuard implements CanActivate {
  canActivate(execution: ExecutionContext): boolean {
    const http = execution.switchToHttp();
    const request = http.getRequest<IncomingMessage>();
    const { base } = admittedContextOf(request);
    if (!isOwn(request, base)) {
      throw new OciError('DENIED', {
        message: `a page of another site sent this request; the gate's own origin is ${base} (PUBLIC_URL)`,
      });
    }
    http
      .getResponse<ServerResponse>()
      .setHeader('Cache-Control', 'no-store')
      .setHeader('X-Content-Type-Options', 'nosniff')
      .setHeader('Cross-Origin-Resource-Policy', 'same-origin');
    return true;
  }
}

function isOwn({ method = '', headers }: IncomingMessage, base: string): boolean {
  const site = headers['sec-fetch-site'];
  const ownSite = site === undefined || OWN_SITES.has(String(site));
  if (SAFE.has(method)) return ownSite || headers['sec-fetch-mode'] === 'navigate';
  return ownSite && (headers.origin === undefined || isOrigin(headers.origin, base));
}

/** A browser writes its origin without a default port; the gate's base may name one. */
function isOrigin(origin: string, base: string): boolean {
  return origin === new URL(base).origin;
}
