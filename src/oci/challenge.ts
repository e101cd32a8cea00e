/**
 * The text of WWW-Authenticate, written and read. RFC 9110 § 11.6.1; CNCF distribution, docs/spec/auth/token.
 */

/** One challenge: a scheme (lower case) and its parameters (names lower case, values unquoted). */
export interface Challenge {
  scheme: string;
  params: Record<string, string>;
}

/** What the gate asks of a client. Values are printable ASCII: Node refuses to send others in a header. */
export interface BearerChallenge {
  realm: string;
  service: string;
  /** Several scopes are one space-separated value. */
  scope?: string;
  error?: 'invalid_token' | 'insufficient_scope';
}

/** Every value is quoted: an unquoted scope would end for the client at its first colon or comma. */
export function formatBearerChallenge({ realm, service, scope, error }: BearerChallenge): string {
  const params = [
    ['realm', realm],
    ['service', service],
    ['scope', scope],
    ['error', error],
  ].filter((param): param is [string, string] => param[1] !== undefined && param[1] !== '');
  return `Bearer ${params.map(([name, value]) => `${name}=${quote(value)}`).join(',')}`;
}

/** User name and password are UTF-8: RFC 7617 § 2.1. */
export function formatBasicChallenge(realm: string): string {
  return `Basic realm=${quote(realm)}, charset="UTF-8"`;
}

function quote(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

/** A longer header is not read at all: it comes from an upstream that may be hostile. */
const MAX_LENGTH = 8 * 1024;

// Each pattern is tried at one place only (`y`), and within it no character fits two neighbouring parts, so that there
// is nothing to backtrack into: the work is a small multiple of the header's length.
const SCHEME = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]+|(?=,|$))/y;
const PARAM =
  /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*/y;
const FIRST = /[ \t,]*/y;
const NEXT = /[ \t]*,[ \t,]*/y;

/**
 * The challenges of a header, several of them if need be. Text that is not of the grammar ends the reading: what stood
 * before it counts. A scheme's token68 (`Negotiate YII=`) is passed over: no scheme with one is spoken here.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  if (header.length > MAX_LENGTH) return challenges;
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const found = pattern.exec(header);
    if (found) at = pattern.lastIndex;
    return found;
  };
  const takeParamOf = (challenge: Challenge | undefined): boolean => {
    const [, name, quoted, plain] = (challenge && take(PARAM)) ?? [];
    if (!challenge || name === undefined) return false;
    // A name given twice breaks RFC 9110 § 11.2; the first one counts.
    challenge.params[name.toLowerCase()] ??= quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '';
    return true;
  };

  let current: Challenge | undefined;
  take(FIRST);
  do {
    if (takeParamOf(current)) continue;
    const scheme = take(SCHEME)?.[1];
    if (scheme === undefined) break;
    current = {
      scheme: scheme.toLowerCase(),
      params: Object.create(null) as Record<string, string>,
    };
    challenges.push(current);
    if (!takeParamOf(current)) take(TOKEN68);
  } while (take(NEXT));
  return challenges;
}
