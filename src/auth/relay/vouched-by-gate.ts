import { Injectable } from '@nestjs/common';
import type { Registry } from '../../config/registry-table';
import { askedOf, type Identity, type RequestContext } from '../../edge/request-context';
import type { Access, RepositoryAction } from '../../oci/access';
import { OciError } from '../../oci/oci-error';
import { AccessPolicy, covers, coversCatalog, grantOf } from '../access-policy';
import { challenge } from '../challenges';
import { Refusals } from '../refusals';
import type { IssuedToken } from '../voucher';
import { isWithin, pulledFromAlone } from './client-identity';
import { RelayLogins } from './relay-logins';
import { type RelayGrant, RelayTokens } from './relay-tokens';

/** Who asks, by which proof, and the most that the proof can be used for; undefined is no bound. */
interface Proven {
  readonly username: string | undefined;
  readonly proof: 'none' | 'basic' | 'bearer';
  readonly bound?: readonly Access[];
}

/**
 * Relay where no login goes to a registry: the registry asks for none, or it is another one than the login here is for. The
 * gate challenges and signs by itself. Where ACCOUNTS lists logins, it knows whom; else everybody is as good as anybody.
 */
@Injectable()
export class VouchedByGate {
  constructor(
    private readonly tokens: RelayTokens,
    private readonly logins: RelayLogins,
    private readonly policy: AccessPolicy,
    private readonly refusals: Refusals,
  ) {}

  /** @param atMost what may be done at that registry: all at one's own, which asks for no login; else pulls. */
  async admit(context: RequestContext, registry: Registry, atMost: 'pull' | 'all'): Promise<void> {
    const proven = this.#prove(context);
    const identity = this.#identity(context, registry, atMost, proven);
    context.identity = identity;
    const { need } = context;
    const { proof, bound } = proven;
    switch (need.kind) {
      case 'nothing':
        return;
      case 'login':
        if (proof === 'none') throw challenge(context);
        return;
      case 'catalog':
        if (proof === 'none' || !this.#isKnown(context, proven)) throw challenge(context);
        if (bound && !coversCatalog(bound)) throw challenge(context, 'insufficient_scope');
        return;
      case 'search':
        if (!this.#isKnown(context, proven)) throw challenge(context);
        return;
      case 'repository':
        if (need.actions.every((action) => identity.may(need.name.canonical, action))) return;
        if (proof !== 'none' && need.actions.some((action) => !isWithin(atMost, action))) {
          this.refusals.auditDenial(context);
          throw pulledFromAlone(registry);
        }
        if (proof === 'basic') throw this.refusals.denied(context);
        throw challenge(context, proof === 'bearer' ? 'insufficient_scope' : undefined);
      case 'admin':
        throw new OciError('DENIED');
      default:
        throw new OciError('DENIED', { cause: need satisfies never });
    }
  }

  async token(context: RequestContext, atMost: 'pull' | 'all'): Promise<IssuedToken> {
    const { offline, scopes } = askedOf(context, 'token').request;
    const { home, registry } = context;
    const username = this.#loggedIn(context);
    if (username !== undefined) {
      if (context.identity) context.identity = { ...context.identity, username };
      this.refusals.auditLogin(context, username);
    }
    const most = this.#most({ username }, atMost);
    const access = grantOf(scopes, true, (name, action) =>
      isWithin(name.startsWith(`${home.name}/`) ? most : 'pull', action),
    );
    return {
      ...this.tokens.issue(registry, username, access),
      refreshToken:
        offline && username !== undefined
          ? this.tokens.seal(home, { username, refreshToken: undefined })
          : undefined,
    };
  }

  /** @throws OciError UNAUTHORIZED for a proof that is shown and is not good. */
  #prove(context: RequestContext): Proven {
    const { credentials, registry } = context;
    switch (credentials.scheme) {
      case 'none':
        return { username: undefined, proof: 'none' };
      case 'basic': {
        // Nobody is asked whether it is good; a name that is not listed stands for nobody.
        if (!this.logins.limited) return { username: undefined, proof: 'basic' };
        const { username, password } = credentials;
        const good = this.logins.admits(username, password);
        this.refusals.auditLogin(context, good ? username : undefined, username);
        if (!good) throw challenge(context, 'wrong');
        return { username, proof: 'basic' };
      }
      case 'bearer': {
        const grant =
          this.tokens.verify(credentials.token, registry) ??
          this.#searcher(context, credentials.token);
        if (!grant) throw challenge(context, 'invalid_token');
        // A name in it is that of a login that was listed when it was given out.
        const username = this.logins.limited ? grant.username : undefined;
        return { username, proof: 'bearer', bound: grant.access };
      }
      case 'unreadable':
        throw challenge(context, 'wrong');
      default:
        throw new OciError('DENIED', { cause: credentials satisfies never });
    }
  }

  /** A search is nobody's in particular; docker comes to it with the token of its login at the registry. */
  #searcher({ need, home, registry }: RequestContext, token: string): RelayGrant | undefined {
    if (need.kind !== 'search' || registry !== home) return undefined;
    const wrapped = this.tokens.unwrap(token, home);
    return wrapped && { username: wrapped.username, access: [] };
  }

  #identity(
    context: RequestContext,
    registry: Registry,
    atMost: 'pull' | 'all',
    proven: Proven,
  ): Identity {
    const { username, bound, proof } = proven;
    const known = this.#isKnown(context, proven);
    // Whoever shows nothing at all reads, as everywhere.
    const most = proof === 'none' ? 'pull' : this.#most(proven, atMost);
    const isThere = (name: string) => name.startsWith(`${registry.name}/`);
    const listed = username !== undefined;
    const elsewhere = registry !== context.home;
    const reads = context.need.kind !== 'repository' || isPull(context.need.actions);
    const mayBorrow = reads && (listed || this.policy.withoutLogin(context) !== undefined);
    return {
      username,
      epoch: 0,
      admin: false,
      unjudged: !this.logins.limited,
      may: (name, action) =>
        known && isThere(name) && isWithin(most, action) && (!bound || covers(bound, name, action)),
      sees: (name) => known && isThere(name),
      // Nobody borrows the operator's credentials but those whom the operator listed, and readers of what it opened to them:
      // what is pushed here is pushed as nobody.
      upstreamAs: (name) => {
        if (elsewhere && listed) return 'configured';
        return mayBorrow ? this.policy.upstreamAs('anonymous', name) : 'anonymous';
      },
      registryAs: () => (elsewhere && listed ? 'configured' : 'anonymous'),
    };
  }

  #isKnown(context: RequestContext, { username }: Proven): boolean {
    return (
      !this.logins.limited ||
      username !== undefined ||
      this.policy.withoutLogin(context) !== undefined
    );
  }

  #most({ username }: Pick<Proven, 'username'>, atMost: 'pull' | 'all'): 'pull' | 'all' {
    return this.logins.limited && username === undefined ? 'pull' : atMost;
  }

  /** The listed login that asks for a token; undefined for nobody in particular. @throws OciError UNAUTHORIZED */
  #loggedIn(context: RequestContext): string | undefined {
    const { grant } = askedOf(context, 'token').request;
    if (grant.kind === 'refresh_token') {
      const login = this.tokens.unseal(grant.refreshToken, context.home);
      if (!login) return this.refusals.login(context, 'ended');
      return this.logins.limited ? login.username : undefined;
    }
    const shown = grant.kind === 'password' ? grant : context.credentials;
    if ('password' in shown) {
      if (!this.logins.limited) return undefined;
      if (this.logins.admits(shown.username, shown.password)) return shown.username;
      return this.refusals.login(context, 'wrong', shown.username);
    }
    if (shown.scheme !== 'none') return this.refusals.login(context, 'wrong');
    if (!this.logins.limited || this.policy.withoutLogin(context)) return undefined;
    return this.refusals.login(context, 'none');
  }
}

function isPull(actions: readonly RepositoryAction[]): boolean {
  return actions.every((action) => action === 'pull');
}
