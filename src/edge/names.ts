/** How the names that clients use become canonical ones: on paths, in scopes and in `from=` alike. */
import type { Registry, RegistryTable } from '../config/registry-table';
import { OciError } from '../oci/oci-error';
import {
  canonicalName,
  parseRepositoryName,
  type CanonicalName,
  type RepositoryName,
} from '../oci/repository-name';

/** A repository that a request names. */
export interface NamedRepository {
  readonly registry: Registry;
  /** As the registry knows it: `library/nginx`. */
  readonly repository: RepositoryName;
  /** `docker.io/library/nginx`. */
  readonly canonical: CanonicalName;
  /** As the client said it: `nginx`, `docker.io/library/nginx`. Scopes, Location and Link say it back. */
  readonly asked: string;
  /** The registry of `?ns=`, by which the client said the rest of the name: addresses of the gate's own repeat it. */
  readonly namespace?: string;
}

/** The names in force for one request. */
export interface Naming {
  readonly table: RegistryTable;
  /** The registry that the Host header or `?ns=` chose; the name is then all repository, without a registry's prefix. */
  readonly chosen?: Registry;
  /** True when it was `?ns=` that chose. */
  readonly byNamespace?: boolean;
}

/**
 * The address of something in a repository, in the words in which the client named that: relative, with its query.
 * @param rest what follows the name: `manifests/1`, `tags/list`.
 */
export function addressOf({ asked, namespace }: NamedRepository, rest: string, query = ''): string {
  const ns = namespace === undefined ? '' : `ns=${encodeURIComponent(namespace)}`;
  const all = [ns, query].filter((part) => part !== '').join('&');
  return `/v2/${asked}/${rest}${all === '' ? '' : `?${all}`}`;
}

/**
 * The repository that a client's name means: `nginx`, `library/nginx` and `docker.io/library/nginx` are one.
 * @throws OciError NAME_INVALID, or NAME_UNKNOWN for a prefix that looks like a registry and is not configured.
 */
export function resolveName(
  asked: string,
  { table, chosen, byNamespace }: Naming,
): NamedRepository {
  if (chosen) {
    const name = named(chosen, asked, asked);
    return byNamespace ? { ...name, namespace: chosen.name } : name;
  }
  const slash = asked.indexOf('/');
  const prefix = slash < 0 ? '' : asked.slice(0, slash);
  const registry = table.byName(prefix);
  if (registry) return named(registry, asked.slice(slash + 1), asked);
  if (prefix.includes('.') || prefix.includes(':')) {
    throw new OciError('NAME_UNKNOWN', {
      message: `this gate has no registry of the name ${prefix.slice(0, 255)}`,
    });
  }
  return named(table.default, asked, asked);
}

function named(registry: Registry, text: string, asked: string): NamedRepository {
  const completed = registry.library && !text.includes('/') ? `library/${text}` : text;
  const repository = parseRepositoryName(completed);
  if (!repository || !parseRepositoryName(text)) {
    throw new OciError('NAME_INVALID', {
      detail: 'lower-case letters, digits and single separators . _ __ - in parts parted by /',
    });
  }
  return { registry, repository, canonical: canonicalName(registry.name, repository), asked };
}
