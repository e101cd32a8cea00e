/** The rate of one account, from however many addresses it comes. */
import { Injectable } from '@nestjs/common';
import { accountIn, type RequestContext } from '../edge/request-context';
import { BucketThrottle } from './bucket.throttle';

/**
 * Stands behind the guard. Reads wait for their turn; a write over the rate is refused at once. Not charged: anonymous
 * readers, whose address counts, and sealed upload addresses, since a 429 on a body ends a push.
 */
@Injectable()
export class AccountThrottle extends BucketThrottle {
  protected readonly throttle = 'account';
  protected readonly share = 4;

  protected clientOf({ asked, identity }: RequestContext): string | undefined {
    return asked.noun === 'upload' || asked.noun === 'health' ? undefined : accountIn(identity);
  }

  protected mayWait({ method }: RequestContext): boolean {
    return method === 'GET' || method === 'HEAD';
  }
}
