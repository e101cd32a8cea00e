/**
 * How far into the operator's own network an address or a name reaches. A registry's answer may send the gate to other
 * addresses (redirects, token endpoints); without this a hostile registry could read what only the gate's host can see
 * (server-side request forgery: cloud metadata, the operator's other services).
 */
import ipaddr from 'ipaddr.js';

/** The widest kind of address that somebody may name: each includes those before it. */
export type Reach = 'public' | 'private' | 'loopback';

/** What an address is; `never` is no address for anybody to name: link-local (cloud metadata), multicast, reserved … */
export type AddressClass = Reach | 'never';

const WIDTH: Readonly<Record<Reach, number>> = { public: 0, private: 1, loopback: 2 };

/** Azure's metadata and agent service, though the address looks public. */
const PLATFORM_ADDRESSES = new Set(['168.63.129.16']);

const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3');
const NAT64 = ipaddr.IPv6.parseCIDR('64:ff9b::/96');
const IPV4_COMPATIBLE = ipaddr.IPv6.parseCIDR('::/96');

/** The class of an IP address in text (brackets allowed), or undefined when the text is none. */
export function classOfAddress(text: string): AddressClass | undefined {
  const bare = unbracketed(text);
  if (!ipaddr.isValid(bare) || (!bare.includes(':') && !ipaddr.IPv4.isValidFourPartDecimal(bare)))
    return undefined;
  const address = ipaddr.parse(bare);
  return address instanceof ipaddr.IPv4
    ? classOfIPv4(address)
    : classOfIPv6(address as ipaddr.IPv6);
}

function classOfIPv4(address: ipaddr.IPv4): AddressClass {
  if (PLATFORM_ADDRESSES.has(address.toString())) return 'never';
  switch (address.range()) {
    case 'unicast':
      return 'public';
    case 'private':
    case 'carrierGradeNat':
      return 'private';
    case 'loopback':
      return 'loopback';
    default:
      return 'never';
  }
}

/** An IPv4 address in IPv6 clothes is what it wraps: a network or a kernel would unwrap it too. */
function classOfIPv6(address: ipaddr.IPv6): AddressClass {
  const range = address.range();
  if (range === 'loopback') return 'loopback';
  if (range === 'uniqueLocal') return 'private';
  if (range === 'unspecified') return 'never';
  if (range === 'ipv4Mapped' || address.match(NAT64) || address.match(IPV4_COMPATIBLE))
    return classOfIPv4(wrapped(address, 6));
  if (range === '6to4') return classOfIPv4(wrapped(address, 1));
  return range === 'unicast' && address.match(GLOBAL_UNICAST) ? 'public' : 'never';
}

/** The IPv4 address in two of the eight 16-bit parts. */
function wrapped(address: ipaddr.IPv6, at: number): ipaddr.IPv4 {
  const [high = 0, low = 0] = address.parts.slice(at, at + 2);
  return new ipaddr.IPv4([high >> 8, high & 0xff, low >> 8, low & 0xff]);
}

/** Names that only exist within a host or a network: RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`. */
const LOCAL_SUFFIX = /(?:^|\.)(?:local|internal|home\.arpa)$/;

/**
 * The class of a URL's host by what it says alone: an address, or a name. A name that looks public may still resolve to
 * a private address; that is checked where it is looked up.
 */
export function classOfHost(hostname: string): AddressClass {
  const host = bareHost(hostname);
  const literal = classOfAddress(host);
  if (literal) return literal;
  if (host === 'localhost' || host.endsWith('.localhost')) return 'loopback';
  return !host.includes('.') || LOCAL_SUFFIX.test(host) ? 'private' : 'public';
}

/** True when whoever has that reach may name an address of that class. */
export function within(reach: Reach, asked: AddressClass): boolean {
  return asked !== 'never' && WIDTH[asked] <= WIDTH[reach];
}

/** The wider of two. */
export function wider(one: Reach, other: Reach): Reach {
  return WIDTH[one] >= WIDTH[other] ? one : other;
}

/** A URL's hostname in lower case, without brackets and without the trailing dot of a full name. */
export function bareHost(hostname: string): string {
  return unbracketed(hostname.toLowerCase()).replace(/\.$/, '');
}

function unbracketed(text: string): string {
  return text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
}
