/** A token request, by GET or by POST, read into one shape. Protocol: CNCF distribution, docs/spec/auth/{token,oauth}. */
import type { RepositoryAction } from '../oci/access';
import type { NamedRepository } from './names';

/** One scope that was asked for, with its repository resolved as the edge resolves paths. */
export type AskedScope =
  | {
      readonly type: 'repository';
      readonly name: NamedRepository;
      /** `*` (skopeo's delete) is already all of them. */
      readonly actions: readonly RepositoryAction[];
    }
  | { readonly type: 'catalog' };

/** Who vouches for the client. */
export type Grant =
  /** The Authorization header, or nobody (GET). */
  | { readonly kind: 'header' }
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  | { readonly kind: 'refresh_token'; readonly refreshToken: string };

export interface TokenRequest {
  /** GET answers `token` too, POST the OAuth2 document. */
  readonly method: 'GET' | 'POST';
  readonly grant: Grant;
  /** `service` as the client said it; another one than the gate's is answered all the same. */
  readonly service?: string;
  readonly scopes: readonly AskedScope[];
  /** True when a refresh token is asked for: `offline_token=true` or `access_type=offline`. */
  readonly offline: boolean;
}
