/** Addresses in settings: where to listen, whom to trust, where the registry and the proxies are. */
import { isIP } from 'node:net';
import { readBy, Unreadable, wholeNumber, type TextSchema } from './setting-values';

const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;

/** A host name whose last label is not a number, so that a mistyped IPv4 address is none. */
export function isHostName(text: string): boolean {
  const labels = text.split('.');
  return text.length <= 253 && labels.every((l) => LABEL.test(l)) && !/^\d+$/.test(labels.at(-1)!);
}

/** A port to listen on; 0 takes any free one. */
export const port: TextSchema<number> = wholeNumber(0, 65_535);

/** An address or name to listen on; an IPv6 address with or without brackets. */
export const host: TextSchema<string> = readBy((text) => {
  const bare = /^\[(.*)\]$/.exec(text)?.[1];
  if (bare !== undefined ? isIP(bare) === 6 : isIP(text) !== 0 || isHostName(text)) {
    return bare ?? text;
  }
  throw new Unreadable(
    'is not an address; give an IP address or a host name, such as 0.0.0.0 or ::1',
  );
});

/** `:5002`, `127.0.0.1:5002`, `[::1]:5002` or `localhost:5002`: HOST and PORT in one. */
export const listenAddress: TextSchema<{ host?: string; port: number }> = readBy((text) => {
  const parts = /^(\[[^\]]*\]|[^:]*):(\d{1,5})$/.exec(text);
  const readPort = port.safeParse(parts?.[2]);
  const readHost = host.safeParse(parts?.[1]);
  if (parts && readPort.success && (parts[1] === '' || readHost.success)) {
    return { host: readHost.data, port: readPort.data };
  }
  throw new Unreadable('is not an address; give :5002, 127.0.0.1:5002 or [::1]:5002');
});

/**
 * A URL that names a host and nothing below it. The URL parser forgives much (inner line breaks, backslashes); what it
 * would repair is refused, so that what an operator reads is what the gate uses.
 */
function readOrigin(text: string, example: string): URL {
  const url = /[\s\\]/.test(text) || !/^https?:\/\/[^/]/i.test(text) ? null : URL.parse(text);
  if (!url) throw new Unreadable(`is not a URL of http or https; give ${example}`);
  if (text.includes('@')) throw new Unreadable(`holds a user name or password; give ${example}`);
  if (url.pathname !== '/' || /[?#]/.test(text)) {
    throw new Unreadable(`holds a path or a query; give ${example}`);
  }
  return url;
}

const withScheme = (text: string): string => (text.includes('://') ? text : `https://${text}`);

/** The gate's own origin as clients see it: scheme, host and port, without a trailing slash. */
export const publicUrl: TextSchema<string> = readBy(
  (text) => readOrigin(text, 'the origin alone, such as https://gate.example.com').origin,
);

/** As {@link publicUrl}, where the scheme may be missing: then it is https. */
export const publicHost: TextSchema<string> = readBy(
  (text) => readOrigin(withScheme(text), 'the origin alone, such as gate.example.com').origin,
);

const DOCKER_HUB_HOSTS: ReadonlySet<string> = new Set([
  'registry-1.docker.io',
  'docker.io',
  'index.docker.io',
  'registry.hub.docker.com',
]);

/** True for the hosts by which Docker Hub is known, of which one serves. */
export function isDockerHub(host: string): boolean {
  return DOCKER_HUB_HOSTS.has(host);
}

/** An upstream registry, by URL or by `host[:port]`, which is https. Docker Hub's names mean the one that serves. */
export const upstreamRegistry: TextSchema<{ name: string; url: URL }> = readBy((text) => {
  const url = readOrigin(
    withScheme(text),
    'the origin alone, such as https://registry.example.com or registry.example.com:5000',
  );
  if (DOCKER_HUB_HOSTS.has(url.host)) {
    return { name: 'docker.io', url: new URL('https://registry-1.docker.io') };
  }
  return { name: url.host, url };
});

/** Where a registry is, as {@link upstreamRegistry} reads it. */
export const registryOrigin: TextSchema<URL> = upstreamRegistry.transform(({ url }) => url);

/**
 * An outgoing proxy. Uploads and everything else must be able to take it, and what they have in common is CONNECT (or a
 * plain request) to an HTTP proxy; SOCKS is not among it.
 */
export const outgoingProxy: TextSchema<URL> = readBy((text) => {
  const example = 'http://proxy.example.com:3128 or http://user:password@proxy.example.com:3128';
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') {
    throw new Unreadable(
      `names a ${scheme} proxy, and uploads can go through http and https proxies only; give ${example}`,
    );
  }
  const url = scheme === undefined || /[\s\\]/.test(text) ? null : URL.parse(text);
  if (!url) throw new Unreadable(`is not a URL; give ${example}`);
  if (url.pathname !== '/' || /[?#]/.test(text)) {
    throw new Unreadable(`holds a path or a query; give ${example}`);
  }
  if (!decodes(url.username) || !decodes(url.password)) {
    throw new Unreadable('holds a % that encodes nothing; write % in a user or password as %25');
  }
  return url;
});

function decodes(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}

const NETWORK_NAMES: ReadonlySet<string> = new Set(['loopback', 'linklocal', 'uniquelocal']);
const EVERYBODY =
  'would trust everybody, so that any client could make up its own address and escape the limits; ';
const TRUST_HELP =
  'give the number of proxies in front of the gate, or their addresses, networks or loopback, linklocal, ' +
  'uniquelocal, separated by commas';

/** @param help what would be right, @param everybody why all addresses at once are not. */
function checkedNetwork(entry: string, help: string, everybody: string): string {
  if (NETWORK_NAMES.has(entry)) return entry;
  const [address = '', prefix, ...rest] = entry.split('/');
  const family = isIP(address);
  const bits = prefix === undefined ? 128 : /^\d{1,3}$/.test(prefix) ? Number(prefix) : NaN;
  const known = family !== 0 && !address.includes('%') && rest.length === 0;
  if (!known || Number.isNaN(bits) || (prefix !== undefined && bits > (family === 4 ? 32 : 128))) {
    throw new Unreadable(`is not right; ${help}`);
  }
  if (bits === 0) throw new Unreadable(everybody);
  if (prefix !== undefined && /^::ffff:/i.test(address)) {
    throw new Unreadable(`holds an IPv4 network in IPv6 form; write it as IPv4`);
  }
  return entry;
}

/** Whose X-Forwarded-* headers count: a number of hops, or networks as proxy-addr reads them. */
export const trustedProxies: TextSchema<number | string[]> = readBy((text) => {
  if (/^(?:true|yes|all|any|\*)$/i.test(text)) throw new Unreadable(EVERYBODY + TRUST_HELP);
  if (/^(?:none|false|no)$/i.test(text)) return 0;
  if (/^\d+$/.test(text)) {
    if (Number(text) <= 16) return Number(text);
    throw new Unreadable('is too many hops; give 16 at most');
  }
  return networks(text, TRUST_HELP, EVERYBODY + TRUST_HELP);
});

function networks(text: string, help: string, everybody: string): string[] {
  return text
    .split(',')
    .map((entry) => checkedNetwork(entry.trim().toLowerCase(), help, everybody));
}

/** Whence clients may pull without a login, as proxy-addr reads networks. */
export const trustedNetworks: TextSchema<string[]> = readBy((text) =>
  networks(
    text,
    'give addresses, networks or loopback, linklocal, uniquelocal, separated by commas',
    'holds every address there is; to let everybody pull, set ANONYMOUS_ACCESS=pull',
  ),
);
