/** The index in one SQLite file of the data folder, for one gate. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Log } from '../../journal/log';
import type { Digest } from '../../oci/digest';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import type {
  ContentIndex,
  HeldContent,
  HeldRepository,
  Link,
  TagEntry,
  TagRecord,
} from './content-index';
import type { Via } from '../source';
import { IndexDatabase } from './sqlite-index.database';
import { CHUNK } from './sqlite-index.statements';
import { TagSweep } from './tag-sweep';
import { Touches } from './touches';

/**
 * Every call is answered from this thread, by statements over a bounded number of rows; what takes more of them gives others
 * their turn in between. Calls reject while the disk is full or cannot be written, and work again by themselves.
 */
export class SqliteIndex implements ContentIndex {
  readonly #database: IndexDatabase;
  readonly #touches: Touches;
  readonly #sweep: TagSweep;

  private constructor(file: string, log: Log) {
    const database = new IndexDatabase(file, log);
    this.#database = database;
    this.#touches = new Touches((uses) => database.write(({ contents }) => contents.touch(uses)));
    this.#sweep = new TagSweep(database, log);
  }

  /**
   * @param file absolute; made where there is none. One that is damaged, or of another version, is moved aside.
   * One that cannot be opened now is said so in the log, and tried again with each call.
   */
  static async open(file: string, log: Log): Promise<SqliteIndex> {
    const index = new SqliteIndex(file, log);
    try {
      await index.totals();
    } catch (error) {
      log.warn(
        { err: error, file },
        'the index of the cache cannot be opened: free some room, or make the file writable for the gate; until then nothing is served from the cache',
      );
    }
    index.#sweep.start();
    return index;
  }

  get generation(): number {
    return this.#database.generation;
  }

  content(digest: Digest): Promise<HeldContent | undefined> {
    return this.#database.readOften(`content ${digest}`, ({ contents }) => contents.one(digest));
  }

  add(digest: Digest, size: number): Promise<boolean> {
    return this.#database.write(({ contents }) => contents.add(digest, size));
  }

  async remove(digest: Digest): Promise<void> {
    while (!(await this.#database.write(({ contents }) => contents.remove(digest)))) await turn();
  }

  list(after: Digest | undefined, limit: number): Promise<readonly HeldContent[]> {
    return this.#database.read(({ contents }) => contents.list(after, limit));
  }

  links(name: CanonicalName, digest: Digest): Promise<readonly Link[]> {
    return this.#database.readOften(`links ${name} ${digest}`, ({ links }) =>
      links.of(name, digest),
    );
  }

  link(name: CanonicalName, digest: Digest, link: Link): Promise<void> {
    return this.#database.write(({ links }) => links.add(name, digest, link));
  }

  async unlink(
    name: CanonicalName,
    { digest, via }: { digest?: Digest; via?: Via } = {},
  ): Promise<void> {
    if (digest !== undefined)
      return this.#database.write(({ links }) => links.remove(name, digest, via));
    let after: Digest | undefined;
    for (;;) {
      const start = after;
      after = await this.#database.write(({ links }) => links.removeChunk(name, start, via));
      if (after === undefined) return;
      await turn();
    }
  }

  linked(
    name: CanonicalName,
    after: Digest | undefined,
    limit: number,
  ): Promise<readonly Digest[]> {
    return this.#database.read(({ links }) => links.digests(name, after, limit));
  }

  isLinked(digest: Digest): Promise<boolean> {
    return this.#database.read(({ links }) => links.isLinked(digest));
  }

  async repositories(
    after: CanonicalName | undefined,
    limit: number,
  ): Promise<readonly HeldRepository[]> {
    const page: HeldRepository[] = [];
    for (let last = after; page.length < limit;) {
      const behind = last;
      const name = await this.#database.read(({ links }) => links.nameAfter(behind));
      if (name === undefined) break;
      const repository = await this.#repository(name);
      // None is left where they were unlinked meanwhile.
      if (repository.contents > 0) page.push(repository);
      last = name;
      await turn();
    }
    return page;
  }

  tag(name: CanonicalName, tag: Tag, via: Via): Promise<TagEntry> {
    return this.#database.readOften(`tag ${name} ${tag} ${via}`, ({ tags }) =>
      tags.read(name, tag, via),
    );
  }

  setTag(
    name: CanonicalName,
    tag: Tag,
    via: Via,
    record: TagRecord,
    ifVersion: number,
  ): Promise<boolean> {
    return this.#database.write(({ tags }) => tags.set(name, tag, via, record, ifVersion));
  }

  async forgetTag(name: CanonicalName, tag?: Tag): Promise<void> {
    const version = await this.#database.write(({ tags }) => tags.forget(name, tag));
    // From here on they count for nothing already.
    if (tag === undefined) await this.#sweep.removeVoid(name, version);
  }

  dropTag(name: CanonicalName, tag: Tag, via: Via): Promise<void> {
    return this.#database.write(({ tags }) => tags.drop(name, tag, via));
  }

  suspended(): Promise<readonly string[]> {
    return this.#database.read(({ links }) => links.suspended());
  }

  suspend(registry: string, refused: boolean): Promise<void> {
    return this.#database.write(({ links }) => links.suspend(registry, refused));
  }

  touch(digest: Digest): void {
    this.#touches.note(digest);
  }

  async coldest(
    limit: number,
    before: number = Number.MAX_SAFE_INTEGER,
  ): Promise<readonly HeldContent[]> {
    // An order that is a second old is good enough where nothing can be written, as on a full disk.
    await this.#touches.flush().catch(() => undefined);
    return this.#database.read(({ contents }) => contents.coldest(limit, before));
  }

  totals(): Promise<{ readonly contents: number; readonly bytes: number }> {
    return this.#database.read(({ contents }) => contents.totals());
  }

  async close(): Promise<void> {
    await this.#sweep.stop();
    await this.#touches.close().catch(() => undefined);
    await this.#database.close();
  }

  async #repository(name: CanonicalName): Promise<HeldRepository> {
    let [contents, bytes, usedAt] = [0, 0, 0];
    for (let after: Digest | undefined; ;) {
      const behind = after;
      const sum = await this.#database.read(({ links }) => links.sum(name, behind));
      contents += sum.contents;
      bytes += sum.bytes;
      usedAt = Math.max(usedAt, sum.usedAt);
      if (sum.contents < CHUNK || !sum.last) return { name, contents, bytes, usedAt };
      after = sum.last;
      await turn();
    }
  }
}
