/** Patterns over canonical names, as rights are written: `team/**`, `docker.io/library/*`, `**`. */
import type { RegistryTable } from '../config/registry-table';
import type { CanonicalName } from '../oci/repository-name';

/**
 * A pattern over canonical names. One that names no registry speaks of the default registry, as a docker reference does:
 * `nginx` is `docker.io/library/nginx` before Docker Hub. `**` alone is everything.
 */
export function completePattern(pattern: string, table: RegistryTable): string {
  if (pattern === '**') return pattern;
  const [first = '', ...rest] = pattern.split('/');
  const meant = table.byName(first);
  const named =
    rest.length > 0 && (meant !== undefined || /[.:]/.test(first) || first === 'localhost');
  const registry = named ? meant : table.default;
  const [prefix, path] = named ? [first, rest.join('/')] : [table.default.name, pattern];
  const bare = !path.includes('/') && path !== '**';
  return registry?.library && bare ? `${prefix}/library/${path}` : `${prefix}/${path}`;
}

/** True when a name is one of those that a pattern speaks of. */
export type NameTest = (name: CanonicalName) => boolean;

/**
 * The test that a whole pattern means: `*` stands for any characters within a segment, `**` for any at all. To be made once and
 * asked often: a listing asks it of thousands of names. What lies between the stars is looked for first, which settles most
 * names; then all places in the pattern are followed at once, so that the work is at most length × length whatever the pattern.
 */
export function compilePattern(pattern: string): NameTest {
  const [first = '', ...between] = pattern.split(/\*+/);
  const last = between.pop();
  if (last === undefined) return (name) => name === pattern;
  const tokens: readonly string[] = pattern.match(/\*\*+|\*|[^*]/g) ?? [];
  const withinSegments = tokens.includes('*');
  return (name) =>
    name.startsWith(first) &&
    name.endsWith(last) &&
    holdsInOrder(between, name, first.length, name.length - last.length) &&
    (!withinSegments || matchesTokens(tokens, name));
}

/** Whether the texts stand in the name one after the other, between those places. */
function holdsInOrder(texts: readonly string[], name: string, from: number, to: number): boolean {
  let at = from;
  for (const text of texts) {
    const found = name.indexOf(text, at);
    if (found < 0) return false;
    at = found + text.length;
  }
  return at <= to;
}

function matchesTokens(tokens: readonly string[], name: string): boolean {
  let places = skipStars(tokens, new Set([0]));
  for (const character of name) {
    const next = new Set<number>();
    for (const place of places) {
      const token = tokens[place];
      if (token === character) next.add(place + 1);
      else if (token !== undefined && token[0] === '*' && (token.length > 1 || character !== '/'))
        next.add(place);
    }
    if (next.size === 0) return false;
    places = skipStars(tokens, next);
  }
  return places.has(tokens.length);
}

/** A star may stand for nothing. */
function skipStars(tokens: readonly string[], places: Set<number>): Set<number> {
  for (const place of places) if (tokens[place]?.[0] === '*') places.add(place + 1);
  return places;
}
