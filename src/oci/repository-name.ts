/**
 * Repository names and the canonical name that rights, tokens, logs and (later) the cache speak of.
 * Grammar: distribution-spec 1.1 § Pulling manifests.
 */

/** A repository within one registry, such as `library/nginx`; well-formed and at most 255 characters. */
export type RepositoryName = string & { readonly __brand: 'RepositoryName' };

/**
 * A repository of one registry, such as `docker.io/library/nginx`: the registry's configured name, a slash, the
 * repository. However a client names a repository, it ends in one canonical name, so that rights cannot be walked around.
 */
export type CanonicalName = string & { readonly __brand: 'CanonicalName' };

const MAX_LENGTH = 255;
const SEGMENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;

/** The name that the text is, or undefined. Linear: each segment is matched alone, over at most 255 characters. */
export function parseRepositoryName(text: string): RepositoryName | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  return text.split('/').every((segment) => SEGMENT.test(segment))
    ? (text as RepositoryName)
    : undefined;
}

/** Puts a registry's name and a repository together. */
export function canonicalName(registry: string, repository: RepositoryName): CanonicalName {
  return `${registry}/${repository}` as CanonicalName;
}
