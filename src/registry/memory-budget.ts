import type { ServerResponse } from 'node:http';
import { OciError } from '../oci/oci-error';

/**
 * Asks for room for that many bytes before they are read, and waits for it.
 * @returns to be called with what there really was, when it has been read: the rest is room again.
 */
export type Hold = (bytes: number) => Promise<(actual: number) => void>;

export interface MemoryBudgetLimits {
  /** Bytes that all requests together may hold. */
  total: number;
  /** Bytes that one client may hold; its further requests wait, others do not. */
  share: number;
  /** What is no larger than this passes whoever waits: a manifest of today is some kilobytes. */
  small: number;
  /** Milliseconds that a request waits for room. */
  patience: number;
  /** Milliseconds that a client has to take a complete answer, while others wait for the room. */
  tenure: number;
  /** Milliseconds that an answer may take to come, while others wait for the room; less than they have patience for. */
  coming: number;
}

const MIB = 1024 * 1024;
const LIMITS: MemoryBudgetLimits = {
  total: 64 * MIB,
  share: 16 * MIB,
  small: 64 * 1024,
  patience: 10_000,
  tenure: 5_000,
  coming: 8_000,
};

/** Milliseconds. */
const RELIEF_INTERVAL = 50;

interface Holding {
  readonly client: string;
  /** When it was given room. */
  readonly since: number;
  bytes: number;
  /** When its answer was first seen to be complete while others waited. */
  complete?: number;
}

interface Waiting {
  readonly client: string;
  readonly bytes: number;
  readonly response: ServerResponse;
  readonly resolve: () => void;
}

/**
 * Blobs are streamed, but manifests and listings have to be held whole for a moment: verified before they are sent, or
 * sent twice. Without a bound, clients that ask and do not read would fill the memory. All of it is counted here, from
 * before it is read until its answer is closed, so that whoever holds room never waits for more of it.
 */
export class MemoryBudget {
  readonly #limits: MemoryBudgetLimits;
  readonly #holdings = new Map<ServerResponse, Holding>();
  readonly #byClient = new Map<string, number>();
  readonly #waiting = new Set<Waiting>();
  #held = 0;
  #relieving = false;

  constructor(limits: Partial<MemoryBudgetLimits> = {}) {
    this.#limits = { ...LIMITS, ...limits };
  }

  /** What is held now, in bytes. */
  get held(): number {
    return this.#held;
  }

  /** The room of one answer to that client. Its throws: OciError UNAVAILABLE, where there was none in time. */
  for(response: ServerResponse, client: string): Hold {
    return async (bytes) => {
      await this.#take(bytes, response, client);
      return (actual) => this.#giveBack(response, bytes - actual);
    };
  }

  /** Room for that answer, where there is some now and nobody waits for it. @returns whether it was taken. */
  takeNow(bytes: number, response: ServerResponse, client: string): boolean {
    if (response.closed) return false;
    if (!this.#passes(bytes, client) && (this.#waiting.size > 0 || !this.#fits(bytes, client)))
      return false;
    this.#grant(bytes, response, client);
    return true;
  }

  async #take(bytes: number, response: ServerResponse, client: string): Promise<void> {
    if (response.closed) throw noRoom();
    if (this.takeNow(bytes, response, client)) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(late);
        response.off('close', leave);
        this.#waiting.delete(waiting);
        end();
      };
      const leave = () => settle(() => reject(noRoom()));
      const late = setTimeout(leave, this.#limits.patience);
      const waiting = { client, bytes, response, resolve: () => settle(resolve) };
      response.once('close', leave);
      this.#waiting.add(waiting);
      this.#admit();
      this.#relieve();
    });
  }

  /** Small ones wait for nobody, within twice of what else there is: thousands that nobody reads are as good as large ones. */
  #passes(bytes: number, client: string): boolean {
    const { total, share, small } = this.#limits;
    return (
      bytes <= small && this.#held < 2 * total && (this.#byClient.get(client) ?? 0) < 2 * share
    );
  }

  /** One that alone is more than there is may pass when nothing else is held. */
  #fits(bytes: number, client: string): boolean {
    const inTotal = this.#held === 0 || this.#held + bytes <= this.#limits.total;
    return inTotal && this.#fitsShare(bytes, client);
  }

  #fitsShare(bytes: number, client: string): boolean {
    const own = this.#byClient.get(client) ?? 0;
    return own === 0 || own + bytes <= this.#limits.share;
  }

  #grant(bytes: number, response: ServerResponse, client: string): void {
    const holding = this.#holdings.get(response);
    if (holding) holding.bytes += bytes;
    else {
      this.#holdings.set(response, { client, bytes, since: performance.now() });
      response.once('close', () => {
        this.#giveBack(response, this.#holdings.get(response)?.bytes ?? 0);
        this.#holdings.delete(response);
      });
    }
    this.#count(client, bytes);
  }

  #giveBack(response: ServerResponse, bytes: number): void {
    const holding = this.#holdings.get(response);
    if (!holding) return;
    holding.bytes -= bytes;
    this.#count(holding.client, -bytes);
    this.#admit();
  }

  #count(client: string, bytes: number): void {
    this.#held += bytes;
    const own = (this.#byClient.get(client) ?? 0) + bytes;
    if (own > 0) this.#byClient.set(client, own);
    else this.#byClient.delete(client);
  }

  /** In the order of arrival, but nobody waits for one whose own share is used up. */
  #admit(): void {
    for (const { client, bytes, response, resolve } of this.#waiting) {
      if (!this.#passes(bytes, client) && !this.#fits(bytes, client)) continue;
      this.#grant(bytes, response, client);
      resolve();
    }
  }

  /**
   * While anybody waits: cuts, for one a round, answers that are complete and that their clients do not take, or that their
   * registry does not send: a slow registry is no reason to keep what others have from their clients.
   */
  #relieve(): void {
    if (this.#relieving) return;
    this.#relieving = true;
    setTimeout(() => {
      this.#relieving = false;
      this.#cutOnce();
      if (this.#waiting.size > 0) this.#relieve();
    }, RELIEF_INTERVAL);
  }

  /** Each client's first is looked at: thousands may wait. */
  #cutOnce(): void {
    const overdue = this.#overdue();
    const seen = new Set<string>();
    for (const waiting of this.#waiting) {
      if (overdue.length === 0) return;
      if (seen.has(waiting.client)) continue;
      seen.add(waiting.client);
      if (this.#cutFor(waiting, overdue)) return;
    }
  }

  /** The answers that have had their time, the eldest first. */
  #overdue(): [ServerResponse, Holding][] {
    const now = performance.now();
    const { tenure, coming } = this.#limits;
    return [...this.#holdings].filter(([response, holding]) => {
      if (holding.bytes === 0) return false;
      if (response.writableEnded) holding.complete ??= now;
      const { complete, since } = holding;
      return complete === undefined ? now - since >= coming : now - complete >= tenure;
    });
  }

  /** As many as it needs. Whoever has used up its own share is made room at its own cost alone. */
  #cutFor(
    { bytes, client }: Waiting,
    overdue: readonly (readonly [ServerResponse, Holding])[],
  ): boolean {
    const { total, share } = this.#limits;
    const ownOnly = !this.#fitsShare(bytes, client);
    const own = this.#byClient.get(client) ?? 0;
    let missing = ownOnly ? own + bytes - share : this.#held + bytes - total;
    let cut = false;
    for (const [response, holding] of overdue) {
      if (missing <= 0) break;
      if (ownOnly && holding.client !== client) continue;
      missing -= holding.bytes;
      response.destroy();
      cut = true;
    }
    return cut;
  }
}

function noRoom(): OciError {
  return new OciError('UNAVAILABLE', {
    message: 'the gate has too many manifests and listings in hand; try again in a few seconds',
    headers: { 'Retry-After': '5' },
  });
}
