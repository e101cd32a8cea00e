/** The table of registries: what is built in, what the settings say of the default one, what the config file changes. */
import { BUILT_IN_REGISTRIES, plainRegistry } from './built-in-registries';
import type { RegistryEntry } from './registries-file';
import { filesOf, type ReadFile } from './registry-files';
import { RegistryTable, type Registry } from './registry-table';
import { checkHosts, withCustomHosts } from './registry-hosts';
import { isDebugging, type Settings } from './settings';
import { Faults } from './settings-error';

const NO_FILES: ReadFile = () => ({ kind: 'absent' });

/**
 * @param entries what the config file says, each right by itself.
 * @param read gives what the files hold that the entries name.
 * @param faults what is wrong already; it takes what does not fit together.
 * @throws SettingsError with every fault.
 */
export function registryTableOf(
  settings: Settings,
  entries: readonly RegistryEntry[] = [],
  read: ReadFile = NO_FILES,
  faults: Faults = new Faults(),
): RegistryTable {
  const first = defaultRegistryOf(settings);
  const others = BUILT_IN_REGISTRIES.filter(({ name }) => name !== first.name);
  const registries = new Map([first, ...others].map((each) => [each.name, each]));
  refuseTwice(entries, faults);
  for (const entry of entries) {
    const base = registries.get(entry.name);
    if (entry.enabled === false) {
      checkRemoval(entry, base, first, faults);
      if (entry.name !== first.name) registries.delete(entry.name);
    } else {
      const changed = changedBy(entry, base, read, faults);
      if (changed) registries.set(entry.name, changed);
    }
  }
  checkHosts(settings, [...registries.values()], entries, faults);
  const target = targetOf(settings, registries, faults);
  faults.throwIfAny();
  if (target) registries.set(target.name, target);
  // A key that is set again keeps its place: the default registry stays the first.
  const [head = first, ...rest] = [...registries.values()].map((each) =>
    withCustomHosts(each, settings),
  );
  const unknownHost = [head, ...rest].find(({ name }) => name === target?.name);
  return new RegistryTable([head, ...rest], unknownHost);
}

/** Where TARGET_UPSTREAM leads while debugging: to the registry that is there, else to one more. */
function targetOf(
  settings: Settings,
  registries: ReadonlyMap<string, Registry>,
  faults: Faults,
): Registry | undefined {
  const { targetUpstream: target } = settings;
  if (!target || !isDebugging(settings)) return undefined;
  const there = [...registries.values()].find(({ url }) => url.origin === target.url.origin);
  if (there) return there;
  const other = registries.get(target.name);
  if (other)
    faults.add(
      `TARGET_UPSTREAM=${target.url.origin} would be ${target.name}, and there is ${other.name} at ` +
        'another address; give that, or change it in the config file',
    );
  return plainRegistry(target.name, target.url);
}

/** The registry that UPSTREAM_REGISTRY says; by the name of one that is built in, it is that one. */
function defaultRegistryOf({ upstream }: Settings): Registry {
  const { name, url, credentials, redirects } = upstream;
  const base = BUILT_IN_REGISTRIES.find((each) => each.name === name) ?? plainRegistry(name, url);
  return {
    ...base,
    url,
    builtIn: isBuiltIn(name, url),
    library: upstream.library ?? base.library,
    credentials: credentials ? [credentials] : [],
    redirects,
  };
}

/** Only where it is what everybody knows it to be: the URL of any other is the operator's own business. */
function isBuiltIn(name: string, url: URL): boolean {
  return BUILT_IN_REGISTRIES.some((each) => each.name === name && each.url.href === url.href);
}

function changedBy(
  entry: RegistryEntry,
  base: Registry | undefined,
  read: ReadFile,
  faults: Faults,
): Registry | undefined {
  const url = entry.url ?? base?.url;
  if (!url) {
    faults.add(
      `${entry.at('url')} is missing; give it, since Tidegate does not know ${entry.name} by itself`,
    );
    return undefined;
  }
  if (entry.credentials && base && base.credentials.length > 0) {
    faults.add(
      `${entry.at('credentials')} and UPSTREAM_USERNAME are both set for ${entry.name}; remove one of them`,
    );
  }
  if (base && base.credentials.length > 0 && url.origin !== base.url.origin) {
    faults.add(
      `${entry.at('url')} is another address than UPSTREAM_REGISTRY's, and UPSTREAM_USERNAME's password would go there; ` +
        'give the credentials in the entry, and remove UPSTREAM_USERNAME',
    );
  }
  const { credentials, ca } = filesOf(entry, read, faults);
  const before = base ?? plainRegistry(entry.name, url);
  return {
    ...before,
    url,
    builtIn: isBuiltIn(entry.name, url),
    hosts: entry.hosts ?? before.hosts,
    credentials: credentials ?? before.credentials,
    mirrors:
      entry.mirrors?.map((mirror) => ({ url: mirror.url, tags: mirror.tags ?? false })) ??
      before.mirrors,
    library: entry.library ?? before.library,
    redirects: entry.redirects ?? before.redirects,
    redirectHosts: entry.redirect_hosts ?? before.redirectHosts,
    authHosts: entry.auth_hosts ?? before.authHosts,
    tagTtl: entry.tag_ttl,
    search: entry.search ?? (entry.url ? undefined : before.search),
    proxy: entry.proxy,
    ca,
  };
}

function refuseTwice(entries: readonly RegistryEntry[], faults: Faults): void {
  const seen = new Set<string>();
  for (const entry of entries) {
    if (seen.has(entry.name))
      faults.add(
        `${entry.at('name')} says ${entry.name} for the second time; make one entry of both`,
      );
    seen.add(entry.name);
  }
}

function checkRemoval(
  entry: RegistryEntry,
  base: Registry | undefined,
  first: Registry,
  faults: Faults,
): void {
  if (entry.name === first.name) {
    faults.add(
      `${entry.at('enabled')} would take out the default registry; set UPSTREAM_REGISTRY to another one, or remove it`,
    );
  } else if (!base && !entry.url) {
    faults.add(
      `${entry.at('enabled')} takes out ${entry.name}, which is not there; remove the entry, or correct the name`,
    );
  }
}
