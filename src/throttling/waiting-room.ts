/** Lines of requests that wait for their turn, one line a key: bounded in number and in time. */
import type { ServerResponse } from 'node:http';

/**
 * How a wait ended: it is the caller's turn; its patience ended; its client left; there was no room to wait in.
 */
export type Outcome = 'turn' | 'late' | 'gone' | 'full';

export interface WaitingRoomLimits {
  /** Waiting requests of all keys together, and of one key: each holds a socket and a timer. */
  total: number;
  perKey: number;
  /** Milliseconds. */
  patience: number;
}

/** Clients give up, or show an error, not long after ten seconds of silence. */
const LIMITS: WaitingRoomLimits = { total: 1000, perKey: 100, patience: 10_000 };

type Ticket = (outcome: Outcome) => void;

export class WaitingRoom {
  readonly #lines = new Map<string, Set<Ticket>>();
  readonly #limits: WaitingRoomLimits;
  #waiting = 0;

  constructor(limits: Partial<WaitingRoomLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** How many wait for that key. Who comes when somebody waits goes to the end of the line. */
  length(key: string): number {
    return this.#lines.get(key)?.size ?? 0;
  }

  /** Joins the end of the key's line. @param response its client's leaving ends the wait. */
  join(key: string, response: ServerResponse): Promise<Outcome> {
    if (response.closed) return Promise.resolve('gone');
    const { total, perKey, patience } = this.#limits;
    if (this.#waiting >= total || this.length(key) >= perKey) return Promise.resolve('full');
    return new Promise((resolve) => {
      const line = this.#lines.get(key) ?? new Set<Ticket>();
      this.#lines.set(key, line);
      const ticket: Ticket = (outcome) => {
        clearTimeout(timer);
        response.off('close', leave);
        line.delete(ticket);
        if (line.size === 0) this.#lines.delete(key);
        this.#waiting -= 1;
        resolve(outcome);
      };
      const leave = () => ticket('gone');
      const timer = setTimeout(() => ticket('late'), patience);
      response.once('close', leave);
      line.add(ticket);
      this.#waiting += 1;
    });
  }

  /** Tells the first of the line that it is its turn. @returns false when nobody waits. */
  callNext(key: string): boolean {
    const [first] = this.#lines.get(key) ?? [];
    first?.('turn');
    return first !== undefined;
  }

  /** Ends the wait of the whole line: its turn cannot come. */
  dismiss(key: string): void {
    for (const ticket of this.#lines.get(key) ?? []) ticket('late');
  }
}
