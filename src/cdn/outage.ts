/** What a failure means for what is held. */
import { OciError } from '../oci/oci-error';

const OUTAGES: ReadonlySet<string> = new Set([
  'UNAVAILABLE',
  'UPSTREAM_TIMEOUT',
  'BAD_UPSTREAM',
  'TOOMANYREQUESTS',
]);

/** The registry cannot say, as against: it says no. */
export function isOutage(error: unknown): boolean {
  return error instanceof OciError && OUTAGES.has(error.code);
}

/** The registry says that there is no such manifest, or no such repository. */
export function isNotThere(error: unknown): boolean {
  return (
    error instanceof OciError &&
    (error.code === 'MANIFEST_UNKNOWN' || error.code === 'NAME_UNKNOWN')
  );
}
