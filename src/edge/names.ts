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

/** What a client says, parted into the registry that it means and what it wants of that. */
export interface Parted {
  readonly registry: Registry;
  /** The registry's name and a slash, where the client put them in front; else empty. */
  readonly prefix: string;
  readonly rest: string;
}

/**
 * The registry that a client means, by whichever way it names one: in a repository's name, a search term and the path of a
 * catalog alike.
 * @throws OciError NAME_UNKNOWN for a prefix that looks like a registry and is not configured.
 */
export function partRegistry(asked: string, { table, chosen }: Naming): Parted {
  if (chosen) return { registry: chosen, prefix: '', rest: asked };
  const slash = asked.indexOf('/');
  const prefix = slash < 0 ? '' : asked.slice(0, slash);
  const registry = table.byName(prefix);
  if (registry) return { registry, prefix: `${prefix}/`, rest: asked.slice(slash + 1) };
  if (prefix.includes('.') || prefix.includes(':')) {
    throw new OciError('NAME_UNKNOWN', {
      message: `this gate has no registry of the name ${prefix.slice(0, 255)}`,
    });
  }
  return { registry: table.default, prefix: '', rest: asked };
}

/**
 * The repository that a client's name means: `nginx`, `library/nginx` and `docker.io/library/nginx` are one.
 * @throws OciError NAME_INVALID, or NAME_UNKNOWN for a prefix that looks like a registry and is not configured.
 */
export function resolveName(asked: string, naming: Naming): NamedRepository {
  const { registry, rest } = partRegistry(asked, naming);
  const name = named(registry, rest, asked);
  return naming.byNamespace ? { ...name, namespace: registry.name } : name;
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
