/** What the table of settings says of one setting. */
import type { TextSchema } from './setting-values';

/** Another name of a setting, with a schema of its own where its text is another; undefined means: it says nothing. */
export interface Alias<T> {
  readonly name: string;
  readonly schema?: TextSchema<T | undefined>;
  /** Set together with the main name, this one counts; without this, two different values are a fault. */
  readonly wins?: boolean;
}

/** One setting; `T` holds undefined when it may stay unset. */
export interface Setting<T> {
  readonly schema: TextSchema<T>;
  /** The text that counts when none is given. */
  readonly default?: string;
  /** What the documentation says in place of a default, where there is none. */
  readonly without?: string;
  readonly meaning: string;
  /** Markdown-free text for .env.example, where there is no default to show. */
  readonly example?: string;
  readonly aliases?: readonly Alias<T>[];
  /** Never shown, and read from the file that `<NAME>_FILE` names too. */
  readonly secret?: boolean;
  /** Never shown, since it may hold a password, but the convention knows no file for it. */
  readonly hidden?: boolean;
}

/** A setting that always has a value: the one given, or what its default text reads as. */
export function always<T>(setting: Setting<T> & { default: string }): Setting<T> {
  return setting;
}

/** A setting that may stay unset. */
export function optional<T>(setting: Setting<T> & { without: string }): Setting<T | undefined> {
  return setting;
}
