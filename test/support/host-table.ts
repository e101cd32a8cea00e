/** The host table of cloudflare-docker-proxy with go-docker-proxy's additions, as their users know it. */
export const HOST_TABLE: readonly (readonly [registry: string, url: string, ...first: string[]])[] =
  [
    [
      'docker.io',
      'https://registry-1.docker.io',
      'docker',
      'hub',
      'registry',
      'registry.docker',
      'docker-staging',
    ],
    ['quay.io', 'https://quay.io', 'quay', 'quay.registry.docker'],
    ['gcr.io', 'https://gcr.io', 'gcr', 'gcr.registry.docker'],
    ['k8s.gcr.io', 'https://k8s.gcr.io', 'k8s-gcr', 'k8s-gcr.registry.docker'],
    ['registry.k8s.io', 'https://registry.k8s.io', 'k8s', 'k8s.registry.docker'],
    ['ghcr.io', 'https://ghcr.io', 'ghcr', 'ghcr.registry.docker'],
    [
      'docker.cloudsmith.io',
      'https://docker.cloudsmith.io',
      'cloudsmith',
      'cloudsmith.registry.docker',
    ],
    ['public.ecr.aws', 'https://public.ecr.aws', 'ecr', 'ecr.registry.docker'],
  ];

/** Every host of the table at a domain, with the registry and the URL that it leads to. */
export function hostsAt(domain: string): [host: string, registry: string, url: string][] {
  return HOST_TABLE.flatMap(([registry, url, ...first]) =>
    first.map((each): [string, string, string] => [`${each}.${domain}`, registry, url]),
  );
}
