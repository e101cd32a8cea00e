/**
 * Reads a token request from a query (GET) or a form (POST). CNCF distribution, docs/spec/auth/token and …/oauth.
 */
import { REPOSITORY_ACTIONS, parseScopes, type Access, type RepositoryAction } from '../oci/access';
import { OciError } from '../oci/oci-error';
import { resolveName, type Naming } from './names';
import { single } from './query';
import type { AskedScope, Grant, TokenRequest } from './token-request';

/** What the address alone says; a POST's form is added by {@link readTokenForm}. */
export function readTokenQuery(
  method: 'GET' | 'POST',
  query: URLSearchParams,
  naming: Naming,
): TokenRequest {
  return {
    method,
    grant: { kind: 'header' },
    service: single(query, 'service'),
    scopes: scopesOf(query.getAll('scope'), naming),
    offline:
      single(query, 'offline_token') === 'true' || single(query, 'access_type') === 'offline',
  };
}

/**
 * The OAuth2 form.
 * @throws OciError NOT_FOUND for a grant that is not known here: containerd then falls back to GET.
 */
export function readTokenForm(form: URLSearchParams, naming: Naming): TokenRequest {
  return {
    method: 'POST',
    grant: grantOf(form),
    service: single(form, 'service'),
    scopes: scopesOf(form.getAll('scope'), naming),
    offline: single(form, 'access_type') === 'offline' || single(form, 'offline_token') === 'true',
  };
}

function grantOf(form: URLSearchParams): Grant {
  const type = single(form, 'grant_type');
  if (type === 'password') {
    return {
      kind: 'password',
      username: single(form, 'username') ?? '',
      password: single(form, 'password') ?? '',
    };
  }
  if (type === 'refresh_token')
    return { kind: 'refresh_token', refreshToken: single(form, 'refresh_token') ?? '' };
  throw new OciError('NOT_FOUND', { message: 'grant_type must be password or refresh_token' });
}

/** A scope that cannot be meant here is left out, as one that is not granted is: a wide scope is no error. */
function scopesOf(texts: readonly string[], naming: Naming): AskedScope[] {
  return parseScopes(texts).flatMap((access) => scopeOf(access, naming) ?? []);
}

function scopeOf({ type, name, actions }: Access, naming: Naming): AskedScope | undefined {
  if (type === 'registry') return name === 'catalog' ? { type: 'catalog' } : undefined;
  if (type !== 'repository') return undefined;
  try {
    return { type, name: resolveName(name, naming), actions: actionsOf(actions) };
  } catch {
    return undefined;
  }
}

function actionsOf(actions: readonly string[]): RepositoryAction[] {
  const all = actions.includes('*');
  return REPOSITORY_ACTIONS.filter((action) => all || actions.includes(action));
}
