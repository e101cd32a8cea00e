/**
 * What registries said to clients with logins of their own. It is remembered for a minute and in memory alone: such a login
 * may end at any time without the gate's being told, and nothing of it outlives the process.
 */
import { LRUCache } from 'lru-cache';
import { atMost } from '../../config/at-most';
import type { Digest } from '../../oci/digest';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import { isClients, type Via } from '../source';
import type {
  ContentIndex,
  HeldContent,
  HeldRepository,
  Link,
  TagEntry,
  TagRecord,
} from './content-index';
import { KeyGroups } from './key-groups';

/** Milliseconds. */
const REMEMBERED_FOR = 60_000;
const MAX_LINKS = 50_000;
const MAX_TAGS = 20_000;

interface Yes {
  readonly name: CanonicalName;
  readonly digest: Digest;
  readonly link: Link;
}

/** An index beside which clients' rights are remembered; all else is the index's own. */
export class ClientRights implements ContentIndex {
  readonly #yeses: LRUCache<string, Yes>;
  /**
   * The keys of {@link #yeses}, by digest, and by name and via: a stranger has rights taken back as often as he is refused, and
   * must not have all of them looked through.
   */
  readonly #groups = new KeyGroups();
  readonly #tags: LRUCache<string, TagRecord>;
  /** Raised by each push and deletion: what was asked for before must not be remembered after it. */
  #version = 0;

  /** @param now milliseconds of a clock that never goes back. */
  constructor(
    private readonly index: ContentIndex,
    now: () => number = () => performance.now(),
  ) {
    const passing = { ttl: REMEMBERED_FOR, ttlResolution: 0, perf: { now } };
    this.#yeses = new LRUCache({
      ...atMost(MAX_LINKS),
      ...passing,
      dispose: (yes, key) => this.#groups.remove(key, groupsOf(yes)),
    });
    this.#tags = new LRUCache({ ...atMost(MAX_TAGS), ...passing });
  }

  /** Of what lasts: what clients were told by logins of their own is not in it. */
  get generation(): number | undefined {
    return this.index.generation;
  }

  async links(name: CanonicalName, digest: Digest): Promise<readonly Link[]> {
    const lasting = await this.index.links(name, digest);
    // One that is too old is disposed of by being asked for.
    const passing = this.#groups.of(digest).flatMap((key) => {
      const yes = this.#yeses.get(key);
      return yes?.name === name ? yes.link : [];
    });
    return [...lasting, ...passing];
  }

  async link(name: CanonicalName, digest: Digest, link: Link): Promise<void> {
    if (!isClients(link.via)) return this.index.link(name, digest, link);
    if (!(await this.index.content(digest))) return;
    const noun = link.mediaType === undefined ? 'blob' : 'manifest';
    const key = `${name} ${digest} ${link.via} ${noun}`;
    const yes = { name, digest, link };
    // Before the groups: one that is set anew leaves them.
    this.#yeses.set(key, yes);
    this.#groups.add(key, groupsOf(yes));
  }

  async unlink(name: CanonicalName, only: { digest?: Digest; via?: Via } = {}): Promise<void> {
    const { digest, via } = only;
    const group = digest ?? (via === undefined ? undefined : readerKey(name, via));
    this.#drop(
      group === undefined ? [...this.#yeses.keys()] : this.#groups.of(group),
      (yes) => yes.name === name && (via === undefined || yes.link.via === via),
    );
    if (via === undefined || !isClients(via)) await this.index.unlink(name, only);
  }

  async tag(name: CanonicalName, tag: Tag, via: Via): Promise<TagEntry> {
    if (!isClients(via)) return this.index.tag(name, tag, via);
    return { record: this.#tags.get(tagKey(name, tag, via)), version: this.#version };
  }

  async setTag(
    name: CanonicalName,
    tag: Tag,
    via: Via,
    record: TagRecord,
    ifVersion: number,
  ): Promise<boolean> {
    if (!isClients(via)) return this.index.setTag(name, tag, via, record, ifVersion);
    if (ifVersion !== this.#version) return false;
    this.#tags.set(tagKey(name, tag, via), record);
    return true;
  }

  async forgetTag(name: CanonicalName, tag?: Tag): Promise<void> {
    this.#version += 1;
    const meant = tag === undefined ? `${name} ` : `${name} ${tag} `;
    const keys = [...this.#tags.keys()].filter((key) => key.startsWith(meant));
    for (const key of keys) this.#tags.delete(key);
    await this.index.forgetTag(name, tag);
  }

  async dropTag(name: CanonicalName, tag: Tag, via: Via): Promise<void> {
    if (!isClients(via)) return this.index.dropTag(name, tag, via);
    this.#tags.delete(tagKey(name, tag, via));
  }

  content(digest: Digest): Promise<HeldContent | undefined> {
    return this.index.content(digest);
  }

  add(digest: Digest, size: number): Promise<boolean> {
    return this.index.add(digest, size);
  }

  async remove(digest: Digest): Promise<void> {
    this.#drop(this.#groups.of(digest));
    await this.index.remove(digest);
  }

  list(after: Digest | undefined, limit: number): Promise<readonly HeldContent[]> {
    return this.index.list(after, limit);
  }

  linked(
    name: CanonicalName,
    after: Digest | undefined,
    limit: number,
  ): Promise<readonly Digest[]> {
    return this.index.linked(name, after, limit);
  }

  isLinked(digest: Digest): Promise<boolean> {
    return this.index.isLinked(digest);
  }

  repositories(
    after: CanonicalName | undefined,
    limit: number,
  ): Promise<readonly HeldRepository[]> {
    return this.index.repositories(after, limit);
  }

  suspended(): Promise<readonly string[]> {
    return this.index.suspended();
  }

  suspend(registry: string, refused: boolean): Promise<void> {
    return this.index.suspend(registry, refused);
  }

  touch(digest: Digest): void {
    this.index.touch(digest);
  }

  coldest(limit: number, before?: number): Promise<readonly HeldContent[]> {
    return this.index.coldest(limit, before);
  }

  totals(): Promise<{ readonly contents: number; readonly bytes: number }> {
    return this.index.totals();
  }

  close(): Promise<void> {
    return this.index.close();
  }

  #drop(keys: readonly string[], isMeant: (yes: Yes) => boolean = () => true): void {
    for (const key of keys) {
      const yes = this.#yeses.peek(key, { allowStale: true });
      if (yes && isMeant(yes)) this.#yeses.delete(key);
    }
  }
}

function groupsOf({ name, digest, link: { via } }: Yes): readonly string[] {
  return [digest, readerKey(name, via)];
}

function readerKey(name: CanonicalName, via: Via): string {
  return `${name} ${via}`;
}

function tagKey(name: CanonicalName, tag: Tag, via: Via): string {
  return `${name} ${tag} ${via}`;
}
