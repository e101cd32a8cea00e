import type { Registry } from '../../config/registry-table';
import type { Digest } from '../../oci/digest';
import { OciError } from '../../oci/oci-error';
import { Download } from './download';
import type { DownloadTools, Settle } from './keeping';
import type { Ask } from './upstream-content';

/** From whom content is fetched: the registry's name and address. */
export type From = Pick<Registry, 'name' | 'url'>;

/** A fetch that is running, as operators see it. */
export interface RunningDownload {
  /** The registry's name. */
  readonly registry: string;
  readonly digest: Digest;
  /** Bytes; the total is undefined where the upstream does not say. */
  readonly received: number;
  readonly total: number | undefined;
  readonly readers: number;
  /** Milliseconds of the Unix epoch. */
  readonly since: number;
}

interface Running {
  readonly registry: string;
  readonly download: Download;
}

/**
 * All fetches: one at most of each content and registry at a time. Nobody reads along with another registry's fetch, since what
 * it sends is not verified before its end.
 */
export class Downloads {
  /** Those that can be joined. */
  readonly #running = new Map<string, Running>();
  /** Those, and what somebody still reads of others. */
  readonly #all = new Set<Download>();
  #mismatches = 0;
  #closed = false;

  constructor(private readonly tools: DownloadTools) {}

  /** The fetch of that content from that registry, if there is one; until it is in the store and settled. */
  running(from: From, digest: Digest): Download | undefined {
    return this.#running.get(keyOf(from, digest))?.download;
  }

  /**
   * Starts to fetch. Whoever starts it joins it, or becomes its reader, in the same turn.
   * @param settle awaited before the content can be fetched again. Where it fails, the content counts as not held.
   */
  start(from: From, digest: Digest, ask: Ask, settle: Settle): Download {
    const key = keyOf(from, digest);
    if (this.#running.has(key)) throw new Error('this content is being fetched already');
    const download = new Download(
      {
        digest,
        ask,
        settle,
        onOver: (download) => {
          if (this.#running.get(key)?.download === download) this.#running.delete(key);
        },
        onReleased: (download) => this.#all.delete(download),
        onMismatch: () => {
          this.#mismatches += 1;
        },
      },
      this.tools,
    );
    this.#running.set(key, { registry: from.name, download });
    this.#all.add(download);
    if (this.#closed) download.abort(stopping());
    return download;
  }

  /** What is running now. */
  get all(): readonly RunningDownload[] {
    return [...this.#running.values()].map(({ registry, download }) => {
      const { digest, received, total, readers, since } = download;
      return { registry, digest, received, total, readers, since };
    });
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

function keyOf({ name, url }: From, digest: Digest): string {
  return JSON.stringify([name, url.origin, digest]);
}

function stopping(): OciError {
  return new OciError('UNAVAILABLE', { message: 'the gate is stopping' });
}
