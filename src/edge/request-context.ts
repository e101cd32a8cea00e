/**
 * What is known of a request once it is parsed: the only thing that the rooms behind the edge look at. Whatever has no
 * context was not parsed, and is denied.
 */
import type { IncomingMessage } from 'node:http';
import type { Principal } from '../config/principal';
import type { Registry } from '../config/registry-table';
import type { RepositoryAction } from '../oci/access';
import type { Digest } from '../oci/digest';
import type { Reference } from '../oci/reference';
import type { OciError } from '../oci/oci-error';
import type { CanonicalName } from '../oci/repository-name';
import type { Credentials } from './credentials';
import type { NamedRepository, Naming, Parted } from './names';
import type { TokenRequest } from './token-request';

/** One page of a listing. */
export interface Page {
  readonly n?: number;
  readonly last?: string;
}

/**
 * What a client asks of a listing. Registries continue a listing by parameters of their own making (`last`, `next_page`,
 * tokens), so that all of them go upstream; on this one address they can do no more than choose a page.
 */
export type ListingQuery = Readonly<Record<string, string>>;

/** What `docker search` asks. */
export interface SearchQuery {
  /** As the client said it. */
  readonly q: string;
  readonly n?: number;
  readonly page?: number;
}

/** What a request asks for: one noun of the specification, or one of the gate's own. */
export type Asked =
  | { readonly noun: 'base' }
  | { readonly noun: 'manifest'; readonly name: NamedRepository; readonly reference: Reference }
  | { readonly noun: 'blob'; readonly name: NamedRepository; readonly digest: Digest }
  | {
      readonly noun: 'uploads';
      readonly name: NamedRepository;
      /** `?digest=`: the whole blob is in this request's body. */
      readonly digest?: Digest;
      /** `?mount=&from=`: both, or neither. */
      readonly mount?: { readonly digest: Digest; readonly from: NamedRepository };
    }
  | {
      readonly noun: 'upload';
      readonly name: NamedRepository;
      readonly uuid: string;
      /** The seal that the gate gave out with the address; not yet opened. */
      readonly state: string;
      readonly digest?: Digest;
    }
  | { readonly noun: 'tags'; readonly name: NamedRepository; readonly query: ListingQuery }
  | {
      readonly noun: 'referrers';
      readonly name: NamedRepository;
      readonly digest: Digest;
      readonly query: ListingQuery;
    }
  | {
      readonly noun: 'catalog';
      readonly registry: Registry;
      /** What stands before `_catalog` in the path, and so before each name of this catalog: `ghcr.io/`, or nothing. */
      readonly prefix: string;
      readonly page: Page;
    }
  | { readonly noun: 'token'; readonly request: TokenRequest }
  /** `/v1/_ping` and `/v1/search`, which `docker search` asks. */
  | { readonly noun: 'ping' }
  | {
      readonly noun: 'search';
      readonly query: SearchQuery;
      /** The registry that is searched, and for what. */
      readonly parted: Parted;
      /** How the names that are found are read when the client comes back with them. */
      readonly naming: Naming;
    }
  /** How clients are set up for this gate. */
  | { readonly noun: 'help' }
  | { readonly noun: 'admin' }
  | { readonly noun: 'health' }
  | { readonly noun: 'status' };

/** The access that a request needs. `nothing` is public, and a field of what was parsed: no route is public by chance. */
export type Need =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'login' }
  | {
      readonly kind: 'repository';
      readonly name: NamedRepository;
      readonly actions: readonly RepositoryAction[];
    }
  | { readonly kind: 'catalog' }
  /** Whoever may pull at all may search. */
  | { readonly kind: 'search' }
  | { readonly kind: 'admin' };

/** Who asks, and what they may do; the guard leaves it here. */
export interface Identity {
  /** The account, or undefined for an anonymous reader. */
  readonly username: string | undefined;
  /** The registry that vouches for that name: of another one, or of the gate itself, it is somebody else's. */
  readonly vouchedBy?: string;
  /** Raised when the account's sessions are ended; 0 for an anonymous reader. */
  readonly epoch: number;
  readonly admin: boolean;
  /** True where the gate itself does not know whether what was shown is good: then only a 401 says that it is not. */
  readonly unjudged?: boolean;
  /** True when both the account's rights of now and the token that came along allow it. */
  may(name: CanonicalName, action: RepositoryAction): boolean;
  /** True when a listing may show the repository: the account may pull it, whatever the token at hand was made for. */
  sees(name: CanonicalName): boolean;
  /**
   * Whose credentials speak for this reader upstream. Nobody borrows the operator's: a reader without an account is
   * served by anonymous requests, unless the operator opened that repository. In relay it is the client's own login.
   */
  upstreamAs(name: CanonicalName): Principal;
  /** The same for what is asked of a registry itself, and of none of its repositories: its catalog. */
  registryAs(registry: Registry): Principal;
  /**
   * In relay: the 401 for the client, in its own words, of what its registry asks of it.
   * @param challenge the registry's WWW-Authenticate.
   */
  challenged?(challenge: string | undefined): OciError;
}

export interface RequestContext {
  /** Named in the log, in `X-Request-Id` and in answers to unknown errors. */
  readonly id: string;
  readonly method: string;
  /** The client's address, a forwarded one only from a trusted proxy. IPv4-mapped IPv6 is written as IPv4. */
  readonly address: string;
  /** By what one client is told from another: the address, of IPv6 the /64, within which a client chooses at will. */
  readonly client: string;
  /** Public origin of the gate for this client: `https://gate.example`, no trailing slash. */
  readonly base: string;
  /** True when the address is the peer's own, or was forwarded by a trusted proxy; else who asks is not known by it. */
  readonly addressCounts: boolean;
  /** The registry that a login here is for: the one that the Host header chose, else the default one. */
  readonly home: Registry;
  /** The registry that is asked, where no repository is named: by `?ns=`, else as `home`. */
  readonly registry: Registry;
  /** The Host header chose the registry. */
  readonly byHost: boolean;
  /** The registry of `?ns=`, which addresses of the gate's own repeat. */
  readonly namespace?: string;
  /** Where this client fetches tokens; in the same way of naming registries in which it asked. */
  readonly realm: string;
  /** The gate's own name as a token service. */
  readonly service: string;
  readonly asked: Asked;
  readonly need: Need;
  readonly credentials: Credentials;
  /** Sends `100 Continue` once, where the client waits for it. To be called when the body is wanted, after the guards. */
  readonly wantBody: () => void;
  /** Set by the guard. */
  identity?: Identity;
}

/**
 * On the request itself, under a name that nothing else has. A WeakMap of all requests would keep what it holds through each
 * collection of young objects, so that it had to be collected among the old ones.
 */
const CONTEXT = Symbol('context');

/** A request, or what stands for it in a test. */
type Bearer = IncomingMessage & { [CONTEXT]?: RequestContext };

/** Ties a context to its request; once. */
export function attachContext(request: Bearer, context: RequestContext): void {
  request[CONTEXT] = context;
}

/** The request's context; undefined means that it must be denied. */
export function contextOf(request: Bearer): RequestContext | undefined {
  return request[CONTEXT];
}

/** The context of a request that got past the guards. */
export function admittedContextOf(
  request: IncomingMessage,
): RequestContext & { identity: Identity } {
  const context = contextOf(request);
  if (!context?.identity)
    throw new Error('a request reached its controller without passing the guards');
  return context as RequestContext & { identity: Identity };
}

/** What the request asks, narrowed to the noun that the controller serves. */
export function askedOf<N extends Asked['noun']>(
  context: RequestContext,
  noun: N,
): Extract<Asked, { noun: N }> {
  if (context.asked.noun !== noun)
    throw new Error(`a request for ${context.asked.noun} reached the controller of ${noun}`);
  return context.asked as Extract<Asked, { noun: N }>;
}

/** To whom requests and what they begin are counted; undefined for a reader without an account, whose address counts. */
export function accountIn(identity: Identity | undefined): string | undefined {
  if (identity?.username === undefined) return undefined;
  const { username, vouchedBy } = identity;
  return vouchedBy === undefined ? username : `${username} of ${vouchedBy}`;
}

/** Who asks, for the audit trail. */
export function whoAsks({ identity, address, id }: RequestContext): {
  actor?: string;
  address: string;
  request: string;
} {
  return { actor: identity?.username, address, request: id };
}
