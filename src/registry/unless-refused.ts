import type { Source } from '../cdn/source';
import { OciError } from '../oci/oci-error';
import { DialError } from '../upstream/dialer';
import type { UpstreamResponse } from '../upstream/upstream.client';

/**
 * Asks a registry to change something, and does what follows from a change: where it said yes, and where nobody can tell.
 * Not where it refused, or was never reached. Whoever asks without the gate's own credentials, as nobody or with a login of his
 * own, is the registry's to judge, and anybody can do so: there only the registry's yes is a change, so that nobody who is
 * refused closes what others may see.
 */
export async function unlessRefused(
  { as }: Source,
  exchange: Promise<UpstreamResponse>,
  changed: () => Promise<void>,
): Promise<UpstreamResponse> {
  const anybody = as !== 'configured';
  const answer = await exchange.catch(async (error: unknown) => {
    if (!anybody && !isRefusal(error)) await changed();
    throw error;
  });
  if (!anybody || (answer.status >= 200 && answer.status < 300)) await changed();
  return answer;
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof OciError && (REFUSALS.has(error.code) || error.cause instanceof DialError)
  );
}

const REFUSALS: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'DENIED', 'TOOMANYREQUESTS']);
