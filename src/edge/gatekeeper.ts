import type { IncomingMessage, ServerResponse } from 'node:http';
import type { RequestContext } from './request-context';

/** One request on its way in, what was read of it, and where its answer goes. */
export interface Exchange {
  readonly context: RequestContext;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
}

/** What each guard is beneath: asked in the same words on Nest's way to the controllers and on the short one of pulls. */
export interface Gatekeeper {
  /** Returns when the request may go on. @throws OciError when it may not. */
  admit(exchange: Exchange): Promise<void>;
}
