/** Where held content lies: bytes by digest, and nothing else. */
import type { Digest } from '../../oci/digest';
import type { Spool } from './spool';

/** Content that is open for reading. It stays readable to its end after it was deleted. */
export interface StoredContent {
  /** Bytes of the whole content, whichever part was opened. */
  readonly size: number;
  /** Differs whenever the bytes at rest may have changed: what was verified under one stamp need not be again. */
  readonly stamp: string;
  /** The next bytes of the part that was opened, in order; 0 at its end. One call at a time. */
  read(into: Uint8Array): Promise<number>;
  /** To be called once, whether or not all was read. */
  close(): Promise<void>;
}

/**
 * Content-addressed bytes. Each call is atomic and may be repeated; there are no transactions, so that an object store can
 * stand here as well as a disk. The store is the truth for bytes, and for them alone: whether somebody may see them is the
 * index's to say, and neither is ever trusted over the digest.
 */
export interface ContentStore {
  /**
   * Opens the part [from, to) of held content; all of it without them. Undefined when it is not held.
   * @throws Error when the store cannot be read.
   */
  open(digest: Digest, from?: number, to?: number): Promise<StoredContent | undefined>;
  /**
   * Takes a spool whose bytes the caller has verified against the digest. The content is visible only once it would survive
   * the loss of power. It takes the place of what is held already, which may be damaged; the spool is used up, and its readers
   * read on.
   * @throws Error, with the code ENOSPC or EDQUOT where there is no room.
   */
  put(digest: Digest, spool: Spool): Promise<void>;
  /** @returns false when it was not held. Whoever has it open reads on. */
  delete(digest: Digest): Promise<boolean>;
  /** What is held, in the digests' order, from behind `after`; at most `limit`. */
  list(after: Digest | undefined, limit: number): Promise<readonly StoredEntry[]>;
  /** Bytes: what could still be written, and what the store's medium holds in all. */
  free(): Promise<{ readonly free: number; readonly total: number }>;
}

export interface StoredEntry {
  readonly digest: Digest;
  readonly size: number;
}

/** The injection token of the store. */
export const ContentStore = Symbol('ContentStore');
