/** Where a request came from and under which name it reached the gate, with trusted proxies believed and no others. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { LRUCache } from 'lru-cache';
import proxyaddr from 'proxy-addr';
import { atMost } from '../config/at-most';
import type { Registry, RegistryTable } from '../config/registry-table';
import type { Settings } from '../config/settings';
import { OciError } from '../oci/oci-error';

/** Tells whether the peer at this many hops from the gate is one of the operator's proxies. */
export type TrustedProxy = (address: string, hop: number) => boolean;

export function trustedProxies({ trustProxy }: Pick<Settings, 'trustProxy'>): TrustedProxy {
  return typeof trustProxy === 'number'
    ? (_address, hop) => hop < trustProxy
    : proxyaddr.compile([...trustProxy]);
}

export interface Origin {
  /** The client's address in its shortest usual form. */
  readonly address: string;
  /**
   * False when somebody forwards requests for others, and is none of the operator's proxies or does not say for whom: then
   * the address is that of whoever stands in between, and says nothing of the client.
   */
  readonly addressCounts: boolean;
  /** The address, of IPv6 its /64. */
  readonly client: string;
  /** `https://gate.example:8443`, no trailing slash: what realm, Location and Link name. */
  readonly base: string;
  /** The registry that the Host header chose. */
  readonly registry?: Registry;
}

const HOST = /^(?:[a-z0-9](?:[a-z0-9_.-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;

/**
 * @throws OciError REQUEST_INVALID for a malformed or doubled Host (threats: forged realms by `Host: evil/x?y#`), and
 * NOT_FOUND for a host that is nobody's where registries are told apart by host.
 */
export function originOf(
  request: IncomingMessage,
  { publicUrl }: Pick<Settings, 'publicUrl'>,
  table: RegistryTable,
  trusts: TrustedProxy,
  { anyHost }: { anyHost: boolean },
): Origin {
  const peer = request.socket.remoteAddress ?? '';
  const behindProxy = trusts(peer, 0);
  const host =
    (behindProxy ? forwarded(request, 'x-forwarded-host') : undefined) ?? hostHeader(request);
  if (host !== undefined && !HOST.test(host)) {
    throw new OciError('REQUEST_INVALID', { message: 'the Host header is not a host name' });
  }
  const scheme = schemeOf(request, behindProxy, publicUrl);
  // A connection that was reset before it was looked at has no peer any more.
  const address = peer === '' ? '' : normalAddress(proxyaddr(request, trusts));
  const registry = host === undefined || anyHost ? undefined : registryOf(host, publicUrl, table);
  return {
    address,
    addressCounts: !isForwarded(request) || (behindProxy && isEndOfChain(request, trusts)),
    client: blockOf(address),
    base:
      registry && host
        ? `${scheme}://${host}`
        : (publicUrl ?? `${scheme}://${host ?? 'localhost'}`),
    registry,
  };
}

/**
 * True when the operator's proxies say for whom they ask, and that one asks for nobody else: whoever stands further left in
 * X-Forwarded-For was let in by a proxy that is none of the operator's, or is made up.
 */
function isEndOfChain(request: IncomingMessage, trusts: TrustedProxy): boolean {
  const said = String(request.headers['x-forwarded-for'] ?? '').split(',');
  const believed = proxyaddr.all(request, trusts).length - 1;
  return said.every((entry) => entry.trim() !== '') && said.length === believed;
}

/** Proxies that were never told to say for whom they ask still give themselves away by one of these. */
function isForwarded({ headers }: IncomingMessage): boolean {
  return FORWARDING.some((name) => headers[name] !== undefined);
}

const FORWARDING = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
] as const;

function hostHeader(request: IncomingMessage): string | undefined {
  if (countOf('host', request.rawHeaders) > 1) {
    throw new OciError('REQUEST_INVALID', { message: 'the request has more than one Host header' });
  }
  return request.headers.host?.toLowerCase();
}

/** @param rawHeaders names and values in turn. */
function countOf(name: string, rawHeaders: readonly string[]): number {
  let count = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const each = rawHeaders[at]!;
    if (each.length === name.length && each.toLowerCase() === name) count += 1;
  }
  return count;
}

/** The value that the nearest proxy wrote: it stands last where several were appended. */
function forwarded(request: IncomingMessage, name: string): string | undefined {
  const header = request.headers[name];
  const value = String(header ?? '')
    .split(',')
    .at(-1)
    ?.trim()
    .toLowerCase();
  return value === '' ? undefined : value;
}

function schemeOf(
  request: IncomingMessage,
  behindProxy: boolean,
  publicUrl: string | undefined,
): string {
  if (publicUrl) return publicUrl.slice(0, publicUrl.indexOf(':'));
  const proto = behindProxy ? forwarded(request, 'x-forwarded-proto') : undefined;
  if (proto === 'https' || proto === 'http') return proto;
  return 'encrypted' in request.socket ? 'https' : 'http';
}

/** A host is a key into the table, never an address to connect to. */
function registryOf(
  host: string,
  publicUrl: string | undefined,
  table: RegistryTable,
): Registry | undefined {
  const name = host.replace(/:\d+$/, '');
  const registry = table.byHost(name);
  if (registry || !table.routesByHost) return registry;
  const own =
    name === 'localhost' ||
    isIP(name.replace(/^\[|\]$/g, '')) !== 0 ||
    name === (publicUrl && new URL(publicUrl).hostname);
  if (own) return undefined;
  if (table.unknownHost) return table.unknownHost;
  throw new OciError('NOT_FOUND', {
    message: 'no registry is reached by this host, and PUBLIC_URL does not name it',
    members: { routes: routesOf(table), message: 'Available registry routes' },
  });
}

/** What cloudflare-docker-proxy says there. The URL of a registry that everybody knows is no secret; others have a name. */
function routesOf({ hosts }: RegistryTable): Record<string, string> {
  return Object.fromEntries(
    [...hosts].map(([host, { builtIn, url, name }]) => [host, builtIn ? url.origin : name]),
  );
}

/** Clients come back, and reading an address costs more than all else that is read of a request. */
const normalAddresses = new LRUCache<string, string>(atMost(1_000));

function normalAddress(text: string): string {
  const known = normalAddresses.get(text);
  if (known !== undefined) return known;
  const address = normalized(text);
  // Longer than any address, with its port: what a proxy made up is not kept.
  if (text.length <= 64) normalAddresses.set(text, address);
  return address;
}

/**
 * IPv4-mapped IPv6 as IPv4, IPv6 in its shortest form, without the port that some proxies add; what is no address (a
 * proxy's mistake) stays as it is, bounded.
 */
function normalized(text: string): string {
  const address = text.replace(/^\[([^\]]*)\](?::\d+)?$|^([\d.]+):\d+$/, '$1$2');
  return ipaddr.isValid(address) ? ipaddr.process(address).toString() : address.slice(0, 64);
}

/** Of IPv6 the /64. */
function blockOf(address: string): string {
  if (!ipaddr.IPv6.isValid(address)) return address;
  return `${ipaddr.IPv6.networkAddressFromCIDR(`${address}/64`).toString()}/64`;
}
