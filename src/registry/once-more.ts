import { OciError } from '../oci/oci-error';

/** Runs an exchange that may be repeated without harm a second time when the upstream faltered at the first. */
export async function onceMore<T>(exchange: () => Promise<T>): Promise<T> {
  try {
    return await exchange();
  } catch (error) {
    if (error instanceof OciError && FALTERED.has(error.code)) return exchange();
    throw error;
  }
}

/** An upstream that cannot be reached is left out: the client has waited for it once already. */
const FALTERED: ReadonlySet<string> = new Set(['BAD_UPSTREAM']);
