import type { Digest } from '../../oci/digest';
import { OciError } from '../../oci/oci-error';
import { Download } from './download';
import type { DownloadTools } from './keeping';
import type { Ask } from './upstream-content';

/** A fetch that is running, as operators see it. */
export interface RunningDownload {
  readonly digest: Digest;
  /** Bytes; the total is undefined where the upstream does not say. */
  readonly received: number;
  readonly total: number | undefined;
  readonly readers: number;
  /** Milliseconds of the Unix epoch. */
  readonly since: number;
}

/** All fetches: one at most of each content at a time. */
export class Downloads {
  /** Those that can be joined. */
  readonly #running = new Map<Digest, Download>();
  /** Those, and what somebody still reads of others. */
  readonly #all = new Set<Download>();
  #mismatches = 0;
  #closed = false;

  constructor(private readonly tools: DownloadTools) {}

  /** The fetch of that content, if there is one; until it is in the store and settled. */
  running(digest: Digest): Download | undefined {
    return this.#running.get(digest);
  }

  /**
   * Starts to fetch. Whoever starts it joins it, or becomes its reader, in the same turn.
   * @param settle called with the size when the content is in the store, and awaited before it can be fetched again. Where it
   *   fails, the content counts as not held.
   */
  start(digest: Digest, ask: Ask, settle: (size: number) => Promise<void>): Download {
    if (this.#running.has(digest)) throw new Error('this content is being fetched already');
    const download = new Download(
      {
        digest,
        ask,
        settle,
        onOver: (download) => {
          if (this.#running.get(digest) === download) this.#running.delete(digest);
        },
        onReleased: (download) => this.#all.delete(download),
        onMismatch: () => {
          this.#mismatches += 1;
        },
      },
      this.tools,
    );
    this.#running.set(digest, download);
    this.#all.add(download);
    if (this.#closed) download.abort(stopping());
    return download;
  }

  /** What is running now. */
  get all(): readonly RunningDownload[] {
    return [...this.#running.values()].map(({ digest, received, total, readers, since }) => ({
      digest,
      received,
      total,
      readers,
      since,
    }));
  }

  /** Contents that were not what their digest says, since the start. */
  get mismatches(): number {
    return this.#mismatches;
  }

  /** Ends all fetches and their readers, and waits until what was verified is in the store. */
  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#all];
    for (const download of all) download.abort(stopping());
    await Promise.allSettled(all.map(({ finished }) => finished));
  }
}

function stopping(): OciError {
  return new OciError('UNAVAILABLE', { message: 'the gate is stopping' });
}
