/** What a client may know of the gate: the names of its registries, and by which words it reaches each. */
import type { Registry, RegistryTable } from '../config/registry-table';
import { parseRepositoryName } from '../oci/repository-name';
import { besides, isImageHost, type GateAddress } from './gate-address';

/** One registry, as clients of the gate name it. */
export interface RegistryView {
  readonly name: string;
  /** Of built-in registries alone: where others are is the operator's own business. */
  readonly url?: string;
  /** The address at which a name without a registry in it means this one. */
  readonly root?: GateAddress;
  /** `gate.example.com/ghcr.io`: by path. Not for a name with a port, which no client takes for a part of a path. */
  readonly path?: string;
  /** Addresses of the gate that mean this registry alone. */
  readonly hosts: readonly GateAddress[];
  /** A repository and tag to show. */
  readonly example: string;
}

export interface GateView {
  readonly address: GateAddress;
  readonly registries: readonly RegistryView[];
}

/**
 * @param chosen the registry that this address means alone, so that no other is reached by path there; undefined: the
 *   address is of all of them.
 */
export function viewOf(
  address: GateAddress,
  table: RegistryTable,
  chosen: Registry | undefined,
): GateView {
  if (chosen) {
    return { address, registries: [{ ...shown(chosen), root: address, hosts: [] }] };
  }
  const registries = table.registries.map((registry) => ({
    ...shown(registry),
    root: registry === table.default ? address : undefined,
    path: isPathPart(registry.name) ? `${address.host}/${registry.name}` : undefined,
    hosts: registry.hosts
      .map((host) => besides(address, host))
      .filter((each) => each !== undefined),
  }));
  return { address, registries };
}

/** The registries that clients' own images name, and for which the gate can stand in: not those that are the gate itself. */
export function mirrored(view: GateView): readonly RegistryView[] {
  const own = new Set(addresses(view).map(({ host }) => host));
  return view.registries.filter(({ name }) => isImageHost(name) && !own.has(name));
}

/** Every address of the gate, its own first. */
export function addresses({ address, registries }: GateView): readonly GateAddress[] {
  return [address, ...registries.flatMap(({ hosts }) => hosts)];
}

/** With what an image's name may begin to come from this registry through the gate; the shortest first. */
export function beginnings({ root, path, hosts }: RegistryView): readonly string[] {
  return [root?.host, path, ...hosts.map(({ host }) => host)].filter((each) => each !== undefined);
}

function shown(registry: Registry): Pick<RegistryView, 'name' | 'url' | 'example'> {
  return {
    name: registry.name,
    url: registry.builtIn ? registry.url.origin : undefined,
    example: registry.library ? 'library/nginx:latest' : 'org/app:latest',
  };
}

function isPathPart(name: string): boolean {
  return !name.includes('/') && parseRepositoryName(name) !== undefined;
}
