/** How the text of a setting is read: each schema takes text and gives the value, or says what would be right. */
import { resolve } from 'node:path';
import { z } from 'zod';
import { REPOSITORY_GLOB, REPOSITORY_GLOB_RULE } from './account-grammar';

/** A schema that reads a setting's text. */
export type TextSchema<T> = z.ZodType<T, string>;

/** Why a text cannot be read, and what would be right. Never holds the text itself: it may be a secret. */
export class Unreadable extends Error {}

/** A schema from a function that gives the value or throws {@link Unreadable}. */
export function readBy<T>(read: (text: string) => T): TextSchema<T> {
  return z.string().transform((text, context) => {
    try {
      return read(text);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

/** One of a few words, in any case. */
export function oneOf<const W extends string>(...words: readonly W[]): TextSchema<W> {
  return readBy((text) => {
    const word = words.find((candidate) => candidate === text.toLowerCase());
    if (word === undefined) throw new Unreadable(`is not known; give one of ${words.join(', ')}`);
    return word;
  });
}

/** A whole number within bounds, in decimal digits; `suffix` may stand behind it. */
export function wholeNumber(min: number, max: number, suffix = ''): TextSchema<number> {
  return readBy((text) => {
    const digits = suffix !== '' && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
    const number = /^\d{1,10}$/.test(digits) ? Number(digits) : NaN;
    if (number >= min && number <= max) return number;
    throw new Unreadable(`is not right; give a whole number from ${min} to ${max}`);
  });
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof UNITS;

/** The text of a duration, in the largest unit that it is a whole number of; a single day is 24 hours. */
export function formatDuration(milliseconds: number): string {
  const units: Unit[] = milliseconds === UNITS.d ? ['h'] : ['d', 'h', 'm', 's'];
  const unit = units.find((name) => milliseconds > 0 && milliseconds % UNITS[name] === 0);
  if (unit) return `${milliseconds / UNITS[unit]}${unit}`;
  return milliseconds === 0 ? '0s' : `${milliseconds}ms`;
}

/** A duration such as `300`, `300s`, `5m`, `24h`, `30d` or `500ms`, in milliseconds. A bare number is seconds. */
export function duration(min: number, max: number): TextSchema<number> {
  return readBy((text) => {
    const parts = /^(\d{1,10})(ms|s|m|h|d)?$/.exec(text);
    const value = parts ? Number(parts[1]) * UNITS[(parts[2] ?? 's') as Unit] : NaN;
    if (value >= min && value <= max) return value;
    throw new Unreadable(
      'is not right; give a duration such as 300, 300s, 5m, 24h, 30d or 500ms (a bare number is seconds), ' +
        `from ${formatDuration(min)} to ${formatDuration(max)}`,
    );
  });
}

/** A duration in whole seconds, in seconds; bounds in seconds. */
export function wholeSeconds(min: number, max: number): TextSchema<number> {
  return duration(min * 1000, max * 1000).transform((milliseconds, context) => {
    if (milliseconds % 1000 === 0) return milliseconds / 1000;
    context.addIssue({ code: 'custom', message: 'is not right; give whole seconds' });
    return z.NEVER;
  });
}

/** `true` or `false`; `1` and `0` likewise. */
export const flag: TextSchema<boolean> = readBy((text) => {
  const word = text.toLowerCase();
  if (word === 'true' || word === '1') return true;
  if (word === 'false' || word === '0') return false;
  throw new Unreadable('is not right; give true or false');
});

/** A path, made absolute from the folder that the gate is started in. */
export const path: TextSchema<string> = readBy((text) => {
  if (text.includes('\0')) throw new Unreadable('holds a NUL character; give a path');
  return resolve(text);
});

/** Text that stands in quotes in a challenge and as `iss` and `aud` in a token. RFC 9110 §5.6.4, without escapes. */
export const serviceName: TextSchema<string> = readBy((text) => {
  if (/^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/.test(text)) return text;
  throw new Unreadable(
    'is not right; give 1 to 128 printable ASCII characters without spaces, quotes and backslashes',
  );
});

/** NO_PROXY: names, addresses and networks, separated by commas or spaces. Kept as it is given. */
export const proxyExceptions: TextSchema<string> = readBy((text) => {
  const entries = text.split(/[\s,]+/).filter((entry) => entry !== '');
  if (entries.every((entry) => /^[A-Za-z0-9.*:[\]_/-]+$/.test(entry) && !entry.includes('//'))) {
    return text;
  }
  throw new Unreadable(
    'is not right; give host names, .domains or addresses, separated by commas (no URLs)',
  );
});

/** Globs over canonical names, separated by commas. */
export const repositoryGlobs: TextSchema<string[]> = readBy((text) => {
  const globs = text.split(',').map((glob) => glob.trim());
  if (globs.every((glob) => REPOSITORY_GLOB.test(glob))) return globs;
  throw new Unreadable(`is not right; give, separated by commas, ${REPOSITORY_GLOB_RULE}`);
});

/** A secret from which keys are derived. 32 bytes are what HMAC-SHA256 and AES-256 ask for (RFC 7518 §3.2). */
export const keySecret: TextSchema<string> = readBy((text) => {
  if (Buffer.byteLength(text) >= 32) return text;
  throw new Unreadable(
    'is too short; give at least 32 bytes, such as the output of `openssl rand -base64 32`',
  );
});
