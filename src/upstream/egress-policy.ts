/**
 * Where a request may go, and with whose blessing: one policy for token endpoints, redirects, upload addresses and
 * links. A registry is configured by the operator; whatever its answers name is not.
 */
import { Injectable } from '@nestjs/common';
import dns from 'node:dns';
import type { LookupAddress } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { getDomain } from 'tldts';
import type { Registry } from '../config/registry-table';
import { OciError } from '../oci/oci-error';
import { bareHost, classOfAddress, classOfHost, type Reach, wider, within } from './address-reach';

/** How an address is checked when it is dialled: `own` hosts were named by the operator and may be anywhere. */
export type Trust = 'own' | Reach;

/** An address that may not be connected to. Never retried. */
export class ForbiddenAddressError extends Error {
  constructor(readonly host: string) {
    super('the address is not one that the registry may send the gate to');
    this.name = 'ForbiddenAddressError';
  }
}

@Injectable()
export class EgressPolicy {
  /** What own hosts were last seen to be when connected to; as many entries as the operator named hosts. */
  readonly #seen = new Map<string, Reach>();

  /**
   * May the registry have its tokens fetched, and its credentials shown, there? On its own host at any port, on its own
   * registrable domain, or on one of its auth_hosts; never in the clear when the registry itself is not.
   * CVE-2020-15157, CVE-2026-33540.
   */
  allowsRealm(registry: Registry, realm: URL): boolean {
    if (!isWeb(realm) || (registry.url.protocol === 'https:' && realm.protocol !== 'https:'))
      return false;
    if (sameHost(registry.url, realm) || listed(registry.authHosts, realm)) return true;
    // Of one domain, a name reaches no further than another; addresses and names without a dot have none.
    const domain = registrableDomain(realm);
    return domain !== undefined && domain === registrableDomain(registry.url);
  }

  /**
   * May a registry send a GET or HEAD on from one address to another? Content lies on hosts that change (protocol: the
   * list is a hint, never the rule), so any public one is good, but never from https to http, and private addresses
   * only for a registry that is private itself or that lists them in redirect_hosts. Such a request has no credentials.
   */
  allowsRedirect(registry: Registry, from: URL, to: URL): boolean {
    if (!isWeb(to)) return false;
    const secure = registry.url.protocol === 'https:' || from.protocol === 'https:';
    if (secure && to.protocol !== 'https:') return false;
    return (
      this.trustOf(registry, to, registry.redirectHosts) === 'own' ||
      within(this.reachOf(registry), classOfHost(to.hostname))
    );
  }

  /**
   * The absolute URL of an address that must be the registry's own: the Location of an upload, a Link. Requests to it
   * carry credentials and content.
   * @param base the URL of the request that was answered; a relative address is resolved against it.
   * @throws OciError BAD_UPSTREAM for another scheme, host or port. CVE-2020-15157.
   */
  ownAddress(registry: Registry, base: URL, location: string): URL {
    const url = URL.canParse(location, base.href) ? new URL(location, base) : undefined;
    if (!url || !isWeb(url) || url.origin !== registry.url.origin) {
      throw new OciError('BAD_UPSTREAM', {
        message: `${registry.name} named an address that is not its own`,
      });
    }
    url.hash = '';
    return url;
  }

  /**
   * How a URL is to be dialled for a registry.
   * @param hosts more hosts that the operator named for this use: the registry's redirect_hosts, or its auth_hosts.
   */
  trustOf(registry: Registry, url: URL, hosts: readonly string[] = []): Trust {
    return sameHost(registry.url, url) || listed(hosts, url) ? 'own' : this.reachOf(registry);
  }

  /** The widest kind of address that the registry may send the gate to: what it says of itself, or was seen to be. */
  reachOf(registry: Registry): Reach {
    const said = classOfHost(registry.url.hostname);
    const seen = this.#seen.get(bareHost(registry.url.hostname)) ?? 'public';
    // A registry configured by a link-local or reserved address speaks for that address alone.
    return wider(said === 'never' ? 'public' : said, seen);
  }

  /**
   * Notes where an own host was found, once the connection (with TLS, if it has it) stands: who merely answers a
   * look-up with a private address gains nothing.
   */
  observe(hostname: string, address: string): void {
    const found = classOfAddress(address);
    if (found && found !== 'never') this.#seen.set(bareHost(hostname), found);
  }

  /** May an address be connected to? */
  admits(trust: Trust, address: string): boolean {
    return trust === 'own' || within(trust, classOfAddress(address) ?? 'never');
  }

  /**
   * A look-up for net.connect that leaves out what may not be connected to, and fails when nothing remains. Checking
   * here and not before leaves no time for a name to change its address in between (DNS rebinding).
   */
  lookup(trust: Trust): LookupFunction {
    return (hostname, options, callback) => {
      dns.lookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
        if (error) return callback(error, '', 0);
        const [first, ...rest] = found.filter(({ address }) => this.admits(trust, address));
        if (!first) return callback(new ForbiddenAddressError(hostname), '', 0);
        if (options.all) callback(null, [first, ...rest]);
        else callback(null, first.address, first.family);
      });
    };
  }
}

/** http or https, and no credentials in it: nobody has a reason to send the gate such a URL. */
function isWeb(url: URL): boolean {
  return (
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.username === '' &&
    url.password === ''
  );
}

function sameHost(one: URL, other: URL): boolean {
  return bareHost(one.hostname) === bareHost(other.hostname);
}

/** Entries are `host` (any port) or `host:port`. */
function listed(hosts: readonly string[], url: URL): boolean {
  const host = bareHost(url.hostname);
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return hosts.some((entry) => {
    const named = entry.toLowerCase();
    return bareHost(named) === host || named === `${host}:${port}` || named === `[${host}]:${port}`;
  });
}

/** Private suffixes count (`github.io`), else every user of a hosting service would share one domain. */
function registrableDomain(url: URL): string | undefined {
  return getDomain(bareHost(url.hostname), { allowPrivateDomains: true }) ?? undefined;
}
