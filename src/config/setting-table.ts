/**
 * The one table of settings: what each is called, how its text is read, and what the documentation says of it.
 * docs/configuration.md and .env.example are made from it, and a test holds them in step.
 */
import type { Setting } from './setting';
import { cache } from './settings-of-cache';
import { accounts, listening, tokens } from './settings-of-gate';
import { running, upstream } from './settings-of-upstream';

/** All settings, by name. */
export const SETTINGS = { ...listening, ...accounts, ...tokens, ...upstream, ...cache, ...running };

export type SettingName = keyof typeof SETTINGS;

/** The value of each setting, once it is read. */
export type SettingValues = {
  readonly [N in SettingName]: (typeof SETTINGS)[N] extends Setting<infer T> ? T : never;
};

/** The table in the order and under the headings of the documentation. */
export const SECTIONS: readonly (readonly [string, Readonly<Record<string, Setting<unknown>>>])[] =
  [
    ['Where the gate listens', listening],
    ['Accounts', accounts],
    ['Tokens', tokens],
    ['The registry behind the gate', upstream],
    ['The cache', cache],
    ['Limits and running', running],
  ];
