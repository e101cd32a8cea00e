/**
 * Which proxy an outgoing request takes. Written here once, because Node's agents and undici's read NO_PROXY
 * differently, and a name that one of them took for an exception would be a direct connection that the operator
 * forbade.
 */
import ipaddr from 'ipaddr.js';
import type { OutgoingProxy } from '../config/settings';
import { bareHost } from './address-reach';

/**
 * The proxy for a URL, or undefined for a direct connection. HTTPS_PROXY serves https alone and HTTP_PROXY http alone,
 * as for curl and docker. NO_PROXY, separated by commas or spaces: `*`, `host` and `.host` (it and what is under it),
 * `*.host` (only what is under it), an address, a CIDR range (for literal addresses: names are not looked up), each but
 * the range with an optional `:port`.
 */
export function proxyFor(url: URL, proxies: OutgoingProxy): URL | undefined {
  const proxy = url.protocol === 'https:' ? proxies.https : proxies.http;
  return proxy && !isExcepted(url, proxies.except) ? proxy : undefined;
}

function isExcepted(url: URL, except: string): boolean {
  const host = bareHost(url.hostname);
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  return except
    .toLowerCase()
    .split(/[\s,]+/)
    .some((entry) => entry !== '' && covers(entry, host, port));
}

const WITH_PORT = /^(\[[^\]]*\]|[^:]*):(\d+)$/;

function covers(entry: string, host: string, port: string): boolean {
  if (entry.includes('/')) return inRange(entry, host);
  const [, name = entry, only] = WITH_PORT.exec(entry) ?? [];
  if (only !== undefined && only !== port) return false;
  if (name === '*') return true;
  const suffix = bareHost(name.replace(/^\*?\./, ''));
  return host.endsWith(`.${suffix}`) || (host === suffix && !name.startsWith('*.'));
}

function inRange(range: string, host: string): boolean {
  if (!ipaddr.isValidCIDR(range) || !ipaddr.isValid(host)) return false;
  const address = ipaddr.process(host);
  const [network, bits] = ipaddr.parseCIDR(range);
  return address.kind() === network.kind() && address.match(network, bits);
}

/** The Proxy-Authorization that the proxy's URL asks for, its user and password percent-decoded. */
export function proxyAuthorization({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  return `Basic ${Buffer.from(`${decoded(username)}:${decoded(password)}`).toString('base64')}`;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
