/** Which registries stand behind the gate, and by which names a request may reach them. */

/** An account of the gate's own at a registry. */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

/** Another place that holds a registry's content. It is asked anonymously: the origin's credentials are not for it. */
export interface Mirror {
  /** Origin: scheme, host and port. */
  readonly url: URL;
  /** It is asked where tags lead, too; else for digests alone, which can be verified. */
  readonly tags: boolean;
}

/** One registry behind the gate. */
export interface Registry {
  /** Canonical name: in rights, logs and (later) the cache; also its path prefix and its `?ns=`. */
  readonly name: string;
  /** Origin of the registry: scheme, host and port. */
  readonly url: URL;
  /** Host headers, without port, by which it is reached too. */
  readonly hosts: readonly string[];
  /** Equal accounts of the gate's own there, which take turns. Empty: it is asked anonymously. */
  readonly credentials: readonly RegistryCredentials[];
  /** Asked before the registry itself, in this order. */
  readonly mirrors: readonly Mirror[];
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
  /** Milliseconds after which a tag is asked again; undefined: CACHE_TAG_TTL. */
  readonly tagTtl?: number;
  /** Where `/v1/search` is asked; undefined: at `url`. */
  readonly search?: URL;
  /** The outgoing proxy for this registry, in place of HTTP_PROXY, HTTPS_PROXY and NO_PROXY. */
  readonly proxy?: URL;
  /** Certificates (PEM) that are trusted for this registry beside those that everybody trusts. */
  readonly ca?: string;
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

  /**
   * @param registries the first is the default registry.
   * @param unknownHost where a host leads that is nobody's (TARGET_UPSTREAM); undefined: nowhere.
   */
  constructor(
    readonly registries: readonly [Registry, ...Registry[]],
    readonly unknownHost?: Registry,
  ) {
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

  /**
   * The same table, with the very objects of an earlier one where nothing of a registry has changed: what is known of it
   * (its tokens, its patience) is tied to the object.
   */
  keeping(earlier: RegistryTable): RegistryTable {
    const kept = (registry: Registry) => {
      const before = earlier.byName(registry.name);
      return before && JSON.stringify(before) === JSON.stringify(registry) ? before : registry;
    };
    const [first, ...others] = this.registries;
    const { unknownHost } = this;
    return new RegistryTable([kept(first), ...others.map(kept)], unknownHost && kept(unknownHost));
  }

  /** Every host that leads to a registry. */
  get hosts(): ReadonlyMap<string, Registry> {
    return this.#byHost;
  }

  /** True when hosts were given to registries, so that an unknown host is an error and not the default registry. */
  get routesByHost(): boolean {
    return this.#byHost.size > 0;
  }
}

/** Holds the table in force. Ask for `current` once per request, so that one request sees one table. */
export class Registries {
  #current: RegistryTable;
  readonly #listeners: ((table: RegistryTable) => void)[] = [];

  constructor(table: RegistryTable) {
    this.#current = table;
  }

  get current(): RegistryTable {
    return this.#current;
  }

  swap(table: RegistryTable): void {
    this.#current = table;
    for (const listener of this.#listeners) listener(table);
  }

  /** Calls back with each table that comes into force. */
  onSwap(listener: (table: RegistryTable) => void): void {
    this.#listeners.push(listener);
  }
}
