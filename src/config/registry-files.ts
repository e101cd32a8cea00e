/** What an entry of the config file says by naming other files: passwords and certificates. */
import { X509Certificate } from 'node:crypto';
import { upstreamPassword } from './account-values';
import type { RegistryEntry } from './registries-file';
import type { RegistryCredentials } from './registry-table';
import { shownValue, type Faults } from './settings-error';
import type { Reading } from './watched-file';

/** Gives what a file holds. */
export type ReadFile = (path: string) => Reading;

/** The files that the entries name; absolute. */
export function filesNamedBy(entries: readonly RegistryEntry[]): string[] {
  return entries.flatMap(({ caFile, credentials }) =>
    [caFile, ...(credentials ?? []).map(({ passwordFile }) => passwordFile)].filter(
      (path) => path !== undefined,
    ),
  );
}

/** Credentials and certificates of an entry. What is wrong with their files goes to `faults`, without its content. */
export function filesOf(
  entry: RegistryEntry,
  read: ReadFile,
  faults: Faults,
): { credentials?: RegistryCredentials[]; ca?: string } {
  const credentials = entry.credentials?.map(({ username, password, passwordFile }, index) => {
    if (passwordFile === undefined) return { username, password: password ?? '' };
    const place = `${entry.at('credentials', index, 'password_file')}=${shownValue(passwordFile)}`;
    return { username, password: passwordIn(read(passwordFile), place, faults) };
  });
  if (entry.caFile === undefined) return { credentials };
  const place = `${entry.at('ca_file')}=${shownValue(entry.caFile)}`;
  return { credentials, ca: certificatesIn(read(entry.caFile), place, faults) };
}

function textOf(reading: Reading, place: string, faults: Faults): string | undefined {
  if (reading.kind === 'text') return reading.text;
  const reason = reading.kind === 'absent' ? 'is not there' : reading.reason;
  faults.add(`${place} ${reason}; give a file that the gate may read`);
  return undefined;
}

/** Without the line break at its end that editors and `echo` put there. */
function passwordIn(reading: Reading, place: string, faults: Faults): string {
  const text = textOf(reading, place, faults)?.replace(/\r?\n$/, '');
  if (text === undefined) return '';
  if (text === '') faults.add(`${place} is empty; write the password into it`);
  const fault = upstreamPassword.safeParse(text).error?.issues[0]?.message;
  if (fault !== undefined) faults.add(`${place}: its content ${fault}`);
  return text;
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function certificatesIn(reading: Reading, place: string, faults: Faults): string | undefined {
  const text = textOf(reading, place, faults);
  if (text === undefined) return undefined;
  const certificates = text.match(CERTIFICATE) ?? [];
  if (certificates.length > 0 && certificates.every(isCertificate)) return certificates.join('\n');
  faults.add(`${place} holds no certificates that can be read; give a PEM file of certificates`);
  return undefined;
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).raw.length > 0;
  } catch {
    return false;
  }
}
