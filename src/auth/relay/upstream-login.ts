/** What relay needs of the other side. The upstream room does it; this room says what it wants, and imports nobody. */
import type { Registry } from '../../config/registry-table';
import type { Access } from '../../oci/access';

/** What a registry asks of clients. */
export type AskedOfClients =
  | { readonly scheme: 'nothing' }
  | { readonly scheme: 'basic'; readonly realm: string }
  | { readonly scheme: 'bearer'; readonly service: string | undefined };

/** A client's question to a registry's token endpoint. */
export interface TokenQuestion {
  /** User name and password, or a refresh token of that endpoint's; neither for an anonymous reader. */
  readonly login?:
    { readonly username: string; readonly password: string } | { readonly refreshToken: string };
  /** In the registry's own names. */
  readonly access: readonly Access[];
  /** A refresh token is wanted, too. */
  readonly offline: boolean;
}

/** Its answer. */
export interface TokenAnswer {
  readonly token: string;
  /** Seconds. */
  readonly life: number;
  readonly refreshToken?: string;
}

/** The injection token, too. */
export abstract class UpstreamLogin {
  /** @throws OciError UNAVAILABLE, UPSTREAM_TIMEOUT, BAD_UPSTREAM where that is not known, and the registry cannot be asked. */
  abstract asks(registry: Registry): Promise<AskedOfClients>;

  /**
   * Whether a registry that asks for Basic takes this login.
   * @throws OciError as `asks`, and TOOMANYREQUESTS.
   */
  abstract takes(registry: Registry, username: string, password: string): Promise<boolean>;

  /**
   * A token of the registry's own token service.
   * @returns undefined where it refuses the login.
   * @throws OciError as `takes`.
   */
  abstract token(registry: Registry, question: TokenQuestion): Promise<TokenAnswer | undefined>;
}
