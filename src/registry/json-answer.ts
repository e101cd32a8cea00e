import type { ServerResponse } from 'node:http';

/** Sends a document. Node leaves the body out of an answer to HEAD by itself. */
export function sendJson(
  response: ServerResponse,
  document: unknown,
  contentType = 'application/json',
): void {
  const body = Buffer.from(JSON.stringify(document));
  response.writeHead(200, { 'Content-Type': contentType, 'Content-Length': body.length }).end(body);
}
