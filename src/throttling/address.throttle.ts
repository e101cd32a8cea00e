/** The rate of one client address, before anybody knows who asks. */
import { Injectable } from '@nestjs/common';
import type { RequestContext } from '../edge/request-context';
import { BucketThrottle } from './bucket.throttle';

/**
 * Every request is charged, good credentials or not: they are not verified yet. One that shows credentials waits for its
 * turn, so that a team behind one address is slowed down and not cut off; an anonymous one is refused at once.
 * Not charged: health, which probes must always reach, and sealed upload addresses, since a 429 on a body ends a push.
 */
@Injectable()
export class AddressThrottle extends BucketThrottle {
  protected readonly throttle = 'address';
  protected readonly share = 1;

  protected clientOf({ asked, client, credentials }: RequestContext): string | undefined {
    if (asked.noun === 'health') return undefined;
    // Whoever goes on with an upload shows who it is; without that, it is a stranger's knock like any other.
    return asked.noun === 'upload' && credentials.scheme !== 'none' ? undefined : client;
  }

  protected mayWait({ asked, credentials }: RequestContext): boolean {
    // Clients post to the token endpoint only when they have a password or a refresh token.
    if (asked.noun === 'token' && asked.request.method === 'POST') return true;
    return credentials.scheme === 'basic' || credentials.scheme === 'bearer';
  }
}
