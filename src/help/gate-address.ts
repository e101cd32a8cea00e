/** Addresses as they stand in clients' files: nothing gets there that was not read by one strict grammar. */

/** Where a client reaches the gate, or one registry of it. */
export interface GateAddress {
  /** `https://gate.example.com`, without a trailing slash. */
  readonly origin: string;
  /** Host, and port where it is not the scheme's own: image names begin with it. */
  readonly host: string;
  readonly plainHttp: boolean;
  /** An address of the client's own machine by its form, which docker trusts without TLS. */
  readonly loopback: boolean;
}

/** Names and addresses, with a port or without. No character of it means anything to JSON, TOML, YAML or a shell. */
const HOST = /^(?:[a-z0-9](?:[a-z0-9._-]{0,251}[a-z0-9])?|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?$/;

/**
 * The address that an origin is, or undefined: URLs may have hosts with quotes, `$` and the like, which would mean
 * something else in a client's file.
 */
export function parseGateAddress(origin: string): GateAddress | undefined {
  const url = URL.parse(origin);
  if (!url || !/^https?:$/.test(url.protocol) || !HOST.test(url.host)) return undefined;
  const bare = url.username === '' && url.pathname === '/' && !/[?#@]/.test(origin);
  return bare ? addressOf(url) : undefined;
}

/** The same scheme and port under another host name, by which the gate tells one registry from others. */
export function besides(address: GateAddress, hostname: string): GateAddress | undefined {
  const port = /:\d+$/.exec(address.host)?.[0] ?? '';
  return parseGateAddress(`${address.plainHttp ? 'http' : 'https'}://${hostname}${port}`);
}

/** True for what a client can take for a registry's name: the first part of an image's name, with a dot or a port. */
export function isImageHost(name: string): boolean {
  return HOST.test(name) && (/[.:]/.test(name) || name === 'localhost');
}

function addressOf({ origin, host, hostname, protocol }: URL): GateAddress {
  const loopback = hostname === 'localhost' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  return { origin, host, plainHttp: protocol === 'http:', loopback };
}
