/** What an operator sets, once it is read, checked and frozen. docs/configuration.md lists each setting. */

import type { PresetName } from './presets';

/** An account that the operator wrote into ACCOUNTS; it cannot be changed over REST. */
export interface FixedAccount {
  readonly username: string;
  readonly password: string;
}

/** The default registry and how the gate reaches it. */
export interface UpstreamSettings {
  /** Scheme, host and port; no path, credentials, query or fragment. */
  readonly url: URL;
  /** `docker.io` for Docker Hub's hosts, else `host[:port]` of the URL. */
  readonly name: string;
  readonly credentials?: { readonly username: string; readonly password: string };
  /** See {@link Registry.library}; undefined: as Tidegate knows the registry. */
  readonly library?: boolean;
  /** See {@link Registry.redirects}. */
  readonly redirects: 'follow' | 'pass';
  /** All three in milliseconds. There is no limit on the whole of a transfer. */
  readonly connectTimeout: number;
  readonly headerTimeout: number;
  readonly idleTimeout: number;
}

/** The proxies that every outgoing request takes. Only http: and https: proxies: all ways out can do both. */
export interface OutgoingProxy {
  readonly http?: URL;
  readonly https?: URL;
  /** NO_PROXY as given. */
  readonly except: string;
}

/** So many bytes, or a share (0 to 1) of what there is. */
export type Space = { readonly bytes: number } | { readonly share: number };

/** What is held of what was pulled, and for how long. */
export interface CacheSettings {
  /** Absolute. */
  readonly dir: string;
  /** A share is of what is free and what is held together. */
  readonly maxSize: Space;
  /** What is left free on the disk. A share is of the whole disk. */
  readonly minFree: Space;
  /** Milliseconds after its last use at which content is evicted; without it, only room decides. */
  readonly maxAge?: number;
  /** Milliseconds after which a tag is asked again. */
  readonly tagTtl: number;
  /** Bytes of memory for manifests and for small blobs that are used often. */
  readonly memory: number;
}

export interface Settings {
  /** Whose defaults stand in place of Tidegate's own. */
  readonly preset?: PresetName;
  readonly host: string;
  readonly port: number;
  /** Origin that realm, Location and Link name, without a trailing slash. Without it: the request's own Host. */
  readonly publicUrl?: string;
  /** Number of trusted hops, or addresses and CIDRs; 0 trusts nobody. */
  readonly trustProxy: number | readonly string[];
  readonly tls?: { readonly certFile: string; readonly keyFile: string };

  /** Absolute. */
  readonly dataDir: string;
  /** Absolute. */
  readonly htpasswdFile: string;
  /** Who vouches for a client. */
  readonly authMode: 'accounts' | 'relay' | 'passthrough' | 'open';
  readonly anonymousAccess: 'none' | 'pull';
  /** Globs over canonical names that anonymous readers get with the configured credentials. */
  readonly anonymousRepositories: readonly string[];
  /** Addresses and CIDRs from which clients may pull without a login. */
  readonly trustedNetworks: readonly string[];
  readonly adminUsername: string;
  /** Without it the first admin's password is made and kept in `initial-admin-password`. */
  readonly adminPassword?: string;
  /** In relay: the logins at the upstream that are let through; none means all. */
  readonly accounts: readonly FixedAccount[];

  /** Without it a secret is made once and kept in the data folder. */
  readonly tokenSecret?: string;
  readonly tokenSecretPrevious?: string;
  readonly tokenService: string;
  /** Seconds. */
  readonly tokenTtl: number;

  readonly upstream: UpstreamSettings;
  /** Absolute. The file with what has structure; undefined: `tidegate.yaml` in the data folder, if it is there. */
  readonly configFile?: string;
  /** The domain whose hosts (`ghcr.<domain>`) lead to the registries that are built in. */
  readonly customDomain?: string;
  /** Where a host leads that is nobody's, while {@link isDebugging}. */
  readonly targetUpstream?: { readonly name: string; readonly url: URL };
  readonly outgoingProxy: OutgoingProxy;
  /** Undefined with CACHE=off: everything is streamed, and nothing held. */
  readonly cache?: CacheSettings;

  /** Requests per second and client address; an account has four times that. */
  readonly rateLimit: number;
  readonly rateBurst: number;
  /** /v2 bodies under way at once per account, else per address. */
  readonly maxConnections: number;
  readonly maxUploads: number;
  /** Milliseconds. */
  readonly uploadTtl: number;

  readonly logLevel: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  /** Milliseconds. */
  readonly drainTimeout: number;
  readonly drainDelay: number;
}

/** True with LOG_LEVEL=debug or trace, and with DEBUG=true. */
export function isDebugging({ logLevel }: Pick<Settings, 'logLevel'>): boolean {
  return logLevel === 'debug' || logLevel === 'trace';
}

/** The injection token of the settings. */
export const Settings = Symbol('Settings');
