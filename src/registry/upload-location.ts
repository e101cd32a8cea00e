import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import { Secrets } from '../config/secrets';
import { Settings } from '../config/settings';
import { addressOf, type NamedRepository } from '../edge/names';
import type { Identity } from '../edge/request-context';
import { OciError } from '../oci/oci-error';

/** What an upload address holds: whose upload it is, of which repository, until when, and where it really goes. */
const Sealed = z.object({
  name: z.string(),
  uuid: z.string(),
  account: z.string(),
  epoch: z.number(),
  url: z.url(),
  until: z.number(),
});

const PURPOSE = 'upload address';
const MAX_URL = 4 * 1024;
/** Of the address and the account as they are sealed, where an odd character takes up to six: a seal has to fit into an address. */
const MAX_WRITTEN = 5 * 1024;
const UUID = /^[A-Za-z0-9_=.-]{1,128}$/;

/**
 * Upload addresses as the client sees them: `/v2/<name as asked>/blobs/uploads/<uuid>?_state=<seal>`. The upstream's own
 * address, which may carry its signature, lies sealed within; nothing of it is taken from the client, so that a push can
 * only ever continue where the upstream itself said (CVE-2020-15157), and only for the account that began it.
 */
@Injectable()
export class UploadLocation {
  constructor(
    private readonly secrets: Secrets,
    @Inject(Settings) private readonly settings: Settings,
  ) {}

  /** The upload's own identifier, if the upstream gave a usable one, else one of ours. */
  uuidFrom(header: string | undefined): string {
    return header !== undefined && UUID.test(header) ? header : randomUUID();
  }

  /**
   * The relative address for the client.
   * @throws OciError BAD_UPSTREAM for an upstream address over 4 KiB.
   */
  seal(name: NamedRepository, { username, epoch }: Identity, uuid: string, url: URL): string {
    const written = Buffer.byteLength(JSON.stringify([url.href, username]));
    if (url.href.length > MAX_URL || written > MAX_WRITTEN) {
      throw new OciError('BAD_UPSTREAM', {
        message: 'the upstream registry gave an upload address of more than 4 KiB',
      });
    }
    const state = this.secrets.seal(PURPOSE, {
      name: name.canonical,
      uuid,
      account: username ?? '',
      epoch,
      url: url.href,
      until: Date.now() + this.settings.uploadTtl,
    });
    return addressOf(name, `blobs/uploads/${uuid}`, `_state=${state}`);
  }

  /**
   * The upstream's address: the registry's own, where it is now. One that moved meanwhile knows nothing of the upload, and its
   * credentials are not for whoever has the old address.
   * @throws OciError BLOB_UPLOAD_UNKNOWN for an address that is altered, expired, of another repository, of another account or
   *   of where the registry was before.
   */
  open(name: NamedRepository, { username, epoch }: Identity, uuid: string, state: string): URL {
    const sealed = Sealed.safeParse(this.secrets.unseal(PURPOSE, state));
    const good =
      sealed.success &&
      sealed.data.name === name.canonical &&
      sealed.data.uuid === uuid &&
      sealed.data.account === (username ?? '') &&
      sealed.data.epoch === epoch &&
      sealed.data.until > Date.now() &&
      new URL(sealed.data.url).origin === name.registry.url.origin;
    if (!good)
      throw new OciError('BLOB_UPLOAD_UNKNOWN', {
        message: 'there is no such upload here, or not any more: begin it anew',
      });
    return new URL(sealed.data.url);
  }
}
