/** A client that leaves before it was answered. */
import { request } from 'node:http';
import { ADMIN, type CachedStand } from './cached-stand';
import { basic } from './http';

interface Leaver {
  leave(): void;
}

/** Sends the request, and does not wait for an answer. */
export function beginUnanswered(stand: CachedStand, path: string): Leaver {
  const outgoing = request(`${stand.url}${path}`, { agent: false, headers: basic(ADMIN) });
  outgoing.on('error', () => undefined);
  outgoing.end();
  return { leave: () => void outgoing.destroy() };
}
