/** The table of registries in force, as `check-config` prints it: a line each, and no secret. */
import type { Registry, RegistryTable } from './registry-table';
import { formatDuration } from './setting-values';
import { shownProxy } from './describe-settings';

export function describeRegistries({ registries, unknownHost }: RegistryTable): string[] {
  return registries.map((registry, index) => {
    const notes = [
      ...(index === 0 ? ['the default'] : []),
      ...(registry === unknownHost ? ['for unknown hosts'] : []),
      ...notesOn(registry),
    ];
    const more = notes.length > 0 ? `; ${notes.join('; ')}` : '';
    return `registry ${registry.name}: ${registry.url.origin}${more}`;
  });
}

function notesOn(registry: Registry): string[] {
  const { credentials, hosts, mirrors, library, redirects, redirectHosts, authHosts } = registry;
  const { tagTtl, search, proxy, ca } = registry;
  const listed = (what: string, values: readonly string[]) =>
    values.length > 0 ? [`${what} ${values.join(', ')}`] : [];
  return [
    ...listed(
      'as',
      credentials.map(({ username }) => username),
    ),
    ...listed('hosts', hosts),
    ...listed(
      'mirrors',
      mirrors.map(({ url, tags }) => `${url.origin}${tags ? ' (tags too)' : ''}`),
    ),
    ...(library ? ['library/ may be left out'] : []),
    ...(redirects === 'pass' ? ['redirects are passed'] : []),
    ...listed('redirects to', redirectHosts),
    ...listed('tokens from', authHosts),
    ...(tagTtl === undefined ? [] : [`tags for ${formatDuration(tagTtl)}`]),
    ...(search ? [`search at ${search.origin}`] : []),
    ...(proxy ? [`by proxy ${shownProxy(proxy)}`] : []),
    ...(ca === undefined ? [] : ['certificates of its own']),
  ];
}
