/** How connections are made for a registry: what may be dialled, through which proxy, and whose certificates are trusted. */
import tls from 'node:tls';
import { LRUCache } from 'lru-cache';
import type { Registry } from '../config/registry-table';
import type { Trust } from './egress-policy';
import type { Peer } from './upstream-faults';

/** Requests of one way may share connections; those of two never do. */
export interface Way {
  readonly trust: Trust;
  /** The registry's own outgoing proxy; undefined: whichever the settings name for the address. */
  readonly proxy?: URL | undefined;
  /** Certificates (PEM) that are trusted beside those that everybody trusts. */
  readonly ca?: string | undefined;
}

/**
 * A registry's proxy is for all that is asked in its name. Its certificates are for hosts that the operator named (its own, its
 * auth_hosts and redirect_hosts) and for its token endpoint: a private authority vouches for nobody else's hosts.
 */
export function wayTo(registry: Registry, trust: Trust, peer?: Peer): Way {
  const named = trust === 'own' || peer === 'tokens';
  return { trust, proxy: registry.proxy, ca: named ? registry.ca : undefined };
}

/** The same for two ways that are the same. It holds the proxy's credentials, and is not for the log. */
export function keyOf({ trust, proxy, ca }: Way): string {
  return JSON.stringify([trust, proxy?.href ?? null, ca ?? null]);
}

const MAX_CONTEXTS = 100;
/** By what is trusted beside the rest: to read all certificates anew would cost each connection milliseconds. */
const contexts = new LRUCache<string, tls.SecureContext>({ max: MAX_CONTEXTS });

/** What TLS needs to trust these certificates too; undefined where they are none. */
export function secureContextFor(ca: string | undefined): tls.SecureContext | undefined {
  if (ca === undefined) return undefined;
  const known = contexts.get(ca);
  if (known) return known;
  const made = tls.createSecureContext({ ca: [...tls.getCACertificates('default'), ca] });
  contexts.set(ca, made);
  return made;
}
