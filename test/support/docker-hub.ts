/**
 * A real registry with tokens that stands for Docker Hub: public repositories for everybody, the others for their
 * owners.
 */
import type { Account } from './http';
import type { Image } from './images';
import { startRegistry, type Registry } from './registry';
import { configFile, type RegistryEntry } from './several-registries';
import { seed } from './stand';

export interface DockerHub {
  readonly registry: Registry;
  /** Who has an account there. */
  readonly owner: Account;
  /** What makes it the gate's `docker.io`, beside others. */
  settings(
    more?: Readonly<Record<string, string>>,
    ...others: RegistryEntry[]
  ): { CONFIG_FILE: string };
}

/** @param images public ones, by repository and tag; what lies below `private/` is its owner's. */
export async function startDockerHub(images: Readonly<Record<string, Image>>): Promise<DockerHub> {
  const registry = await startRegistry({
    auth: 'token',
    isPublic: (repository) => !repository.startsWith('private/'),
  });
  for (const [name, image] of Object.entries(images)) {
    const [repository = '', tag = ''] = name.split(':');
    await seed(registry, repository, tag, image);
  }
  return {
    registry,
    owner: registry.credentials!,
    settings: (more = {}, ...others) =>
      configFile({ name: 'docker.io', url: registry.url, ...more }, ...others),
  };
}

/** The base64 that ACCOUNTS lists. */
export function listed(...accounts: Account[]): { ACCOUNTS: string } {
  const entries = accounts.map(({ username, password }) =>
    Buffer.from(`${username}:${password}`).toString('base64'),
  );
  return { ACCOUNTS: entries.join(',') };
}
