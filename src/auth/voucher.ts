/** Who vouches for a client: one implementation for each AUTH_MODE. */
import type { RequestContext } from '../edge/request-context';
import type { Access } from '../oci/access';

/** What the token endpoint gives out. */
export interface IssuedToken {
  readonly token: string;
  /** Opaque; good for new tokens. Undefined where none was asked for, or nobody is known to give one to. */
  readonly refreshToken?: string;
  /** What the token is good for, over canonical names. */
  readonly access: readonly Access[];
  /** Seconds. */
  readonly expiresIn: number;
  readonly issuedAt: Date;
}

/** The injection token, too. */
export abstract class Voucher {
  /**
   * Who asks, and may they do what their request needs? Denies by default. It leaves who asked on the context, also where
   * it refuses: a known account that may not do something is no failed login.
   * @throws OciError UNAUTHORIZED with the challenge for this client, or DENIED; UNAVAILABLE and the like where an upstream
   *   has to be asked and cannot be.
   */
  abstract admit(context: RequestContext): Promise<void>;

  /**
   * The same where it is plain that they may: with nobody asked, nothing hashed for long and nothing written down.
   * @returns whether it was; if not, nothing has happened, and `admit` is to be asked.
   */
  admitNow(_context: RequestContext): boolean {
    return false;
  }

  /**
   * The answer to a token request. A scope wider than what may be had is no error: it is left out.
   * @throws OciError UNAUTHORIZED for credentials that are not good.
   */
  abstract token(context: RequestContext): Promise<IssuedToken>;
}
