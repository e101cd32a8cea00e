/** What is known of held content: how large it is, who may see it, which tags lead to it, and when it was last used. */
import type { Digest } from '../../oci/digest';
import type { Tag } from '../../oci/reference';
import type { CanonicalName } from '../../oci/repository-name';
import type { Via } from '../source';

/** Times are in milliseconds of the Unix epoch, sizes in bytes. */
export interface HeldContent {
  readonly digest: Digest;
  readonly size: number;
  readonly usedAt: number;
}

/**
 * An upstream's yes for one digest under one name. Written only when the upstream answered yes to a request for that very
 * digest under that very name; a manifest that merely names a digest is a hint, never a right.
 */
export interface Link {
  readonly via: Via;
  /** The media type with which the registry served it as a manifest; undefined when the yes was to a request for a blob. */
  readonly mediaType: string | undefined;
}

/** Where a tag led when the upstream was last asked. */
export interface TagRecord {
  readonly digest: Digest;
  readonly mediaType: string;
  readonly size: number;
  /** When the upstream last said so. */
  readonly checkedAt: number;
}

/** A tag's record, if there is one, and the version at which it was read, for {@link ContentIndex.setTag}. */
export interface TagEntry {
  readonly record: TagRecord | undefined;
  readonly version: number;
}

/** What is held for one repository. */
export interface HeldRepository {
  readonly name: CanonicalName;
  /** Distinct digests that are linked to the name, and their bytes; a digest that two names share counts for both. */
  readonly contents: number;
  readonly bytes: number;
  /** When any of it was last used. */
  readonly usedAt: number;
}

/**
 * Each call is atomic, may be repeated, and stands alone: no transactions, so that Redis can stand here as well as SQLite.
 * A call that fails costs a hit, never a pull: callers go on as if nothing were known.
 */
export interface ContentIndex {
  /** What is known of that digest; undefined when it is not held. */
  content(digest: Digest): Promise<HeldContent | undefined>;
  /**
   * Notes that the digest is held; it has no links yet. Known already: its size is set anew, its links stay.
   * @returns false where it was known with that size: then no more is held than before.
   */
  add(digest: Digest, size: number): Promise<boolean>;
  /** Forgets the digest, and its links with it. */
  remove(digest: Digest): Promise<void>;
  /** Digests in their order, from behind `after`; at most `limit`. */
  list(after: Digest | undefined, limit: number): Promise<readonly HeldContent[]>;

  /** All yeses for the digest under the name. */
  links(name: CanonicalName, digest: Digest): Promise<readonly Link[]>;
  /** Adds a yes. Without effect where the digest is not held: nothing could be served by it. */
  link(name: CanonicalName, digest: Digest, link: Link): Promise<void>;
  /** Takes yeses back: all of the name, or only those for that digest, or only those of these credentials. */
  unlink(name: CanonicalName, only?: { digest?: Digest; via?: Via }): Promise<void>;
  /** Digests that are linked to the name, in their order, from behind `after`; at most `limit`. */
  linked(name: CanonicalName, after: Digest | undefined, limit: number): Promise<readonly Digest[]>;
  /** Whether any name is linked to the digest. */
  isLinked(digest: Digest): Promise<boolean>;
  /** Names with something held, in their order, from behind `after`; at most `limit`. */
  repositories(after: CanonicalName | undefined, limit: number): Promise<readonly HeldRepository[]>;

  /** The tag as these credentials saw it. The version is there, and good for `setTag`, without a record too. */
  tag(name: CanonicalName, tag: Tag, via: Via): Promise<TagEntry>;
  /**
   * Sets the record if nothing changed or forgot the tag since it was read at that version: a revalidation that began before
   * a push must not bring the old tag back.
   * @returns whether it was set.
   */
  setTag(
    name: CanonicalName,
    tag: Tag,
    via: Via,
    record: TagRecord,
    ifVersion: number,
  ): Promise<boolean>;
  /** Forgets the tag, or all of the name, for all credentials. A `setTag` with a version read before then has no effect. */
  forgetTag(name: CanonicalName, tag?: Tag): Promise<void>;
  /** Removes what these credentials saw of the tag. */
  dropTag(name: CanonicalName, tag: Tag, via: Via): Promise<void>;

  /** Registries that refused the gate's own credentials when they were last shown to them. */
  suspended(): Promise<readonly string[]>;
  /** Notes that the registry of that name refuses, or takes again, the gate's own credentials. Survives a restart. */
  suspend(registry: string, refused: boolean): Promise<void>;

  /**
   * Another number whenever an answer may have become another one; until then all that was answered holds. Undefined of an index
   * that others write to as well.
   */
  readonly generation: number | undefined;

  /** Notes that the digests are used now. Gathered, and written a little later; lost at worst. */
  touch(digest: Digest): void;
  /** Least recently used first; at most `limit`. With `before`, only what was last used before that time. */
  coldest(limit: number, before?: number): Promise<readonly HeldContent[]>;
  totals(): Promise<{ readonly contents: number; readonly bytes: number }>;
  /** Writes what was gathered, and closes. */
  close(): Promise<void>;
}

/** The injection token of the index. */
export const ContentIndex = Symbol('ContentIndex');
