/** Content on its way in: a file of this machine's that grows while others already read it. */

/**
 * One writer appends, any number of readers read what was written. It lives as long as somebody retains it: the writer does
 * from `create` on. A reader's bytes stay readable after `discard` and after the store has taken the file.
 */
export interface Spool {
  /** Absolute. The store may move it away; who has it open reads on. */
  readonly path: string;
  /** Bytes written so far. */
  readonly size: number;
  /** Appends the chunks, in order. One call at a time. @throws Error, with the code ENOSPC or EDQUOT where there is no room. */
  append(chunks: readonly Uint8Array[]): Promise<void>;
  /** Bytes from that position on, of those that are written; as many as fit. */
  read(into: Uint8Array, position: number): Promise<number>;
  /** One more who reads. */
  retain(): void;
  /** One less; the last one closes the file. */
  release(): void;
  /** Makes what is written survive the loss of power. */
  sync(): Promise<void>;
  /** Removes the file where it still lies. The caller's `release` is still due. */
  discard(): Promise<void>;
}

/** Makes empty spools. */
export interface Spools {
  /** @throws Error, with the code ENOSPC or EDQUOT where there is no room. */
  create(): Promise<Spool>;
}

/** The injection token of the spools. */
export const Spools = Symbol('Spools');
