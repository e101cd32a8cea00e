/** `check-config`: would the gate start with this? Prints what is in force, without secrets; writes nothing. */
import { describeSettings } from '../config/describe-settings';
import { settingsHere, withAccounts } from './open-accounts';

/** Throws what the gate would refuse to start with. */
export async function checkConfig(): Promise<void> {
  const settings = settingsHere();
  for (const [name, value] of Object.entries(describeSettings(settings))) say(`${name}: ${value}`);
  const { total, admins } = await withAccounts(settings, async (accounts) => accounts.counts);
  say(`accounts: ${total}, ${admins} of them ${admins === 1 ? 'an admin' : 'admins'}`);
  say('all of it is good');
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
