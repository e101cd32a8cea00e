import { LRUCache } from 'lru-cache';
import type { CanonicalName } from '../oci/repository-name';

/** Taken before the upstream is asked, and shown again with its answer. */
export interface Moment {
  readonly name: CanonicalName;
  readonly at: number;
}

const MAX_NAMES = 10_000;

/**
 * When something last changed under a name, so that an answer which was asked for before then counts no more. Of a name that
 * fell out of memory no moment stands.
 */
export class Changes {
  readonly #last = new LRUCache<CanonicalName, number>({ max: MAX_NAMES });
  #clock = 0;

  now(name: CanonicalName): Moment {
    const at = this.#last.get(name) ?? this.#tick();
    this.#last.set(name, at);
    return { name, at };
  }

  note(name: CanonicalName): void {
    this.#last.set(name, this.#tick());
  }

  /** Whether nothing was noted under the name since that moment. */
  stands({ name, at }: Moment): boolean {
    return this.#last.get(name) === at;
  }

  #tick(): number {
    this.#clock += 1;
    return this.#clock;
  }
}
