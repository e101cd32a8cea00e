/** As whom the gate asks a registry. */

/**
 * Nobody; the accounts that the operator configured for the registry; or the client itself, with a login of its own at that
 * registry (AUTH_MODE=relay and passthrough).
 */
export type Principal = 'anonymous' | 'configured' | ClientLogin;

/** A client's own login at one registry: it may be shown to that registry, and to nobody else. It is never logged. */
export class ClientLogin {
  readonly #authorization: string | undefined;

  /**
   * @param registry the name of the registry that it is good for.
   * @param authorization the Authorization header, as the registry takes it; undefined for a client that shows nothing.
   */
  constructor(
    readonly registry: string,
    authorization: string | undefined,
  ) {
    this.#authorization = authorization;
  }

  /** @throws Error when somebody is about to show it to another registry. */
  authorizationFor(registry: { readonly name: string }): string | undefined {
    if (registry.name !== this.registry)
      throw new Error("a client's login was about to be shown to another registry");
    return this.#authorization;
  }

  toJSON(): string {
    return 'client';
  }
}
