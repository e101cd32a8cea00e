/** How many bodies one client may have under way at once: MAX_CONNECTIONS of each account, else of each address. */
import type { IncomingMessage } from 'node:http';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import type { Settings } from '../config/settings';
import { FREE, type Charge, type Exchange, type Gatekeeper } from '../edge/gatekeeper';
import { accountIn, type RequestContext } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import { exchangeOf } from './exchange-of';
import { WaitingRoom } from './waiting-room';

/** Seconds; docker sends a layer again five seconds after a 503. */
const RETRY_AFTER = '5';

type Transfer = 'download' | 'upload';

/**
 * The last guard. A slot is held from here until the answer is closed, however it ends. Over the number, downloads wait
 * for a slot; uploads get 503, since docker ends a push on 429 and sends the layer again on 503.
 */
export class TransferSlots implements CanActivate, Gatekeeper {
  readonly #taken = new Map<string, number>();

  constructor(
    private readonly settings: Pick<Settings, 'maxConnections'>,
    private readonly room = new WaitingRoom(),
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    await this.admit(exchangeOf(execution));
    return true;
  }

  async admit({ context, request, response }: Exchange): Promise<void> {
    const transfer = transferOf(context, request);
    if (!transfer) return;
    const key = clientOf(context);
    if (!this.#take(key)) {
      if (transfer === 'upload') throw refusal('UNAVAILABLE');
      if ((await this.room.join(key, response)) !== 'turn') throw refusal('TOOMANYREQUESTS');
    }
    if (response.closed) {
      this.#release(key);
      // The client left while it waited; nothing may be begun for it any more.
      throw refusal('UNAVAILABLE');
    }
    response.once('close', () => this.#release(key));
  }

  admitNow({ context, request }: Pick<Exchange, 'context' | 'request'>): Charge | undefined {
    return transferOf(context, request) ? undefined : FREE;
  }

  #take(key: string): boolean {
    const taken = this.#taken.get(key) ?? 0;
    if (taken >= this.settings.maxConnections) return false;
    this.#taken.set(key, taken + 1);
    return true;
  }

  /** The slot goes to who waits first, so that it is never free while somebody waits. */
  #release(key: string): void {
    if (this.room.callNext(key)) return;
    const taken = (this.#taken.get(key) ?? 1) - 1;
    if (taken === 0) this.#taken.delete(key);
    else this.#taken.set(key, taken);
  }
}

function clientOf(context: RequestContext): string {
  const account = accountIn(context.identity);
  return account === undefined ? `address:${context.client}` : `account:${account}`;
}

function transferOf(
  { asked, method }: RequestContext,
  request: IncomingMessage,
): Transfer | undefined {
  switch (asked.noun) {
    case 'blob':
      return method === 'GET' ? 'download' : undefined;
    case 'manifest':
      return method === 'PUT' ? 'upload' : undefined;
    case 'uploads':
    case 'upload':
      return hasBody(request) ? 'upload' : undefined;
    default:
      return undefined;
  }
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}

function refusal(code: 'UNAVAILABLE' | 'TOOMANYREQUESTS'): OciError {
  return new OciError(code, {
    message: `too many transfers under way, try again in ${RETRY_AFTER} s; the operator may raise MAX_CONNECTIONS`,
    headers: { 'Retry-After': RETRY_AFTER },
  });
}
