/** How the config file writes registries: their names, and the hosts by which they are reached. */
import { isIP } from 'node:net';
import { isDockerHub, isHostName } from './address-values';
import { readBy, Unreadable, type TextSchema } from './setting-values';

const PARTS = /^(\[[^\]]*\]|[^:[\]]+)(?::([1-9]\d{0,4}))?$/;

/** `host`, `host:port`, an address in place of the host, of IPv6 in brackets; undefined for anything else. */
function partsOf(text: string): { host: string; port?: string } | undefined {
  const [, host, port] = PARTS.exec(text) ?? [];
  if (host === undefined || Number(port ?? 1) > 65_535) return undefined;
  // Whatever a URL would write otherwise is a disguise: capitals, 0x7f.1, 2130706433.
  if (URL.parse(`http://${host}/`)?.hostname !== host) return undefined;
  return isHostName(host) || isAddress(host) ? { host, port } : undefined;
}

function isAddress(host: string): boolean {
  return isIP(host.replace(/^\[(.*)\]$/, '$1')) !== 0;
}

/** The canonical name of a registry: what image references begin with. */
export const registryName: TextSchema<string> = readBy((text) => {
  const parts = partsOf(text);
  if (!parts) {
    throw new Unreadable(
      'is no name of a registry; give a host name in lower case, such as ghcr.io or registry.example.com:5000',
    );
  }
  if (parts.port === undefined && !parts.host.includes('.') && !/^(?:localhost$|\[)/.test(text)) {
    throw new Unreadable(
      'has neither a dot nor a port, so that it could be the beginning of a repository of the default registry; ' +
        'give a name such as registry.internal or registry:5000',
    );
  }
  if (text !== 'docker.io' && isDockerHub(text))
    throw new Unreadable('is Docker Hub, whose name here is docker.io; give that');
  return text;
});

/** A Host header that leads to a registry. */
export const registryHost: TextSchema<string> = readBy((text) => {
  const parts = partsOf(text);
  const example = 'give a host name in lower case, such as ghcr.example.com';
  if (!parts) throw new Unreadable(`is no host name; ${example}`);
  if (parts.port !== undefined)
    throw new Unreadable(`holds a port, and hosts count at any port; ${example}`);
  if (parts.host === 'localhost' || isAddress(parts.host))
    throw new Unreadable(`always means the default registry; ${example}`);
  return text;
});

/** A domain of which registries get hosts. */
export const customDomain: TextSchema<string> = readBy((text) => {
  const parts = partsOf(text.toLowerCase());
  if (parts && parts.port === undefined && !isAddress(parts.host)) return parts.host;
  throw new Unreadable('is no domain; give one such as example.com, or localhost');
});

/** A host, at any port or at one, that a registry may name in its answers. */
export const peerHost: TextSchema<string> = readBy((text) => {
  const host = text.toLowerCase();
  if (partsOf(host)) return host;
  throw new Unreadable('is no host; give a host name or an address, with or without a port');
});
