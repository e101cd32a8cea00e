import { OciError } from '../oci/oci-error';
import { DialError } from '../upstream/dialer';

/**
 * Asks a registry to change something, and does what follows from a change: where it said yes, and where nobody can tell.
 * Not where it refused, or was never reached: in relay anybody may ask, and who is refused must not cost others what is held.
 */
export async function unlessRefused<T>(
  exchange: Promise<T>,
  changed: () => Promise<void>,
): Promise<T> {
  const answer = await exchange.catch(async (error: unknown) => {
    if (!isRefusal(error)) await changed();
    throw error;
  });
  await changed();
  return answer;
}

function isRefusal(error: unknown): boolean {
  return (
    error instanceof OciError && (REFUSALS.has(error.code) || error.cause instanceof DialError)
  );
}

const REFUSALS: ReadonlySet<string> = new Set(['UNAUTHORIZED', 'DENIED', 'TOOMANYREQUESTS']);
