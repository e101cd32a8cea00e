/** By which Host headers registries are reached: those of CUSTOM_DOMAIN's table, and those of the config file. */
import { customHostsOf } from './built-in-registries';
import type { RegistryEntry } from './registries-file';
import type { Registry } from './registry-table';
import type { Settings } from './settings';
import type { Faults } from './settings-error';

type Hosting = Pick<Settings, 'publicUrl' | 'customDomain'>;

const hostOf = (publicUrl: string | undefined): string | undefined =>
  publicUrl === undefined ? undefined : new URL(publicUrl).hostname;

/** The registry with the hosts that CUSTOM_DOMAIN gives it, but for the one by which clients reach the gate itself. */
export function withCustomHosts(
  registry: Registry,
  { publicUrl, customDomain }: Hosting,
): Registry {
  if (customDomain === undefined) return registry;
  const custom = customHostsOf(registry.name, customDomain);
  const hosts = [...new Set([...custom, ...registry.hosts])];
  return { ...registry, hosts: hosts.filter((host) => host !== hostOf(publicUrl)) };
}

/** A host leads to one registry, and that by which clients reach the gate itself to the default one. */
export function checkHosts(
  settings: Hosting,
  registries: readonly Registry[],
  entries: readonly RegistryEntry[],
  faults: Faults,
): void {
  const own = hostOf(settings.publicUrl);
  const custom = new Map(
    registries.flatMap(({ name }) =>
      customHostsOf(name, settings.customDomain).map((host) => [host, name]),
    ),
  );
  const misled = own === undefined ? undefined : custom.get(own);
  if (misled !== undefined && misled !== registries[0]?.name) {
    faults.add(
      `PUBLIC_URL=${settings.publicUrl} means the gate itself, and by CUSTOM_DOMAIN its host leads to ${misled}; ` +
        'give the gate another host',
    );
  }
  const taken = new Map<string, string>();
  for (const entry of entries) {
    entry.hosts?.forEach((host, index) => {
      const place = `${entry.at('hosts', index)} ${host}`;
      const owner = taken.get(host) ?? custom.get(host);
      if (host === own)
        faults.add(`${place} is the host of PUBLIC_URL, which means the gate itself; give another`);
      if (taken.has(host) || (owner !== undefined && owner !== entry.name))
        faults.add(`${place} leads to ${owner} already; give each host to one registry, once`);
      taken.set(host, entry.name);
    });
  }
}
