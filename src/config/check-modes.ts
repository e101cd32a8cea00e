/** Whether what is said of clients fits the mode in which they are vouched for. */
import type { SettingName, SettingValues } from './setting-table';
import type { Faults } from './settings-error';

/** What speaks of accounts and of readers without one; the other modes know neither. */
const OF_CLIENTS = [
  'ACCOUNTS',
  'ANONYMOUS_ACCESS',
  'ANONYMOUS_REPOSITORIES',
  'TRUSTED_NETWORKS',
] as const satisfies readonly SettingName[];

const WITHOUT_EFFECT = {
  passthrough: 'where the registry alone decides who may do what',
  open: 'where everybody may pull',
} as const;

/** Whoever sets what would have no effect counts on it. */
export function checkModes(
  { AUTH_MODE, ANONYMOUS_ACCESS, ANONYMOUS_REPOSITORIES, TRUSTED_NETWORKS }: Partial<SettingValues>,
  faults: Faults,
  isSet: (name: SettingName) => boolean,
): void {
  if (AUTH_MODE === 'passthrough' || AUTH_MODE === 'open') {
    for (const name of OF_CLIENTS.filter(isSet))
      faults.add(
        `${name} has no effect with AUTH_MODE=${AUTH_MODE}, ${WITHOUT_EFFECT[AUTH_MODE]}; ` +
          'remove it, or set another mode',
      );
  } else if (ANONYMOUS_REPOSITORIES && ANONYMOUS_ACCESS === 'none' && !TRUSTED_NETWORKS) {
    faults.add(
      'ANONYMOUS_REPOSITORIES has no effect without ANONYMOUS_ACCESS=pull or TRUSTED_NETWORKS; ' +
        'set one of them too, or remove it',
    );
  }
}
