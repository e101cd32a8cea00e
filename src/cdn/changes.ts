import { LRUCache } from 'lru-cache';
import { atMost } from '../config/at-most';
import type { CanonicalName } from '../oci/repository-name';

/** Taken before the upstream is asked, and shown again with its answer. */
export interface Moment {
  readonly name: CanonicalName;
  /** When something changed under the name for all, and for the one who asks. */
  readonly at: readonly number[];
  readonly keys: readonly string[];
}

const MAX_NAMES = 10_000;

/**
 * When something last changed under a name, so that an answer which was asked for before then counts no more. What changed for
 * one who asks alone is nobody else's affair: a stranger may be refused as often as he likes. Of a name that fell out of memory
 * no moment stands.
 */
export class Changes {
  readonly #last = new LRUCache<string, number>(atMost(MAX_NAMES));
  #clock = 0;

  /** @param who asks; without it, only what changes for all counts. */
  now(name: CanonicalName, who?: string): Moment {
    const keys = who === undefined ? [name] : [name, keyOf(name, who)];
    const at = keys.map((key) => this.#last.get(key) ?? this.#noted(key));
    return { name, at, keys };
  }

  /** @param who for whom something changed; without it, it did for all. */
  note(name: CanonicalName, who?: string): void {
    this.#noted(who === undefined ? name : keyOf(name, who));
  }

  /** Whether nothing was noted under the name since that moment, for all or for the one who asked. */
  stands({ at, keys }: Moment): boolean {
    return keys.every((key, index) => this.#last.get(key) === at[index]);
  }

  #noted(key: string): number {
    this.#clock += 1;
    this.#last.set(key, this.#clock);
    return this.#clock;
  }
}

function keyOf(name: CanonicalName, who: string): string {
  return `${name} ${who}`;
}
