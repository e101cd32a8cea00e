/** A store and an index of a spec's own, with what is held in them made or damaged behind their backs. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pino } from 'pino';
import type { ContentIndex } from '../../src/cdn/index/content-index';
import type { ContentStore } from '../../src/cdn/store/content-store';
import { DiskStore } from '../../src/cdn/store/disk-store';
import type { Spool } from '../../src/cdn/store/spool';
import { SqliteIndex } from '../../src/cdn/index/sqlite-index';
import type { Log } from '../../src/journal/log';
import type { Digest } from '../../src/oci/digest';
import { put, sample, type Sample } from '../contracts/content-store.contract';
import { freshFolder } from './lifecycle';

/** A line of the log. */
export interface Line {
  readonly level: number;
  readonly msg: string;
  readonly digest?: string;
  readonly [field: string]: unknown;
}

export class HeldRoom {
  private constructor(
    private readonly folder: string,
    readonly store: DiskStore,
    readonly index: SqliteIndex,
    /** What was logged. */
    readonly lines: readonly Line[],
    readonly log: Log,
  ) {}

  static async open(): Promise<HeldRoom> {
    const folder = freshFolder('held');
    const lines: Line[] = [];
    const write = (text: string) => void lines.push(JSON.parse(text) as Line);
    const log = pino({ base: null }, { write });
    const store = await DiskStore.open(join(folder, 'cache'));
    const index = await SqliteIndex.open(join(folder, 'index.sqlite'), log);
    return new HeldRoom(folder, store, index, lines, log);
  }

  /** Content that is held as it should be. */
  async hold(content: Sample = sample(1000)): Promise<Sample> {
    await put({ store: this.store, spools: this.store }, content);
    await this.index.add(content.digest, content.bytes.length);
    return content;
  }

  /** Puts a file at the digest's place, whatever is in it. Nothing makes it last, which is quicker. */
  plant({ digest, bytes }: Sample): void {
    const place = this.placeOf(digest);
    mkdirSync(dirname(place), { recursive: true, mode: 0o700 });
    writeFileSync(place, bytes, { mode: 0o600 });
  }

  /** Turns one bit of what is held over. */
  damage(digest: Digest): void {
    const place = this.placeOf(digest);
    const bytes = readFileSync(place);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(place, bytes);
  }

  placeOf(digest: Digest): string {
    const [algorithm, hex] = digest.split(':') as [string, string];
    return join(this.folder, 'cache/blobs', algorithm, hex.slice(0, 2), hex);
  }

  async isHeld(digest: Digest): Promise<{ store: boolean; index: boolean }> {
    const content = await this.store.open(digest);
    await content?.close();
    return {
      store: content !== undefined,
      index: (await this.index.content(digest)) !== undefined,
    };
  }

  async close(): Promise<void> {
    await this.index.close();
    await this.store.close();
  }
}

type Calls<T> = { readonly [K in keyof T]?: T[K] };

/** The thing itself, with some calls done otherwise: so that something happens, or fails, in the very middle. */
export function otherwise<T extends ContentStore | ContentIndex | Spool>(
  target: T,
  calls: Calls<T>,
): T {
  return new Proxy(target, {
    get(original, name) {
      if (Object.hasOwn(calls, name)) return calls[name as keyof T];
      const value: unknown = Reflect.get(original, name, original);
      return typeof value === 'function' ? (value.bind(original) as unknown) : value;
    },
  });
}
