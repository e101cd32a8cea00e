import { Inject, Injectable } from '@nestjs/common';
import { Settings } from '../config/settings';
import { OciError } from '../oci/oci-error';

/**
 * How many uploads each account has open: an account that begins uploads and ends none fills the upstream's disk. Counted
 * in memory; what a restart forgets, the upstream's own purge still ends.
 */
@Injectable()
export class OpenUploads {
  readonly #byAccount = new Map<string, Map<string, number>>();

  constructor(@Inject(Settings) private readonly settings: Settings) {}

  /** @throws OciError TOOMANYREQUESTS when the account has MAX_UPLOADS open already. */
  admit(account: string): void {
    const open = this.#byAccount.get(account);
    if (!open || open.size < this.settings.maxUploads) return;
    this.#forgetOld(open);
    if (open.size < this.settings.maxUploads) return;
    throw new OciError('TOOMANYREQUESTS', {
      message: `${account} has ${open.size} uploads open; end or cancel some first`,
      headers: { 'Retry-After': '60' },
    });
  }

  /** An upload was begun, or went on: its time begins anew. */
  touch(account: string, uuid: string): void {
    const open = this.#byAccount.get(account) ?? new Map<string, number>();
    // Deleted first, so that the map stays in the order of expiry.
    open.delete(uuid);
    open.set(uuid, Date.now() + this.settings.uploadTtl);
    this.#byAccount.set(account, open);
  }

  end(account: string, uuid: string): void {
    const open = this.#byAccount.get(account);
    open?.delete(uuid);
    if (open?.size === 0) this.#byAccount.delete(account);
  }

  #forgetOld(open: Map<string, number>): void {
    const now = Date.now();
    for (const [uuid, until] of open) {
      if (until > now) return;
      open.delete(uuid);
    }
  }
}
