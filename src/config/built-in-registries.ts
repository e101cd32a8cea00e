/** The registries that Tidegate knows by itself: on by default, as they are in public. */
import type { Registry } from './registry-table';

/**
 * By which hosts of CUSTOM_DOMAIN each is reached: the table of cloudflare-docker-proxy, with the additions of
 * go-docker-proxy. `<first>.<domain>`.
 */
const CUSTOM_HOSTS: Readonly<Record<string, readonly string[]>> = {
  'docker.io': ['docker', 'hub', 'registry', 'registry.docker', 'docker-staging'],
  'quay.io': ['quay', 'quay.registry.docker'],
  'gcr.io': ['gcr', 'gcr.registry.docker'],
  'k8s.gcr.io': ['k8s-gcr', 'k8s-gcr.registry.docker'],
  'registry.k8s.io': ['k8s', 'k8s.registry.docker'],
  'ghcr.io': ['ghcr', 'ghcr.registry.docker'],
  'docker.cloudsmith.io': ['cloudsmith', 'cloudsmith.registry.docker'],
  'public.ecr.aws': ['ecr', 'ecr.registry.docker'],
};

/** The hosts by which a registry is reached at a domain; none where there is no domain. */
export function customHostsOf(name: string, domain: string | undefined): string[] {
  if (domain === undefined || !Object.hasOwn(CUSTOM_HOSTS, name)) return [];
  return (CUSTOM_HOSTS[name] ?? []).map((first) => `${first}.${domain}`);
}

/** A registry of which nothing is known but where it is. */
export function plainRegistry(name: string, url: URL): Registry {
  return {
    name,
    url,
    hosts: [],
    credentials: [],
    mirrors: [],
    library: false,
    redirects: 'follow',
    redirectHosts: [],
    authHosts: [],
    builtIn: false,
  };
}

function builtIn(name: string, more: Partial<Registry> = {}): Registry {
  return { ...plainRegistry(name, new URL(`https://${name}`)), builtIn: true, ...more };
}

const DOCKER_HUB = builtIn('docker.io', {
  url: new URL('https://registry-1.docker.io'),
  library: true,
  search: new URL('https://index.docker.io'),
});

export const BUILT_IN_REGISTRIES: readonly Registry[] = [
  DOCKER_HUB,
  builtIn('ghcr.io'),
  builtIn('quay.io'),
  builtIn('gcr.io'),
  builtIn('registry.k8s.io'),
  builtIn('k8s.gcr.io'),
  builtIn('public.ecr.aws'),
  builtIn('docker.cloudsmith.io'),
  builtIn('mcr.microsoft.com'),
];
