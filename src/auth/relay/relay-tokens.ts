/**
 * The tokens of relay. A registry's own token is wrapped, so that it is known to which registry it may be shown; where the
 * gate vouches by itself, it signs one of its own. Each is good for one registry.
 */
import { Inject, Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Registry } from '../../config/registry-table';
import { Secrets, type SigningKeys } from '../../config/secrets';
import { Settings } from '../../config/settings';
import type { Access } from '../../oci/access';
import type { IssuedToken } from '../voucher';
import { RelayLogins } from './relay-logins';

/** What a token of the gate's own is good for, and whose it is; undefined is nobody known. */
export interface RelayGrant {
  readonly username: string | undefined;
  readonly access: readonly Access[];
}

/** What a refresh token stands for. */
export interface RelayedLogin {
  readonly username: string | undefined;
  /** The registry's own; undefined where the gate itself gave out the tokens. */
  readonly refreshToken: string | undefined;
}

/** No registry's token begins with it: what does, is never shown to one as it is. */
const MARK = 'tidegate.';
const WRAPPED = /^tidegate\.([A-Za-z0-9_-]{1,2048})\.([A-Za-z0-9_-]{43})\.(.+)$/s;
const REFRESH = 'relay refresh token';
const CLOCK_SKEW = 10;

/** Whose wrapped token it is: registry, user name, proof of the listed login. */
const Head = z.tuple([z.string(), z.string().nullable(), z.string().nullable()]);
const Sealed = z.object({
  registry: z.string(),
  username: z.string().optional(),
  proof: z.string().optional(),
  refresh: z.string().optional(),
});
const Claims = z.object({
  sub: z.string(),
  proof: z.string().optional(),
  access: z.array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) })),
});

@Injectable()
export class RelayTokens {
  constructor(
    private readonly jwt: JwtService,
    private readonly secrets: Secrets,
    private readonly logins: RelayLogins,
    @Inject(Settings) private readonly settings: Settings,
  ) {}

  /** Signs a token of the gate's own, which is good where requests are for that registry. */
  issue(registry: Registry, username: string | undefined, access: readonly Access[]): IssuedToken {
    const issuedAt = Math.floor(Date.now() / 1000);
    const { tokenService, tokenTtl } = this.settings;
    const token = this.jwt.sign(
      {
        iss: tokenService,
        aud: audienceOf(registry),
        sub: username ?? '',
        iat: issuedAt,
        nbf: issuedAt - CLOCK_SKEW,
        exp: issuedAt + tokenTtl,
        jti: randomUUID(),
        proof: this.logins.proofOf(username),
        access,
      },
      { algorithm: 'HS256', keyid: this.secrets.current.id },
    );
    return { token, access, expiresIn: tokenTtl, issuedAt: new Date(issuedAt * 1000) };
  }

  /** What a token of the gate's own is good for there, or undefined: forged, expired, another registry's, or not listed. */
  verify(token: string, registry: Registry): RelayGrant | undefined {
    let decoded: unknown;
    try {
      decoded = this.jwt.verify(token, {
        algorithms: ['HS256'],
        issuer: this.settings.tokenService,
        audience: audienceOf(registry),
      });
    } catch {
      return undefined;
    }
    const claims = Claims.safeParse(decoded).data;
    if (!claims) return undefined;
    const { proof, access } = claims;
    const username = claims.sub === '' ? undefined : claims.sub;
    return this.logins.stands(username, proof) ? { username, access } : undefined;
  }

  /** The registry's token as the client gets it: `tidegate.<whose>.<mac>.<token>`. */
  wrap(registry: Registry, username: string | undefined, token: string): string {
    const whose = [placeOf(registry), username ?? null, this.logins.proofOf(username) ?? null];
    const head = Buffer.from(JSON.stringify(whose)).toString('base64url');
    return `${MARK}${head}.${macOf(head, token, this.secrets.current).toString('base64url')}.${token}`;
  }

  /** The registry's token, if it is that registry's, wrapped here, and its login is still let through. */
  unwrap(
    text: string,
    registry: Registry,
  ): { readonly username: string | undefined; readonly token: string } | undefined {
    const [, head, mac, token] = WRAPPED.exec(text) ?? [];
    if (head === undefined || mac === undefined || token === undefined) return undefined;
    const given = Buffer.from(mac, 'base64url');
    const genuine = this.secrets.keys.some((keys) => {
      const own = macOf(head, token, keys);
      return own.length === given.length && timingSafeEqual(own, given);
    });
    if (!genuine) return undefined;
    const whose = Head.safeParse(JSON.parse(Buffer.from(head, 'base64url').toString('utf8'))).data;
    if (!whose || whose[0] !== placeOf(registry)) return undefined;
    const username = whose[1] ?? undefined;
    return this.logins.stands(username, whose[2] ?? undefined) ? { username, token } : undefined;
  }

  /** True for what was made here, and may be worth something here: no registry is ever shown it. */
  isOwn(token: string): boolean {
    if (token.startsWith(MARK)) return true;
    const kid = this.#kidOf(token);
    return this.secrets.keys.some(({ id }) => id === kid);
  }

  #kidOf(token: string): unknown {
    try {
      return Decoded.safeParse(this.jwt.decode(token, { complete: true })).data?.header.kid;
    } catch {
      // Whoever says that it is a JWT, and then has no JSON in it, was not signed here.
      return undefined;
    }
  }

  /** A refresh token, or undefined where the registry's own is too long to be sealed: the client then keeps its password. */
  seal(registry: Registry, { username, refreshToken: refresh }: RelayedLogin): string | undefined {
    try {
      const proof = this.logins.proofOf(username);
      return this.secrets.seal(REFRESH, { registry: placeOf(registry), username, proof, refresh });
    } catch {
      return undefined;
    }
  }

  /** The login that a refresh token stands for, if it is that registry's and still let through. */
  unseal(text: string, registry: Registry): RelayedLogin | undefined {
    const sealed = Sealed.safeParse(this.secrets.unseal(REFRESH, text)).data;
    if (sealed?.registry !== placeOf(registry)) return undefined;
    const { username, proof, refresh } = sealed;
    return this.logins.stands(username, proof) ? { username, refreshToken: refresh } : undefined;
  }
}

const Decoded = z.object({ header: z.object({ kid: z.unknown() }) });

/** A registry's name, and where it is: one that was moved is another, and never sees what was for the one before. */
function placeOf({ name, url }: Registry): string {
  return `${name} ${url.origin}`;
}

/** Never that of an account's token, so that none passes for the other when AUTH_MODE is changed. */
function audienceOf(registry: Registry): string {
  return `relay ${placeOf(registry)}`;
}

function macOf(head: string, token: string, { seal }: SigningKeys): Buffer {
  return createHmac('sha256', seal).update(`relay token ${head} ${token}`).digest();
}
