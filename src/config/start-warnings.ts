/** What is no fault in the settings, and still may not be what is meant: said once, at start. */
import type { RegistryTable } from './registry-table';
import { isDebugging, type Settings } from './settings';

export function warningsOf(settings: Settings, table: RegistryTable): string[] {
  const { targetUpstream, trustedNetworks, anonymousAccess, authMode, tokenSecret } = settings;
  const warnings: string[] = [];
  if (targetUpstream && !isDebugging(settings))
    warnings.push('TARGET_UPSTREAM has no effect without DEBUG=true: unknown hosts are refused');
  else if (targetUpstream && !table.routesByHost)
    warnings.push(
      'TARGET_UPSTREAM has no effect without CUSTOM_DOMAIN or hosts in the config file: every host means the default registry',
    );
  if (trustedNetworks.length > 0 && anonymousAccess === 'pull')
    warnings.push(
      'TRUSTED_NETWORKS has no effect with ANONYMOUS_ACCESS=pull: everybody may pull without a login, from anywhere',
    );
  if (authMode !== 'accounts' && tokenSecret === undefined)
    warnings.push(
      'tokens are good at this replica alone: to run several, give all of them the same TOKEN_SECRET',
    );
  return warnings;
}
