import { Inject, Injectable } from '@nestjs/common';
import { JwtService } from '@nestjs/jwt';
import { LRUCache } from 'lru-cache';
import { createHmac, randomUUID } from 'node:crypto';
import { z } from 'zod';
import { Secrets, type SigningKeys } from '../../config/secrets';
import { Settings } from '../../config/settings';
import type { Access } from '../../oci/access';
import type { Account } from '../accounts/account';
import { Accounts } from '../accounts/accounts.service';

/** What a good token says: whose it is (undefined: an anonymous reader's) and the most that it can be used for. */
export interface TokenGrant {
  readonly account: Account | undefined;
  readonly access: readonly Access[];
}

const Claims = z.object({
  sub: z.string(),
  /**
   * The account's hash, under a key of the gate's: a new password ends the tokens of the old one, and nobody can try
   * passwords against a token.
   */
  fp: z.string().optional(),
  /** The account's epoch: ending its sessions raises it. */
  epoch: z.number(),
  nbf: z.number(),
  exp: z.number(),
  access: z.array(z.object({ type: z.string(), name: z.string(), actions: z.array(z.string()) })),
});

type Claims = z.infer<typeof Claims>;

const Refresh = z.object({ sub: z.string(), fp: z.string(), epoch: z.number(), iat: z.number() });
const REFRESH = 'refresh token';

/** Clocks of several machines differ a little; a token is good from a moment before it was made. */
const CLOCK_SKEW = 10;

/** Characters of tokens that are remembered, all together. */
const REMEMBERED = 4 * 1024 * 1024;

/**
 * Signs and reads the gate's own tokens. There is no table of them: whatever would end one (a removed, disabled or
 * changed account, ended sessions) is seen in the account itself, at each request, so that restarts need nothing.
 * Claims: CNCF distribution, docs/spec/auth/jwt.
 */
@Injectable()
export class TokenService {
  /**
   * What tokens say whose signature was found good: a pull shows one a hundred times. Of what may change since, their time
   * and their account, nothing is remembered.
   */
  readonly #signed = new LRUCache<string, Claims>({
    maxSize: REMEMBERED,
    sizeCalculation: (_, token) => token.length,
  });
  readonly #proofs = new WeakMap<Account, readonly string[]>();

  constructor(
    private readonly jwt: JwtService,
    private readonly accounts: Accounts,
    private readonly secrets: Secrets,
    @Inject(Settings) private readonly settings: Settings,
  ) {}

  /** @returns the token, its life in seconds and when it began. */
  issue(
    account: Account | undefined,
    access: readonly Access[],
  ): { token: string; expiresIn: number; issuedAt: Date } {
    const issuedAt = Math.floor(Date.now() / 1000);
    const token = this.jwt.sign(
      {
        iss: this.settings.tokenService,
        aud: this.settings.tokenService,
        sub: account?.username ?? '',
        iat: issuedAt,
        nbf: issuedAt - CLOCK_SKEW,
        exp: issuedAt + this.settings.tokenTtl,
        jti: randomUUID(),
        fp: account && proofOf(account.fingerprint, this.secrets.current),
        epoch: account?.epoch ?? 0,
        access,
      },
      { algorithm: 'HS256', keyid: this.secrets.current.id },
    );
    return { token, expiresIn: this.settings.tokenTtl, issuedAt: new Date(issuedAt * 1000) };
  }

  /** What the token is good for now, or undefined when it is not: forged, expired, or its account is not what it was. */
  verify(token: string): TokenGrant | undefined {
    const claims = this.#signed.get(token) ?? this.#read(token);
    if (!claims || !isInTime(claims)) return undefined;
    const { sub, fp, epoch, access } = claims;
    // A token that was given to nobody is worth what anonymous readers may do now, which the policy decides.
    if (sub === '') return { account: undefined, access };
    const good = (account: Account) => fp !== undefined && this.#proofsOf(account).includes(fp);
    const account = this.#current(sub, epoch, good);
    return account && { account, access };
  }

  /** What a token says that this gate has signed, and whose time it is now. */
  #read(token: string): Claims | undefined {
    let decoded: unknown;
    try {
      decoded = this.jwt.verify(token, {
        algorithms: ['HS256'],
        issuer: this.settings.tokenService,
        audience: this.settings.tokenService,
      });
    } catch {
      return undefined;
    }
    const claims = Claims.safeParse(decoded);
    if (!claims.success) return undefined;
    this.#signed.set(token, claims.data);
    return claims.data;
  }

  /** By each key of which a token can be. */
  #proofsOf(account: Account): readonly string[] {
    let proofs = this.#proofs.get(account);
    if (!proofs) {
      proofs = this.secrets.keys.map((keys) => proofOf(account.fingerprint, keys));
      this.#proofs.set(account, proofs);
    }
    return proofs;
  }

  /** An opaque token that is good for new tokens until the account changes; it says nothing of rights. */
  issueRefresh({ username, fingerprint, epoch }: Account): string {
    return this.secrets.seal(REFRESH, {
      sub: username,
      fp: fingerprint,
      epoch,
      iat: Math.floor(Date.now() / 1000),
    });
  }

  /** The account whose refresh token this is, or undefined when it is none, or none any more. */
  redeemRefresh(text: string): Account | undefined {
    const claims = Refresh.safeParse(this.secrets.unseal(REFRESH, text));
    if (!claims.success) return undefined;
    const { sub, fp, epoch } = claims.data;
    return this.#current(sub, epoch, ({ fingerprint }) => fingerprint === fp);
  }

  #current(
    username: string,
    epoch: number,
    good: (account: Account) => boolean,
  ): Account | undefined {
    const account = this.accounts.find(username);
    return account && account.epoch === epoch && good(account) ? account : undefined;
  }
}

function isInTime({ nbf, exp }: Claims): boolean {
  const now = Math.floor(Date.now() / 1000);
  return nbf <= now && now < exp;
}

function proofOf(fingerprint: string, { seal }: SigningKeys): string {
  return createHmac('sha256', seal).update(`fingerprint ${fingerprint}`).digest('base64url');
}
