/**
 * What a registry asks of the gate, and the question that this makes to its token endpoint. CNCF distribution,
 * docs/spec/auth/token.
 */
import { type Access, formatScope } from '../oci/access';
import { parseChallenges } from '../oci/challenge';

/** What a registry asks of a request. */
export type Asks = { readonly scheme: 'nothing' } | { readonly scheme: 'basic' } | AsksBearer;

export interface AsksBearer {
  readonly scheme: 'bearer';
  /** As the registry wrote it; not yet checked. */
  readonly realm: string;
  readonly service: string | undefined;
}

/**
 * What a WWW-Authenticate asks, or undefined when it is nothing known. Bearer is preferred: it shows the credentials to
 * the token endpoint alone.
 */
export function asksOf(challenge: string | undefined): Asks | undefined {
  const challenges = parseChallenges(challenge ?? '');
  const bearer = challenges.find(
    ({ scheme, params }) => scheme === 'bearer' && params['realm'] !== undefined,
  );
  if (bearer)
    return {
      scheme: 'bearer',
      realm: bearer.params['realm'] ?? '',
      service: bearer.params['service'],
    };
  return challenges.some(({ scheme }) => scheme === 'basic') ? { scheme: 'basic' } : undefined;
}

function scopesOf(access: readonly Access[]): string[] {
  return access.map((one) => formatScope({ ...one, actions: one.actions.toSorted() })).toSorted();
}

/** Tokens for the same scopes, in whatever order, are the same token. */
export function keyOf(asks: AsksBearer, access: readonly Access[]): string {
  return JSON.stringify([asks.realm, asks.service, scopesOf(access)]);
}

/** The query of a token request. */
export function queryOf(service: string | undefined, access: readonly Access[]): URLSearchParams {
  const query = new URLSearchParams();
  if (service !== undefined) query.append('service', service);
  for (const scope of scopesOf(access)) query.append('scope', scope);
  return query;
}
