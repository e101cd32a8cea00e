/** Whose content is asked for, with whose credentials, and what an upstream's yes to them is remembered under. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { ClientLogin } from '../config/principal';
import type { Registry } from '../config/registry-table';
import { canonicalName, type CanonicalName, type RepositoryName } from '../oci/repository-name';
import type { Principal } from '../upstream/upstream.client';

/** Whose content, and with whose credentials it is asked for. */
export interface Source {
  readonly registry: Registry;
  readonly repository: RepositoryName;
  readonly as: Principal;
}

/**
 * By which credentials an upstream said yes: `anonymous.<hash>` or `configured.<hash>`. The hash is of the registry's address
 * and of the configured user names, so that a yes to other credentials, or of another registry under the same name, is none.
 * Several accounts of one registry are equals: what one of them was shown, all may see.
 * `client.<hash>` is a client's own login, or its showing none, under a key that ends with the process: it is not for the disk.
 */
export type Via = string & { readonly __brand: 'Via' };

/** The name under which the rights of this source are kept. */
export function nameOf({ registry, repository }: Source): CanonicalName {
  return canonicalName(registry.name, repository);
}

/** As which the source asks. Without configured credentials every request is anonymous upstream, and its yes is everybody's. */
export function viaOf({ registry, as }: Pick<Source, 'registry' | 'as'>): Via {
  if (as instanceof ClientLogin) return clientVia(registry, as);
  return via(registry, as === 'configured' && registry.credentials.length > 0);
}

/** All yeses that count for the source: its own, and that to anonymous requests, which is for everybody. */
export function viasFor(source: Pick<Source, 'registry' | 'as'>): readonly Via[] {
  const own = viaOf(source);
  const anonymous = via(source.registry, false);
  return own === anonymous ? [own] : [own, anonymous];
}

/** True for what a client was told, by whatever login it showed. */
export function isClients(via: Via): boolean {
  return via.startsWith(CLIENT);
}

const CLIENT = 'client.';
const key = randomBytes(32);

/**
 * Those who show nothing are one: what the registry refuses to them it may still give to the gate, which fetches a token as
 * nobody, so that a refusal of theirs takes back what they were shown, and that alone.
 */
function clientVia(registry: Registry, login: ClientLogin): Via {
  const hash = createHmac('sha256', key).update(
    JSON.stringify([registry.url.origin, login.authorizationFor(registry) ?? null]),
  );
  return `${CLIENT}${hash.digest('hex').slice(0, 32)}` as Via;
}

/**
 * Whether what a mirror hands out counts for the source as if the registry had. It does for the accounts of the gate, whose right
 * to the name is the operator's to give, as the mirror is. A mirror may have logins of its own, though, or not look at names at
 * all: where the registry itself says who may see what (to nobody in particular, and to clients' own logins), it is asked.
 */
export function takesMirrorsWord({ registry, as }: Pick<Source, 'registry' | 'as'>): boolean {
  if (registry.mirrors.length === 0 || as instanceof ClientLogin) return false;
  // Without configured credentials the gate can show nobody more than everybody is shown.
  return as === 'configured' || registry.credentials.length === 0;
}

/** By the registry itself, so that each is hashed once; one whose settings were reloaded is another. */
const known = new WeakMap<Registry, { anonymous?: Via; configured?: Via }>();

function via(registry: Registry, configured: boolean): Via {
  const kind = configured ? 'configured' : 'anonymous';
  const ofRegistry = known.get(registry) ?? {};
  known.set(registry, ofRegistry);
  return (ofRegistry[kind] ??= hashed(registry, kind));
}

function hashed({ url, credentials }: Registry, kind: 'anonymous' | 'configured'): Via {
  const users = [...new Set(credentials.map(({ username }) => username))].toSorted();
  // A single name stands alone, as it did before there could be several.
  const names = users.length > 1 ? users : (users[0] ?? null);
  const text = JSON.stringify([url.origin, kind === 'configured' ? names : null]);
  return `${kind}.${createHash('sha256').update(text).digest('hex').slice(0, 16)}` as Via;
}
