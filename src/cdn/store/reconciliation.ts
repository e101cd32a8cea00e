/** Store and index side by side: what one of them lost, or never learnt of, heals without anybody's doing. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Digest } from '../../oci/digest';
import type { Log } from '../../journal/log';
import type { ContentIndex, HeldContent } from '../index/content-index';
import type { ContentStore, StoredEntry } from './content-store';
import type { Verification } from './verification';

/** Of either side, read at once. */
const PAGE = 256;

/** In a row, after which more of them are not to be expected to end otherwise. */
const MAX_FAILURES = 10;

interface Found {
  /** Rows without content, which are gone. */
  forgotten: number;
  /** Contents without a row, which have one now. */
  added: number;
  /** Contents whose row told another size, which tells theirs now. */
  resized: number;
}

/**
 * Goes once through all that is held, while the gate serves. Others put, add and delete meanwhile, so that each finding is
 * looked at again right before it is acted upon, and once more after: a row without content costs a miss, content without
 * a row costs room until the next run, and neither lets anybody see what they may not.
 */
export class Reconciliation {
  /** In a row. */
  #failures = 0;

  constructor(
    private readonly store: ContentStore,
    private readonly index: ContentIndex,
    private readonly verification: Verification,
    private readonly log: Log,
  ) {}

  /** Never fails: what stands in the way is logged. Ends early, and quietly, when the signal says so. */
  async run(signal: AbortSignal): Promise<void> {
    const found: Found = { forgotten: 0, added: 0, resized: 0 };
    const damagedBefore = this.verification.damaged;
    try {
      await this.#compareAll(found, signal);
      const all = { ...found, damaged: this.verification.damaged - damagedBefore };
      if (Object.values(all).some((count) => count > 0)) {
        this.log.info(all, 'the cache and its index were compared, and agree again');
      }
    } catch (error) {
      if (signal.aborted) return;
      this.log.error(
        { err: error, ...found },
        'the comparison of the cache and its index broke off',
      );
    }
  }

  /** Both sides come in the digests' order: what is at the head of one alone is missing from the other. */
  async #compareAll(found: Found, signal: AbortSignal): Promise<void> {
    const rows = each<HeldContent>((after) => this.index.list(after, PAGE));
    const files = each<StoredEntry>((after) => this.store.list(after, PAGE));
    let [row, file] = [await next(rows), await next(files)];
    while (row ?? file) {
      signal.throwIfAborted();
      if (row && (!file || row.digest < file.digest)) {
        await this.#attempt(row.digest, signal, (digest) => this.#forget(digest, found));
        row = await next(rows);
      } else if (file && (!row || file.digest < row.digest)) {
        await this.#attempt(file.digest, signal, (digest) => this.#admit(digest, found, signal));
        file = await next(files);
      } else if (row && file) {
        if (row.size !== file.size) {
          await this.#attempt(row.digest, signal, (digest) => this.#resize(digest, found, signal));
        }
        [row, file] = [await next(rows), await next(files)];
      }
    }
  }

  /** One content that cannot be read must not leave the others unseen; an index that takes nothing must not fill the log. */
  async #attempt(
    digest: Digest,
    signal: AbortSignal,
    act: (digest: Digest) => Promise<void>,
  ): Promise<void> {
    try {
      await act(digest);
      this.#failures = 0;
    } catch (error) {
      signal.throwIfAborted();
      this.#failures++;
      if (this.#failures === MAX_FAILURES) throw error;
      this.log.warn({ err: error, digest }, 'the cache and its index differ, and stay so');
    }
  }

  async #forget(digest: Digest, found: Found): Promise<void> {
    if ((await this.#heldSize(digest)) !== undefined) return;
    await this.index.remove(digest);
    // It may have been put in between, and its row removed just now.
    const size = await this.#heldSize(digest);
    if (size === undefined) found.forgotten++;
    else await this.index.add(digest, size);
  }

  /** Hashed first: a name on the disk proves nothing. */
  async #admit(digest: Digest, found: Found, signal: AbortSignal): Promise<void> {
    if (await this.index.content(digest)) return;
    if ((await this.verification.verify(digest, signal)) !== 'sound') return;
    if (await this.#addIfHeld(digest)) found.added++;
  }

  /** Which of the two sizes is right, the digest says. */
  async #resize(digest: Digest, found: Found, signal: AbortSignal): Promise<void> {
    const [row, size] = [await this.index.content(digest), await this.#heldSize(digest)];
    if (!row || row.size === size) return;
    if ((await this.verification.verify(digest, signal)) !== 'sound') return;
    if (await this.#addIfHeld(digest)) found.resized++;
  }

  async #addIfHeld(digest: Digest): Promise<boolean> {
    const size = await this.#heldSize(digest);
    if (size === undefined) return false;
    await this.index.add(digest, size);
    // It may have been deleted in between, and with it a row that was not there yet.
    if ((await this.#heldSize(digest)) !== undefined) return true;
    await this.index.remove(digest);
    return false;
  }

  async #heldSize(digest: Digest): Promise<number | undefined> {
    const content = await this.store.open(digest);
    await content?.close();
    return content?.size;
  }
}

/** All entries, a page at a time, with a turn for everybody else before each page. */
async function* each<T extends { readonly digest: Digest }>(
  list: (after: Digest | undefined) => Promise<readonly T[]>,
): AsyncGenerator<T, undefined> {
  for (let after: Digest | undefined; ;) {
    await turn();
    const page = await list(after);
    yield* page;
    after = page.at(-1)?.digest;
    if (after === undefined) return undefined;
  }
}

async function next<T>(entries: AsyncGenerator<T, undefined>): Promise<T | undefined> {
  const { value } = await entries.next();
  return value;
}
