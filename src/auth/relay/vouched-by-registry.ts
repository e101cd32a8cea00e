import { Injectable } from '@nestjs/common';
import type { Registry } from '../../config/registry-table';
import { askedOf, type RequestContext } from '../../edge/request-context';
import type { AskedScope } from '../../edge/token-request';
import type { Access } from '../../oci/access';
import { parseChallenges } from '../../oci/challenge';
import { AccessPolicy } from '../access-policy';
import { basicChallenge, challenge, type ChallengeReason } from '../challenges';
import { Refusals } from '../refusals';
import type { IssuedToken } from '../voucher';
import { clientIdentity, isWithin } from './client-identity';
import { RelayLogins } from './relay-logins';
import { RelayTokens } from './relay-tokens';
import { UpstreamLogin, type TokenQuestion } from './upstream-login';

/** Whoever asks for a token: with a login that is let through, or as nobody. */
interface Asker {
  readonly username: string | undefined;
  readonly login: TokenQuestion['login'];
}

/** Relay where the registry asks for a login: it is the registry's to judge, and the gate lets through whom ACCOUNTS lists. */
@Injectable()
export class VouchedByRegistry {
  constructor(
    private readonly upstream: UpstreamLogin,
    private readonly tokens: RelayTokens,
    private readonly logins: RelayLogins,
    private readonly policy: AccessPolicy,
    private readonly refusals: Refusals,
  ) {}

  /** @throws OciError UNAUTHORIZED */
  async admitBasic(context: RequestContext, registry: Registry, realm: string): Promise<void> {
    const { credentials } = context;
    const challenged = () =>
      basicChallenge(realm, credentials.scheme === 'none' ? undefined : 'wrong');
    if (credentials.scheme === 'none' && !this.logins.limited && context.need.kind !== 'login') {
      // Some registries let everybody read though they ask for a login first.
      context.identity = this.#client(registry, undefined, undefined, challenged);
      return;
    }
    if (credentials.scheme !== 'basic') throw challenged();
    const { username, password } = credentials;
    const good =
      this.logins.admits(username, password) &&
      (await this.upstream.takes(registry, username, password));
    this.refusals.auditLogin(context, good ? username : undefined, username);
    if (!good) throw challenged();
    const login = Buffer.from(`${username}:${password}`).toString('base64');
    context.identity = this.#client(registry, `Basic ${login}`, username, challenged);
  }

  /** @throws OciError UNAUTHORIZED */
  async admitBearer(context: RequestContext, registry: Registry, service: string): Promise<void> {
    const { credentials } = context;
    const refuse = (reason?: ChallengeReason) => challenge(context, reason, service);
    if (credentials.scheme !== 'bearer')
      throw refuse(credentials.scheme === 'none' ? undefined : 'wrong');
    const { token } = credentials;
    const wrapped = this.tokens.unwrap(token, registry);
    // A token that was fetched elsewhere is the client's own affair, where nobody is to be let through in particular.
    if (!wrapped && (this.logins.limited || this.tokens.isOwn(token)))
      throw refuse('invalid_token');
    if (!this.#isLetThrough(context, wrapped?.username)) throw refuse('invalid_token');
    const challenged = (asked: string | undefined) => refuse(reasonIn(asked));
    const authorization = `Bearer ${wrapped?.token ?? token}`;
    const identity = this.#client(registry, authorization, wrapped?.username, challenged);
    context.identity = identity;
    const { need } = context;
    if (need.kind !== 'repository') return;
    if (!need.actions.every((action) => identity.may(need.name.canonical, action)))
      throw refuse('insufficient_scope');
  }

  /**
   * A token of the registry's own, wrapped.
   * @throws OciError UNAUTHORIZED where the registry, or ACCOUNTS, refuses the login.
   */
  async token(context: RequestContext): Promise<IssuedToken> {
    const { home } = context;
    const { offline, scopes, grant } = askedOf(context, 'token').request;
    const { username, login } = this.#askerOf(context);
    const access = accessAt(home, scopes, this.#atMost(username));
    const issuedAt = new Date();
    const answer = await this.upstream.token(home, { login, access, offline });
    if (!answer) {
      const reason = login === undefined ? 'none' : 'wrong';
      return this.refusals.login(
        context,
        grant.kind === 'refresh_token' ? 'ended' : reason,
        username,
      );
    }
    if (username !== undefined) {
      if (context.identity) context.identity = { ...context.identity, username };
      this.refusals.auditLogin(context, username);
    }
    const { refreshToken } = answer;
    return {
      token: this.tokens.wrap(home, username, answer.token),
      refreshToken:
        refreshToken === undefined ? undefined : this.tokens.seal(home, { username, refreshToken }),
      access,
      expiresIn: Math.floor(answer.life),
      issuedAt,
    };
  }

  /** @throws OciError UNAUTHORIZED for a login that is not let through. */
  #askerOf(context: RequestContext): Asker {
    const { grant } = askedOf(context, 'token').request;
    if (grant.kind === 'refresh_token') {
      const login = this.tokens.unseal(grant.refreshToken, context.home);
      if (login?.refreshToken === undefined || !this.#isLetThrough(context, login.username))
        return this.refusals.login(context, 'ended');
      return { username: login.username, login: { refreshToken: login.refreshToken } };
    }
    const shown = grant.kind === 'password' ? grant : context.credentials;
    if ('password' in shown) {
      const { username, password } = shown;
      if (this.logins.admits(username, password))
        return { username, login: { username, password } };
      return this.refusals.login(context, 'wrong', username);
    }
    if (shown.scheme !== 'none') return this.refusals.login(context, 'wrong');
    if (!this.#isLetThrough(context, undefined)) return this.refusals.login(context, 'none');
    return { username: undefined, login: undefined };
  }

  /** Where logins are listed, what was given to nobody is worth what a client without a login may do here and now. */
  #isLetThrough(context: RequestContext, username: string | undefined): boolean {
    return (
      !this.logins.limited ||
      username !== undefined ||
      this.policy.withoutLogin(context) !== undefined
    );
  }

  #client(
    registry: Registry,
    authorization: string | undefined,
    username: string | undefined,
    challenged: (asked: string | undefined) => ReturnType<typeof challenge>,
  ) {
    const atMost = this.#atMost(username);
    return clientIdentity({ registry, authorization, username, atMost, challenged });
  }

  /** Who is let through without a login, though logins are listed, reads. */
  #atMost(username: string | undefined): 'pull' | 'all' {
    return this.logins.limited && username === undefined ? 'pull' : 'all';
  }
}

/** Why the registry refused a token. */
function reasonIn(asked: string | undefined): ChallengeReason {
  const errors = parseChallenges(asked ?? '').map(({ params }) => params['error']);
  return errors.includes('insufficient_scope') ? 'insufficient_scope' : 'invalid_token';
}

/** The scopes at that registry, in its own names. */
function accessAt(
  registry: Registry,
  scopes: readonly AskedScope[],
  atMost: 'pull' | 'all',
): Access[] {
  return scopes.flatMap((scope): Access[] => {
    if (scope.type === 'catalog') return [{ type: 'registry', name: 'catalog', actions: ['*'] }];
    const { name } = scope;
    if (name.registry !== registry) return [];
    const actions = scope.actions.filter((action) => isWithin(atMost, action));
    return actions.length > 0 ? [{ type: 'repository', name: name.repository, actions }] : [];
  });
}
