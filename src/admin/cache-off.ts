import { OciError } from '../oci/oci-error';

/** @param part of the cache; null with CACHE=off. @throws OciError CONFLICT then. */
export function assertOn<T>(part: T | null): asserts part is T {
  if (part === null)
    throw new OciError('CONFLICT', {
      message: 'nothing is held: the cache is off; set CACHE=on to have one',
    });
}
