/**
 * The scope grammar of registry tokens: what a client asks for, and what it is granted.
 * `type[(class)]:name:action[,action]`, several separated by spaces. CNCF distribution, docs/spec/auth/scope.
 */

/** What may be done to a repository. */
export const REPOSITORY_ACTIONS = ['pull', 'push', 'delete'] as const;
export type RepositoryAction = (typeof REPOSITORY_ACTIONS)[number];

/** One entry of a token's `access` claim, and one scope that was asked for. `*` as an action means: whatever is held. */
export interface Access {
  type: string;
  name: string;
  actions: string[];
}

/** More than this many scopes, or a longer text, would only serve to keep the gate busy. */
const MAX_SCOPES = 100;
const MAX_LENGTH = 16 * 1024;

const TYPE = /^([a-z0-9]+)(?:\([a-z0-9]+\))?$/;
const ACTION = /^(?:\*|[a-z]+)$/;

/**
 * One scope, or undefined when it is malformed. The name may hold `host:port`: it lies between the first and last colon.
 * It is not checked further: what it names is for the edge to say. A class (`repository(plugin)`) is dropped, an action
 * that stands twice counts once.
 */
export function parseScope(text: string): Access | undefined {
  if (text.length > MAX_LENGTH) return undefined;
  const first = text.indexOf(':');
  const last = text.lastIndexOf(':');
  if (first < 0) return undefined;
  const type = TYPE.exec(text.slice(0, first))?.[1];
  const name = text.slice(first + 1, last);
  const actions = [...new Set(text.slice(last + 1).split(','))].filter((action) => action !== '');
  if (!type || name === '' || !actions.every((action) => ACTION.test(action))) return undefined;
  return { type, name, actions };
}

/**
 * All scopes of a token request, given as repeated parameters and/or space-separated in one. Malformed ones are left
 * out, as is what stands behind the hundredth, or all of a text over 16 KiB: a scope that cannot be granted is not an
 * error, the token just does not carry it.
 */
export function parseScopes(texts: readonly string[]): Access[] {
  const joined = texts.join(' ');
  if (joined.length > MAX_LENGTH) return [];
  return joined
    .split(' ')
    .filter((text) => text !== '')
    .slice(0, MAX_SCOPES)
    .map(parseScope)
    .filter((scope) => scope !== undefined);
}

/** The text of one scope. */
export function formatScope({ type, name, actions }: Access): string {
  return `${type}:${name}:${actions.join(',')}`;
}
