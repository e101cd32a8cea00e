/**
 * What is asked of the process with the clients, and what became of it. Types alone: that process runs its file as it
 * stands.
 */

export interface Login {
  readonly username: string;
  readonly password: string;
  /** With a token for the repository, as clients of registries do; else by Basic. */
  readonly byToken?: boolean;
}

interface Common {
  /** Where to: an origin. */
  readonly base: string;
  readonly as: Login;
}

/** An image by tag or digest: the manifest, then every blob that it names. */
export interface Pull extends Common {
  readonly do: 'pull';
  readonly repository: string;
  readonly reference: string;
  /** The manifest that it has to be. */
  readonly digest: string;
}

/** An image that is made of the seed: a config, and a layer for each size. */
export interface Push extends Common {
  readonly do: 'push';
  readonly repository: string;
  readonly tag: string;
  readonly seed: string;
  readonly sizes: readonly number[];
}

/** One request. */
export interface Ask extends Common {
  readonly do: 'ask';
  readonly method: string;
  readonly path: string;
  readonly body?: string;
}

export type Order = Pull | Push | Ask;

export interface Outcome {
  /** Of the last answer; 0 when there was none. */
  readonly status: number;
  /** From the order's coming to its end. */
  readonly milliseconds: number;
  /** Of contents, both ways. */
  readonly bytes: number;
  /** The manifest that was pushed. */
  readonly digest?: string;
  /** Why it is not done: no answer came, one broke off, or the last one has that status. */
  readonly fault?: 'connection' | 'transfer' | 'status';
  /** A complete answer whose bytes are not those that were asked for. */
  readonly wrong?: string;
  /** Where it stopped, for the report. */
  readonly at?: string;
}
