/** Takes the least recently used out of the cache, a batch at a time. What somebody reads just now is read to its end. */
import type { Digest } from '../../oci/digest';
import type { ContentIndex, HeldContent } from '../index/content-index';
import type { ContentStore } from '../store/content-store';

const BATCH = 100;
/** So many contents that cannot be evicted are passed over; with more of them something is wrong that eviction cannot mend. */
const MAX_STUCK = 1000;

export interface Evicted {
  readonly contents: number;
  readonly bytes: number;
}

export class Eviction {
  #contents = 0;
  #bytes = 0;
  readonly #stuck = new Set<Digest>();

  /** @param onFault is told what keeps content from being evicted; eviction goes on with the next. */
  constructor(
    private readonly store: ContentStore,
    private readonly index: ContentIndex,
    private readonly onFault: (error: unknown) => void,
  ) {}

  /** Contents evicted since the start, and bytes of theirs. */
  get contents(): number {
    return this.#contents;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** What could not be evicted is tried again from now on. */
  retry(): void {
    this.#stuck.clear();
  }

  /**
   * Evicts the coldest, one batch of it at most, until so many bytes are gone.
   * @param before evicts only what was last used before that time.
   * @returns what went; nothing when nothing more can go.
   * @throws Error when the index cannot tell what is cold.
   */
  async coldest(bytes: number, before?: number): Promise<Evicted> {
    for (;;) {
      const stuck = this.#stuck.size;
      if (stuck > MAX_STUCK) return { contents: 0, bytes: 0 };
      const gone = await this.#batch(bytes, before);
      // Behind a batch of which nothing could go there may be more.
      if (gone.contents > 0 || this.#stuck.size === stuck) return gone;
    }
  }

  /** Evicts whatever comes first, where the index cannot tell, as on a disk too full to open it. */
  async any(bytes: number): Promise<void> {
    let gone = 0;
    for (const { digest, size } of await this.store.list(undefined, BATCH)) {
      if (gone >= bytes) return;
      if (await this.store.delete(digest)) gone += size;
    }
  }

  async #batch(bytes: number, before: number | undefined): Promise<Evicted> {
    const candidates = await this.index.coldest(BATCH + this.#stuck.size, before);
    let gone: Evicted = { contents: 0, bytes: 0 };
    for (const content of candidates) {
      if (gone.bytes >= bytes && gone.contents > 0) break;
      if (this.#stuck.has(content.digest) || !(await this.#evict(content))) continue;
      gone = { contents: gone.contents + 1, bytes: gone.bytes + content.size };
    }
    return gone;
  }

  /**
   * The file first: on a full disk the index cannot be written before something has made room, and where this ends in between,
   * a row without a file is a miss, whereas a file without a row would take up room that nobody counts.
   * @returns whether the bytes are gone.
   */
  async #evict({ digest, size }: HeldContent): Promise<boolean> {
    let gone = false;
    try {
      gone = await this.store.delete(digest);
      await this.index.remove(digest);
      gone = true;
      this.#contents += 1;
      this.#bytes += size;
      await this.#keepIfBack(digest);
    } catch (error) {
      this.#stuck.add(digest);
      this.onFault(error);
    }
    return gone;
  }

  /** Fetched and stored again just between the two deletions: its new file must not be left without a row. */
  async #keepIfBack(digest: Digest): Promise<void> {
    const back = await this.store.open(digest);
    if (!back) return;
    await back.close();
    await this.index.add(digest, back.size);
  }
}
