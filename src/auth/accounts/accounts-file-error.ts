import { OciError } from '../../oci/oci-error';

/** One of the account files cannot be read as one. The message names file, line where there is one, and remedy. */
export class AccountsFileError extends Error {
  constructor(fault: string) {
    super(fault);
    this.name = 'AccountsFileError';
  }
}

/** The htpasswd file cannot be replaced here; whoever asked for a change learns where it has to be made instead. */
export class ReadOnlyAccounts extends OciError {
  /** What cannot be done, and why. */
  readonly fault: string;

  constructor(path: string, reason: string, cause?: unknown) {
    const fault = `${path} cannot be replaced (${reason})`;
    super('CONFLICT', {
      message:
        `accounts are read-only: ${fault}. ` +
        'Change the file where it comes from, or set HTPASSWD_FILE to a file in a folder that the gate may write to',
      cause,
    });
    this.name = 'ReadOnlyAccounts';
    this.fault = fault;
  }
}
