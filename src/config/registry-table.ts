/** Which registries stand behind the gate, and by which names a request may reach them. */
import type { Settings } from './settings';

/** One registry behind the gate. */
export interface Registry {
  /** Canonical name: in rights, logs and (later) the cache; also its path prefix and its `?ns=`. */
  readonly name: string;
  /** Origin of the registry: scheme, host and port. */
  readonly url: URL;
  /** Host headers, without port, by which it is reached too. */
  readonly hosts: readonly string[];
  readonly credentials?: { readonly username: string; readonly password: string };
  /** `nginx` means `library/nginx`, as on Docker Hub. */
  readonly library: boolean;
  /**
   * What becomes of its redirects of blobs to other hosts: the gate follows them and holds the content, or passes them to the
   * client, which then fetches by itself.
   */
  readonly redirects: 'follow' | 'pass';
  /** Hosts that its redirects may name though their addresses are private. */
  readonly redirectHosts: readonly string[];
  /** Hosts outside its own domain whose token endpoints may get its credentials. */
  readonly authHosts: readonly string[];
  /** One that Tidegate knows by itself, so that its URL is no secret of the operator's. */
  readonly builtIn: boolean;
}

/**
 * An immutable snapshot: a reload makes a new table and swaps it whole. A name that a client gives is a key into it,
 * never an address to connect to.
 */
export class RegistryTable {
  readonly #byName: ReadonlyMap<string, Registry>;
  readonly #byHost: ReadonlyMap<string, Registry>;

  /** @param registries the first is the default registry. */
  constructor(readonly registries: readonly [Registry, ...Registry[]]) {
    this.#byName = new Map(registries.map((registry) => [registry.name, registry]));
    this.#byHost = new Map(
      registries.flatMap((registry) => registry.hosts.map((host) => [host, registry])),
    );
  }

  get default(): Registry {
    return this.registries[0];
  }

  byName(name: string): Registry | undefined {
    return this.#byName.get(name);
  }

  /** @param host a Host header's name in lower case, without port. */
  byHost(host: string): Registry | undefined {
    return this.#byHost.get(host);
  }

  /** True when hosts were given to registries, so that an unknown host is an error and not the default registry. */
  get routesByHost(): boolean {
    return this.#byHost.size > 0;
  }
}

/** Holds the table in force. Ask for `current` once per request, so that one request sees one table. */
export class Registries {
  #current: RegistryTable;

  constructor(table: RegistryTable) {
    this.#current = table;
  }

  get current(): RegistryTable {
    return this.#current;
  }

  swap(table: RegistryTable): void {
    this.#current = table;
  }
}

/** The table that the settings describe. */
export function registryTableOf({ upstream }: Settings): RegistryTable {
  const dockerHub = upstream.name === 'docker.io';
  return new RegistryTable([
    {
      name: upstream.name,
      url: upstream.url,
      hosts: [],
      credentials: upstream.credentials,
      library: dockerHub,
      redirects: upstream.redirects,
      redirectHosts: [],
      authHosts: [],
      builtIn: dockerHub,
    },
  ]);
}
