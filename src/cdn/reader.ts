import type { CacheStatus } from './cache-status';

/** Asks for room before that many bytes are held in memory; what it gives back is called with what there really was. */
export type Hold = (bytes: number) => Promise<(actual: number) => void>;

/** For whom content is got. */
export interface Reader {
  /** Aborted when they leave. */
  readonly signal: AbortSignal;
  /** Asks for room before a part of an answer is held in memory for them. */
  readonly hold: Hold;
  /** Takes room for what is in memory already, where there is room now: it never waits. */
  readonly holdNow: (bytes: number) => boolean;
  /** Told how the answer comes about, before it is given or refused. The last word counts. */
  readonly note: (status: CacheStatus) => void;
}

/** For whom content is to be held, though nobody reads it. */
export interface Holder {
  /** Aborted when it is not wanted any more. */
  readonly signal: AbortSignal;
  /** Told now and then of the bytes that are there, and of all that there will be. */
  readonly progress?: (received: number, total: number | undefined) => void;
}
