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

const FALTERED: ReadonlySet<string> = new Set(['BAD_UPSTREAM', 'UNAVAILABLE']);
