import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
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

  /**
   * A place for an upload that is about to begin; to be ended when the upload has a name of its own, or came to nothing.
   * @throws OciError TOOMANYREQUESTS when the account has MAX_UPLOADS open already.
   */
  reserve(account: string): string {
    const open = this.#byAccount.get(account);
    if (open && open.size >= this.settings.maxUploads) this.#forgetOld(open);
    if (open && open.size >= this.settings.maxUploads) {
      throw new OciError('TOOMANYREQUESTS', {
        message: `${account} has ${open.size} uploads open; end or cancel some first`,
        headers: { 'Retry-After': '60' },
      });
    }
    const place = randomUUID();
    this.touch(account, place);
    return place;
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
