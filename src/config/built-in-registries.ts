/** The registries that Tidegate knows by itself: on by default, as they are in public. */
import type { Registry } from './registry-table';

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
