/** What a client is told when an upstream cannot be reached or used. It names the registry, never an address within. */
import { errors } from 'undici';
import { OciError } from '../oci/oci-error';
import { DialError } from './dialer';

/** Codes of a connection that ended before it answered: the upstream's end, or a kept socket that it had just closed. */
const CUT_OFF = new Set(['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET']);

/** True when the same request may fare better on a new connection. */
export function isCutOff(error: unknown): boolean {
  return !(error instanceof DialError) && CUT_OFF.has(codeOf(error));
}

/** The OciError for a failed request; what is no failure of the upstream (a caller's abort, a fault of ours) stays as it is. */
export function upstreamFailure(error: unknown, registry: string): unknown {
  if (error instanceof DialError) return dialFailure(error, registry);
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError) {
    return new OciError('UPSTREAM_TIMEOUT', {
      message: `${registry} did not answer in time`,
      cause: error,
    });
  }
  if (isCutOff(error) || error instanceof errors.ConnectTimeoutError)
    return unavailable(registry, 'closed the connection', error);
  if (error instanceof errors.HeadersOverflowError || error instanceof errors.HTTPParserError) {
    return new OciError('BAD_UPSTREAM', {
      message: `${registry} gave an answer that is not HTTP`,
      cause: error,
    });
  }
  return error;
}

function dialFailure(error: DialError, registry: string): OciError {
  switch (error.fault) {
    case 'unreachable':
      return unavailable(registry, 'cannot be reached', error);
    case 'timeout':
      return unavailable(registry, 'did not take the connection in time', error);
    case 'proxy':
      return unavailable(registry, `cannot be reached: ${error.message}`, error);
    case 'tls':
      return new OciError('BAD_UPSTREAM', {
        message: `${registry} has no TLS certificate that can be trusted`,
        cause: error,
      });
    case 'forbidden':
      return new OciError('BAD_UPSTREAM', {
        message: `${registry} named an address that it may not send the gate to`,
        cause: error,
      });
    default:
      return error.fault satisfies never;
  }
}

function unavailable(registry: string, what: string, cause: unknown): OciError {
  return new OciError('UNAVAILABLE', { message: `${registry} ${what}`, cause });
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : '';
}
