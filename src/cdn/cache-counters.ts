/** How often what was asked for was held, since the start of the gate. */
import type { CacheStatus } from './cache-status';

/** Requests and bytes since {@link since}; ratios are between 0 and 1, and missing while there is nothing to divide by. */
export interface CacheCounts {
  readonly since: Date;
  /** Requests that held content could have answered. */
  readonly requests: number;
  /** Those that it did answer. */
  readonly hits: number;
  /** Those that joined a fetch which another one had begun: no hits, and yet nobody was asked. */
  readonly collapsed: number;
  /** Requests that were none of the cache's: pushes, listings, redirects that are passed on. In no ratio. */
  readonly bypassed: number;
  /** Bytes of the answers to `requests`, and of those to `hits`. */
  readonly bytes: number;
  readonly hitBytes: number;
  readonly hitRatio: number | undefined;
  readonly byteHitRatio: number | undefined;
}

export class CacheCounters {
  readonly #since = new Date();
  #requests = 0;
  #hits = 0;
  #collapsed = 0;
  #bypassed = 0;
  #bytes = 0;
  #hitBytes = 0;

  /** Counts one answer. @param bytes of its body; 0 for a HEAD. */
  note(status: CacheStatus, bytes: number): void {
    if (!status.hit && (status.fwd === 'method' || status.fwd === 'bypass')) {
      this.#bypassed += 1;
      return;
    }
    this.#requests += 1;
    this.#bytes += bytes;
    if (status.hit) {
      this.#hits += 1;
      this.#hitBytes += bytes;
    } else if (status.collapsed) this.#collapsed += 1;
  }

  get counts(): CacheCounts {
    return {
      since: this.#since,
      requests: this.#requests,
      hits: this.#hits,
      collapsed: this.#collapsed,
      bypassed: this.#bypassed,
      bytes: this.#bytes,
      hitBytes: this.#hitBytes,
      hitRatio: ratio(this.#hits, this.#requests),
      byteHitRatio: ratio(this.#hitBytes, this.#bytes),
    };
  }
}

function ratio(part: number, whole: number): number | undefined {
  return whole === 0 ? undefined : part / whole;
}
