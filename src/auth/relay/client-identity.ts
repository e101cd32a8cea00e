/** Who a client is where its registry vouches for it. */
import { ClientLogin } from '../../config/principal';
import type { Registry } from '../../config/registry-table';
import type { Identity, RequestContext } from '../../edge/request-context';
import type { RepositoryAction } from '../../oci/access';
import { OciError } from '../../oci/oci-error';

export interface Client {
  readonly registry: Registry;
  /** As the registry takes it; undefined for a client that shows nothing. */
  readonly authorization: string | undefined;
  /** Where the registry has said yes to that name. */
  readonly username?: string;
  /** The most that the gate lets through; within it the registry decides. */
  readonly atMost: 'pull' | 'all';
  readonly challenged: (challenge: string | undefined) => OciError;
}

/** Its login speaks for it at its registry, and nowhere else. */
export function clientIdentity({
  registry,
  authorization,
  username,
  atMost,
  challenged,
}: Client): Identity {
  const login = new ClientLogin(registry.name, authorization);
  const isThere = (name: string) => name.startsWith(`${registry.name}/`);
  return {
    username,
    vouchedBy: registry.name,
    epoch: 0,
    admin: false,
    unjudged: username === undefined,
    may: (name, action) => isThere(name) && isWithin(atMost, action),
    sees: isThere,
    upstreamAs: (name) => (isThere(name) ? login : 'anonymous'),
    registryAs: (asked) => (asked.name === registry.name ? login : 'anonymous'),
    challenged,
  };
}

export function isWithin(atMost: 'pull' | 'all', action: RepositoryAction): boolean {
  return atMost === 'all' || action === 'pull';
}

/** Where clients may read alone, since the login here is for another registry: no login would help. */
export function pulledFromAlone({ name }: Registry): OciError {
  return new OciError('DENIED', {
    message: `pushes to ${name} need a host of its own here: a login for another registry is not for it`,
  });
}

/** The registry that a request is about. */
export function registryOf({ need, asked, registry }: RequestContext): Registry {
  if (need.kind === 'repository') return need.name.registry;
  if (asked.noun === 'search') return asked.parted.registry;
  return asked.noun === 'catalog' ? asked.registry : registry;
}
