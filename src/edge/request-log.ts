/** One line of the log for each request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Log } from '../journal/log';
import { howOf, refusedWith } from './answer';
import type { RequestContext } from './request-context';

/** What had passed over each connection, headers too, when its last request ended. */
const counted = new WeakMap<Socket, { readonly sent: number; readonly received: number }>();

/**
 * Writes the line when the answer has ended, whole or not. What it says is chosen field by field: no header, no query and
 * no path of the client's is among it.
 * @returns where the context goes once there is one; a request that was refused before has a line too.
 */
export function logRequest(
  log: Log,
  request: IncomingMessage,
  response: ServerResponse,
  id: string,
): { context?: RequestContext } {
  const began = performance.now();
  // The relay of bodies writes its own method and address on the request.
  const { socket, method } = request;
  const before = counted.get(socket) ?? { sent: 0, received: 0 };
  const holder: { context?: RequestContext } = {};
  response.once('close', () => {
    const { context } = holder;
    const whole = response.writableFinished;
    const now = { sent: socket.bytesWritten, received: socket.bytesRead };
    counted.set(socket, now);
    const fields = {
      request: id,
      method,
      noun: context?.asked.noun,
      account: context?.identity?.username,
      address: context?.address ?? socket.remoteAddress,
      registry: registryOf(context),
      repository: repositoryOf(context),
      action: context?.need.kind === 'repository' ? context.need.actions.at(-1) : undefined,
      // 499 is nginx's: the client left before there was an answer.
      status: whole || response.headersSent ? response.statusCode : 499,
      code: refusedWith(response),
      cache: howOf(response),
      sent: now.sent - before.sent,
      received: now.received - before.received,
      duration: Math.round(performance.now() - began),
      aborted: whole ? undefined : true,
    };
    if (context?.asked.noun === 'health') log.debug(fields, 'request');
    else log.info(fields, 'request');
  });
  return holder;
}

/** Which registry is asked, where no repository says it. */
function registryOf(context: RequestContext | undefined): string | undefined {
  switch (context?.asked.noun) {
    case 'base':
    case 'token':
      return context.registry.name;
    case 'catalog':
      return context.asked.registry.name;
    case 'search':
      return context.asked.parted.registry.name;
    default:
      return undefined;
  }
}

function repositoryOf(context: RequestContext | undefined): string | undefined {
  return context?.need.kind === 'repository' ? context.need.name.canonical : undefined;
}
