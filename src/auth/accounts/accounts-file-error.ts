import { OciError } from '../../oci/oci-error';

/** One of the account files cannot be read as one. The message names the file, the line where there is one, the remedy. */
export class AccountsFileError extends Error {
  constructor(fault: string) {
    super(fault);
    this.name = 'AccountsFileError';
  }
}

/** The htpasswd file cannot be replaced here; whoever asked for a change learns where it has to be made instead. */
export class ReadOnlyAccounts extends OciError {
  constructor(path: string, reason: string, cause?: unknown) {
    super('CONFLICT', {
      message:
        `accounts are read-only: ${path} cannot be replaced (${reason}). ` +
        'Change the file where it comes from, or set HTPASSWD_FILE to a file in a folder that the gate may write to',
      cause,
    });
    this.name = 'ReadOnlyAccounts';
  }
}
