import { errors } from 'undici';
import type { BodyConnection } from './body-connection';

/** Of one key: more than that are seldom used again before the upstream ends them. */
const MOST = 8;
/** Milliseconds, where an upstream does not say how long it will wait; and the longest, whatever it says. */
const USUAL = 4_000;
const LONGEST = 60_000;

/** Connections that wait for another question. One of them that ends meanwhile has to be dropped. */
export class KeptConnections {
  readonly #kept = new Map<string, Map<BodyConnection, NodeJS.Timeout>>();

  /** @param wait milliseconds for which the upstream keeps it, where that is known. */
  keep(key: string, connection: BodyConnection, wait: number = USUAL): void {
    const kept = this.#kept.get(key) ?? new Map<BodyConnection, NodeJS.Timeout>();
    if (kept.size >= MOST) return connection.destroy(unused());
    const timer = setTimeout(() => connection.destroy(unused()), Math.min(wait, LONGEST));
    kept.set(connection, timer.unref());
    this.#kept.set(key, kept);
  }

  /** The one that was used last: it is the likeliest to be there still. */
  take(key: string): BodyConnection | undefined {
    const connection = [...(this.#kept.get(key)?.keys() ?? [])].at(-1);
    if (connection) this.drop(key, connection);
    return connection;
  }

  drop(key: string, connection: BodyConnection): void {
    const kept = this.#kept.get(key);
    clearTimeout(kept?.get(connection));
    kept?.delete(connection);
    if (kept?.size === 0) this.#kept.delete(key);
  }
}

function unused(): Error {
  return new errors.InformationalError('not used any more');
}
