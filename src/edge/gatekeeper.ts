import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestContext } from './request-context';

/** One request on its way in, what was read of it, and where its answer goes. */
export interface Exchange {
  readonly context: RequestContext;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** Takes what a request costs. */
export type Charge = () => void;

export const FREE: Charge = () => undefined;

/** What each guard is beneath: asked in the same words on Nest's way to the controllers and on the short one of pulls. */
export interface Gatekeeper {
  /** Returns when the request may go on. @throws OciError when it may not. */
  admit(exchange: Exchange): Promise<void>;
  /**
   * The same where it is plain that the request may go on, with nothing waited for, asked of others or written down.
   * @returns what takes the price of it, to be called in the same turn if the request does go on; undefined: {@link admit} is to be
   *   asked, which finds everything as it was.
   */
  admitNow(exchange: Exchange): Charge | undefined;
}
