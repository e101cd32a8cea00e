/** One line of the log for each request. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '../journal/log';
import type { RequestContext } from './request-context';

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
  const { socket } = request;
  const [sent, received] = [socket.bytesWritten, socket.bytesRead];
  const holder: { context?: RequestContext } = {};
  response.once('close', () => {
    const { context } = holder;
    const fields = {
      request: id,
      method: request.method,
      noun: context?.asked.noun,
      account: context?.identity?.username,
      address: context?.address ?? socket.remoteAddress,
      repository: repositoryOf(context),
      action: context?.need.kind === 'repository' ? context.need.actions.at(-1) : undefined,
      status: response.statusCode,
      sent: socket.bytesWritten - sent,
      received: socket.bytesRead - received,
      duration: Math.round(performance.now() - began),
      aborted: response.writableFinished ? undefined : true,
    };
    if (context?.asked.noun === 'health') log.debug(fields, 'request');
    else log.info(fields, 'request');
  });
  return holder;
}

function repositoryOf(context: RequestContext | undefined): string | undefined {
  return context?.need.kind === 'repository' ? context.need.name.canonical : undefined;
}
