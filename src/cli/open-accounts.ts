import { pino } from 'pino';
import { Accounts } from '../auth/accounts/accounts.service';
import { loadEnvironment, readSettings } from '../config/read-settings';
import type { Settings } from '../config/settings';
import { Audit } from '../journal/audit';

/** The settings as the gate would read them in this folder. @throws SettingsError */
export function settingsHere(): Settings {
  return readSettings(loadEnvironment());
}

/**
 * Works on the account files, beside a running gate or without one, and writes nothing by itself. A running gate
 * notices the change and puts it into the audit trail.
 */
export async function withAccounts<T>(
  settings: Settings,
  task: (accounts: Accounts) => Promise<T>,
): Promise<T> {
  const log = pino({ level: 'silent' });
  const accounts = new Accounts(settings, new Audit(log), log);
  await accounts.open({ watch: false });
  try {
    return await task(accounts);
  } finally {
    await accounts.close();
  }
}
