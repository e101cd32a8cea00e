import type { RegistryTable } from '../config/registry-table';
import { resolveName } from '../edge/names';
import { OciError } from '../oci/oci-error';
import { canonicalName, parseRepositoryName, type CanonicalName } from '../oci/repository-name';

/**
 * The canonical name of a repository of which something may be held, as it is listed or for short. One of a registry that is
 * no longer in the settings can still be named in full.
 * @throws OciError NAME_INVALID.
 */
export function canonicalNameIn(asked: string, table: RegistryTable): CanonicalName {
  try {
    return resolveName(asked, { table }).canonical;
  } catch (error) {
    if (!(error instanceof OciError) || error.code !== 'NAME_UNKNOWN') throw error;
    const slash = asked.indexOf('/');
    const repository = parseRepositoryName(asked.slice(slash + 1));
    if (!repository) throw new OciError('NAME_INVALID');
    return canonicalName(asked.slice(0, slash), repository);
  }
}
