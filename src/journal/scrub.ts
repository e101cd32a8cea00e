/**
 * Takes secrets out of text that others wrote: messages of errors, of libraries, of Nest. It is a net; what the gate
 * itself logs is chosen so that nothing is left for it to catch.
 */

import { types } from 'node:util';
import { OciError } from '../oci/oci-error';

/** Longer texts are cut: an error may quote a whole answer. */
const MAX_LENGTH = 16 * 1024;

/** `user:password@` of a URL. */
const USERINFO = /:\/\/[^\s/?#"]*@/g;
/** A query: signatures of CDN addresses, seals of uploads. It ends where a string or a word does. */
const QUERY = /(?<=\S)\?[^\s"]+/g;
/** Credentials as a header or a scheme shows them; long enough not to be a word. */
const CREDENTIALS = /\b(bearer|basic) +[A-Za-z0-9._~+/=-]{16,}/gi;
/**
 * What a JSON Web Token may stand in. Each is looked at once as a whole: a pattern of the token itself would be tried at each
 * `eyJ` anew, up to the end of all of them.
 */
const DOTTED = /[\w.-]+/g;
/** How a token begins: with the brace of its header. */
const TOKEN = /\beyJ[\w-]/;

/** What each of these needs to be there: most texts have none of it. */
const SUSPECT = /[?@]|eyJ|bearer|basic/i;

/** The text without URL credentials, URL queries, authorization values and tokens. Linear in its length. */
export function scrub(text: string): string {
  const cut = text.length > MAX_LENGTH ? text.slice(0, MAX_LENGTH) : text;
  if (!SUSPECT.test(cut)) return cut;
  const scrubbed = cut
    .replace(USERINFO, '://***@')
    .replace(QUERY, '?…')
    .replace(CREDENTIALS, '$1 ***');
  return scrubbed.includes('eyJ') ? scrubbed.replace(DOTTED, withoutToken) : scrubbed;
}

function withoutToken(text: string): string {
  const at = text.search(TOKEN);
  return at >= 0 && text.lastIndexOf('.') > at ? `${text.slice(0, at)}***` : text;
}

/** What was thrown, as the log names it. */
interface LoggedCause {
  type: string;
  message?: string;
  code?: string;
  cause?: LoggedCause;
}

/** An error as the log shows it. */
export interface LoggedError extends LoggedCause {
  stack?: string;
}

/** How many causes of an error are shown, each the cause of the one before it. */
const CAUSES = 3;

/** True for errors of other realms too. */
export function isError(value: unknown): value is Error {
  return value instanceof Error || types.isNativeError(value);
}

/**
 * Five things of an error and no others: libraries hang requests, headers and whole configurations on theirs. A refusal
 * of the gate's own has no stack: its message and its causes say what happened, and every line of the stack is known.
 */
export function loggedError(thrown: unknown): LoggedError {
  const shown: LoggedError = loggedCause(thrown, CAUSES);
  if (isError(thrown) && !(thrown instanceof OciError) && thrown.stack !== undefined)
    shown.stack = scrub(thrown.stack);
  return shown;
}

/** What was thrown and is no error is named by its type alone, a text aside. */
function loggedCause(thrown: unknown, causes: number): LoggedCause {
  if (!isError(thrown)) {
    return typeof thrown === 'string'
      ? { type: 'string', message: scrub(thrown) }
      : { type: typeof thrown };
  }
  const { code, cause } = thrown as { code?: unknown; cause?: unknown };
  return {
    type: thrown.constructor.name,
    message: scrub(thrown.message),
    code: typeof code === 'string' ? scrub(code) : undefined,
    cause: cause === undefined || causes === 0 ? undefined : loggedCause(cause, causes - 1),
  };
}

const SECRET_FIELDS: ReadonlySet<string> = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'password',
  'token',
  'access_token',
  'accesstoken',
  'refresh_token',
  'refreshtoken',
  'secret',
]);

/** How far into an object secrets are looked for. */
const DEPTH = 3;

type Fields = Record<string, unknown>;

/**
 * The fields, with `***` for each that bears a secret's name, in any case, at the first three depths; the object itself
 * stays as it is.
 */
export function redacted(fields: Fields): Fields {
  return redactedTo(DEPTH, fields);
}

function redactedTo<T extends object>(depth: number, fields: T): T {
  let copy: Fields | undefined;
  for (const [name, value] of Object.entries(fields)) {
    const shown = SECRET_FIELDS.has(name.toLowerCase()) ? hidden(value) : shownTo(depth - 1, value);
    if (shown === value) continue;
    copy ??= (Array.isArray(fields) ? [...fields] : { ...fields }) as Fields;
    copy[name] = shown;
  }
  return (copy as T | undefined) ?? fields;
}

/** That there is none may be said. */
function hidden(value: unknown): unknown {
  return value === undefined || value === null ? value : '***';
}

function shownTo(depth: number, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof URL) return scrub(value.href);
  const plain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
  return depth > 0 && (plain || Object.getPrototypeOf(value) === null)
    ? redactedTo(depth, value)
    : value;
}
