/** What is no fault in the settings, and still may not be what is meant: said once, at start. */
import type { RegistryTable } from './registry-table';
import { isDebugging, type Settings } from './settings';

type Notice = readonly [level: 'info' | 'warn', message: string];

export function noticesOf(settings: Settings, table: RegistryTable): Notice[] {
  const { targetUpstream, trustedNetworks, anonymousAccess, authMode, tokenSecret } = settings;
  const notices: Notice[] = [];
  if (targetUpstream && !isDebugging(settings))
    notices.push(['warn', 'TARGET_UPSTREAM has no effect without DEBUG=true']);
  else if (targetUpstream && !table.routesByHost)
    notices.push([
      'warn',
      'TARGET_UPSTREAM has no effect without CUSTOM_DOMAIN or hosts in the config file: every host means the default registry',
    ]);
  if (trustedNetworks.length > 0 && anonymousAccess === 'pull')
    notices.push([
      'warn',
      'TRUSTED_NETWORKS has no effect with ANONYMOUS_ACCESS=pull: everybody may pull without a login, from anywhere',
    ]);
  if (authMode !== 'accounts' && tokenSecret === undefined)
    notices.push([
      'info',
      'tokens are good at this replica alone: to run several, give all of them the same TOKEN_SECRET',
    ]);
  return notices;
}
