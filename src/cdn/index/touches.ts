/** Uses of content, gathered: one write a second in place of one a request. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Digest } from '../../oci/digest';

/** Between two writes, in milliseconds. */
const INTERVAL = 1000;
/** In one transaction. */
const BATCH = 100;
/** While nothing can be written, uses of further digests are not gathered. */
const MAX_GATHERED = 100_000;

type Use = readonly [digest: Digest, at: number];

export class Touches {
  readonly #gathered = new Map<Digest, number>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  /** @param write takes at most 100 at once; what it throws leaves them gathered. */
  constructor(private readonly write: (uses: readonly Use[]) => Promise<void>) {}

  note(digest: Digest): void {
    if (this.#gathered.size >= MAX_GATHERED && !this.#gathered.has(digest)) return;
    this.#gathered.set(digest, Date.now());
    this.#timer ??= setTimeout(() => this.#writeSoon(), INTERVAL).unref();
  }

  /** Writes what was gathered until now. @throws Error what `write` throws. */
  flush(): Promise<void> {
    const flushed = this.#writing.then(() => this.#writeAll());
    this.#writing = flushed.catch(() => undefined);
    return flushed;
  }

  /** The last of it: nothing more is written by itself. @throws Error what `write` throws. */
  async close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.flush();
  }

  #writeSoon(): void {
    this.#timer = undefined;
    // Lost at worst: the next use gathers them again.
    this.flush().catch(() => undefined);
  }

  async #writeAll(): Promise<void> {
    const uses = [...this.#gathered];
    for (let start = 0; start < uses.length; start += BATCH) {
      const batch = uses.slice(start, start + BATCH);
      await this.write(batch);
      for (const [digest, at] of batch) {
        if (this.#gathered.get(digest) === at) this.#gathered.delete(digest);
      }
      await turn();
    }
  }
}
