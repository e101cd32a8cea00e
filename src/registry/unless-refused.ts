import { ClientLogin } from '../config/principal';
import type { Source } from '../cdn/source';
import { OciError } from '../oci/oci-error';
import { DialError } from '../upstream/dialer';
import type { UpstreamResponse } from '../upstream/upstream.client';

/**
 * Asks a registry to change something, and does what follows from a change: where it said yes, and where nobody can tell.
 * Not where it refused, or was never reached. A client's own login is the registry's to judge, and anybody can make one up: by
 * such a one only the registry's yes is a change, so that nobody who is refused closes what others may see.
 */
export async function unlessRefused(
  { as }: Source,
  exchange: Promise<UpstreamResponse>,
  changed: () => Promise<void>,
): Promise<UpstreamResponse> {
  const clients = as instanceof ClientLogin;
  const answer = await exchange.catch(async (error: unknown) => {
    if (!clients && !isRefusal(error)) await changed();
    throw error;
  });
  if (!clients || (answer.status >= 200 && answer.status < 300)) await changed();
  return answer;
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof OciError && (REFUSALS.has(error.code) || error.cause instanceof DialError)
  );
}

const REFUSALS: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'DENIED', 'TOOMANYREQUESTS']);
