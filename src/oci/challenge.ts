/**
 * The text of WWW-Authenticate, written and read. RFC 9110 § 11.6.1; CNCF distribution, docs/spec/auth/token.
 */

/** One challenge: a scheme (lower case) and its parameters (names lower case, values unquoted). */
export interface Challenge {
  scheme: string;
  params: Record<string, string>;
}

/** What the gate asks of a client. */
export interface BearerChallenge {
  realm: string;
  service: string;
  /** Several scopes are one space-separated value. */
  scope?: string;
  error?: 'invalid_token' | 'insufficient_scope';
}

/** Every value is quoted: docker's parser takes unquoted ones amiss. */
export function formatBearerChallenge({ realm, service, scope, error }: BearerChallenge): string {
  const params = [
    ['realm', realm],
    ['service', service],
    ['scope', scope],
    ['error', error],
  ].filter((param): param is [string, string] => param[1] !== undefined && param[1] !== '');
  return `Bearer ${params.map(([name, value]) => `${name}=${quote(value)}`).join(',')}`;
}

function quote(value: string): string {
  return `"${value.replace(/["\\]/g, '\\$&')}"`;
}

const MAX_LENGTH = 8 * 1024;
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const TOKEN68 = /[A-Za-z0-9._~+/-]+=*(?=\s*(?:,|$))/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
const SPACE = /[ \t]*/y;

/**
 * The challenges of a header, several of them if need be. Text that is not of the grammar ends the reading: what stood
 * before it counts. One pass, no backtracking, over at most 8 KiB: the header comes from an upstream that may be hostile.
 */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  if (header.length > MAX_LENGTH) return challenges;
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at;
    const found = pattern.exec(header) ?? undefined;
    if (found) at = pattern.lastIndex;
    return found;
  };
  const skip = (text: string): boolean => {
    take(SPACE);
    if (header[at] !== text) return false;
    at += 1;
    take(SPACE);
    return true;
  };
  let current: Challenge | undefined;
  for (;;) {
    while (skip(','));
    take(SPACE);
    const word = take(TOKEN)?.[0];
    if (!word) return challenges;
    if (current && skip('=')) {
      const value = header[at] === '"' ? take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') : take(TOKEN)?.[0];
      if (value === undefined) return challenges;
      // The first of two equal names counts, as it does for docker and containerd.
      current.params[word.toLowerCase()] ??= value;
    } else {
      current = { scheme: word.toLowerCase(), params: Object.create(null) as Record<string, string> };
      challenges.push(current);
      take(SPACE);
      const mark = at;
      if (take(TOKEN) && skip('=') && header[at] !== '=' && header[at] !== undefined && header[at] !== ',') at = mark;
      else {
        at = mark;
        take(TOKEN68);
      }
      continue;
    }
    take(SPACE);
    if (at < header.length && header[at] !== ',') return challenges;
  }
}
