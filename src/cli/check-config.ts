/** `check-config`: would the gate start with this? Prints what is in force, without secrets; writes nothing. */
import { loadRegistryTable } from '../config/config-file';
import { describeRegistries } from '../config/describe-registries';
import { describeSettings } from '../config/describe-settings';
import { checkDataDir } from '../config/data-dir';
import { settingsHere, withAccounts } from './open-accounts';
import { say } from './say';

/** @throws what the gate would refuse to start with */
export async function checkConfig(): Promise<void> {
  const settings = settingsHere();
  for (const [name, value] of Object.entries(describeSettings(settings))) say(`${name}: ${value}`);
  checkDataDir(settings);
  for (const line of describeRegistries(loadRegistryTable(settings))) say(line);
  const accounts = await withAccounts(settings, async (opened) => opened.list());
  const admins = accounts.filter(({ role }) => role === 'admin').length;
  say(`accounts: ${accounts.length}, ${admins} of them ${admins === 1 ? 'an admin' : 'admins'}`);
  say('all of it is good');
}
