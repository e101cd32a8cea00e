import type { ServerResponse } from 'node:http';
import { OciError } from '../oci/oci-error';

/** Asks for room for that many more bytes, and waits for it. */
export type Hold = (bytes: number) => Promise<void>;

export interface MemoryBudgetLimits {
  /** Bytes that all requests together may hold. */
  total: number;
  /** Milliseconds that a request waits for room. */
  patience: number;
  /** Milliseconds after which a request that holds some may be cut, when others wait. */
  tenure: number;
}

const LIMITS: MemoryBudgetLimits = { total: 64 * 1024 * 1024, patience: 10_000, tenure: 5_000 };

/** Milliseconds. */
const RELIEF_INTERVAL = 50;

interface Holding {
  bytes: number;
  readonly since: number;
}

interface Waiting {
  readonly bytes: number;
  readonly response: ServerResponse;
  readonly resolve: () => void;
}

/**
 * Blobs are streamed, but manifests and listings have to be held whole for a moment: verified before they are sent, or
 * sent twice. Without a bound, clients that ask and do not read would fill the memory. All that is held is counted here;
 * it counts until its answer is closed. Where it is too much, requests wait, and whoever has held on for longest is cut.
 */
export class MemoryBudget {
  readonly #limits: MemoryBudgetLimits;
  readonly #holdings = new Map<ServerResponse, Holding>();
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

  /** The share of one answer. What it throws is OciError UNAVAILABLE: there was no room in time. */
  for(response: ServerResponse): Hold {
    return (bytes) => this.#take(bytes, response);
  }

  async #take(bytes: number, response: ServerResponse): Promise<void> {
    if (this.#waiting.size === 0 && this.#fits(bytes)) return this.#grant(bytes, response);
    await new Promise<void>((resolve, reject) => {
      const settle = (end: () => void) => {
        clearTimeout(late);
        response.off('close', leave);
        this.#waiting.delete(waiting);
        end();
      };
      const leave = () => settle(() => reject(noRoom()));
      const late = setTimeout(leave, this.#limits.patience);
      const waiting: Waiting = { bytes, response, resolve: () => settle(resolve) };
      if (response.closed) return leave();
      response.once('close', leave);
      this.#waiting.add(waiting);
      this.#relieve();
    });
  }

  /** One that alone is more than all there is may pass when nobody else holds any. */
  #fits(bytes: number): boolean {
    return this.#held + bytes <= this.#limits.total || this.#held === 0;
  }

  #grant(bytes: number, response: ServerResponse): void {
    if (response.closed) return;
    const holding = this.#holdings.get(response);
    if (holding) holding.bytes += bytes;
    else {
      this.#holdings.set(response, { bytes, since: performance.now() });
      response.once('close', () => this.#release(response));
    }
    this.#held += bytes;
  }

  #release(response: ServerResponse): void {
    this.#held -= this.#holdings.get(response)?.bytes ?? 0;
    this.#holdings.delete(response);
    this.#admit();
  }

  #admit(): void {
    for (const { bytes, response, resolve } of this.#waiting) {
      if (!this.#fits(bytes)) return;
      this.#grant(bytes, response);
      resolve();
    }
  }

  /** While anybody waits: cuts the eldest holder, one a round, once it has had its time. */
  #relieve(): void {
    if (this.#relieving) return;
    this.#relieving = true;
    setTimeout(() => {
      this.#relieving = false;
      const [eldest] = this.#holdings;
      if (eldest && performance.now() - eldest[1].since > this.#limits.tenure) eldest[0].destroy();
      if (this.#waiting.size > 0) this.#relieve();
    }, RELIEF_INTERVAL);
  }
}

function noRoom(): OciError {
  return new OciError('UNAVAILABLE', {
    message: 'the gate has too many manifests and listings in hand; try again in a few seconds',
    headers: { 'Retry-After': '5' },
  });
}
