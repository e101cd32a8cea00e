/** How full cache and disk are, against what the settings allow. */
import type { CacheSettings, Space } from '../../config/settings';
import type { ContentIndex } from '../index/content-index';
import type { ContentStore } from '../store/content-store';

/** For how long the free bytes are taken as known, in milliseconds. */
const FREE_IS_KNOWN = 1000;
/** Beyond CACHE_MIN_FREE, before a disk that was full counts as having room again: the lesser of these bytes and this share. */
const MARGIN = 64 * 1024 * 1024;
const MARGIN_SHARE = 0.01;

/** In bytes. */
export interface Disk {
  readonly free: number;
  readonly total: number;
}

export class Limits {
  #disk: Promise<Disk> | undefined;
  #askedAt = -Infinity;
  #most: number | undefined;

  constructor(
    private readonly settings: Pick<CacheSettings, 'maxSize' | 'minFree'>,
    private readonly store: ContentStore,
    private readonly index: ContentIndex,
  ) {}

  /** Bytes held. @throws Error when the index cannot tell. */
  async held(): Promise<number> {
    return (await this.index.totals()).bytes;
  }

  /** As it was a second ago at most. @throws Error when the store cannot tell. */
  disk(): Promise<Disk> {
    const isKnown = performance.now() - this.#askedAt < FREE_IS_KNOWN;
    return this.#disk && isKnown ? this.#disk : this.diskNow();
  }

  diskNow(): Promise<Disk> {
    this.#askedAt = performance.now();
    const disk = this.store.free();
    this.#disk = disk;
    disk.catch(() => (this.#disk = undefined));
    return disk;
  }

  /** Bytes that may be held in all, as far as that is known by now. */
  get most(): number | undefined {
    return this.#most;
  }

  /** Bytes that have to go before so many more fit; none where the number is not above zero. */
  lack(more: number, held: number, disk: Disk): number {
    const limit = amount(this.settings.maxSize, disk.free + held);
    this.#most = limit;
    return Math.max(held + more - limit, this.lackOnDisk(more, disk));
  }

  /** The same, for the disk alone. */
  lackOnDisk(more: number, { free, total }: Disk): number {
    return amount(this.settings.minFree, total) + more - free;
  }

  /** What is to be free beyond CACHE_MIN_FREE before anything is stored again. */
  margin({ total }: Disk): number {
    return Math.min(MARGIN, total * MARGIN_SHARE);
  }
}

function amount(space: Space, whole: number): number {
  return 'bytes' in space ? space.bytes : Math.floor(space.share * whole);
}
