import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { Settings } from '../config/settings';
import { OciError } from '../oci/oci-error';

/** Of all accounts together, unless one may have more: what is abandoned must not fill the memory before its time ends. */
const MAX_TOTAL = 100_000;

interface OpenUpload {
  readonly account: string;
  /** On the clock that never goes back. */
  readonly until: number;
}

/**
 * How many uploads each account has open: an account that begins uploads and ends none fills the upstream's disk. Counted
 * in memory; what a restart forgets, the upstream's own purge still ends.
 */
@Injectable()
export class OpenUploads {
  /** In the order of expiry, since all live as long. */
  readonly #open = new Map<string, OpenUpload>();
  readonly #counts = new Map<string, number>();

  constructor(@Inject(Settings) private readonly settings: Settings) {}

  /** How many are remembered, of all accounts. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * A place for an upload that is about to begin; to be ended when the upload has a name of its own, or came to nothing.
   * @throws OciError TOOMANYREQUESTS when the account has MAX_UPLOADS open already.
   */
  reserve(account: string): string {
    this.#forgetOld();
    const count = this.#counts.get(account) ?? 0;
    if (count >= this.settings.maxUploads) {
      throw new OciError('TOOMANYREQUESTS', {
        message: `${account} has ${count} uploads open; end or cancel some first`,
        headers: { 'Retry-After': '60' },
      });
    }
    const place = randomUUID();
    this.touch(account, place);
    return place;
  }

  /** An upload was begun, or went on: its time begins anew. */
  touch(account: string, uuid: string): void {
    // Ended first, so that the map stays in the order of expiry.
    this.end(account, uuid);
    this.#open.set(keyOf(account, uuid), {
      account,
      until: performance.now() + this.settings.uploadTtl,
    });
    this.#counts.set(account, (this.#counts.get(account) ?? 0) + 1);
    this.#forgetOld();
  }

  end(account: string, uuid: string): void {
    this.#forget(keyOf(account, uuid));
  }

  #forgetOld(): void {
    const now = performance.now();
    const most = Math.max(MAX_TOTAL, this.settings.maxUploads);
    for (const [key, { until }] of this.#open) {
      if (until > now && this.#open.size <= most) return;
      this.#forget(key);
    }
  }

  #forget(key: string): void {
    const upload = this.#open.get(key);
    if (!upload) return;
    this.#open.delete(key);
    const left = (this.#counts.get(upload.account) ?? 0) - 1;
    if (left > 0) this.#counts.set(upload.account, left);
    else this.#counts.delete(upload.account);
  }
}

/** A uuid holds no space, so that no two uploads share a key. */
function keyOf(account: string, uuid: string): string {
  return `${account} ${uuid}`;
}
