import { Injectable } from '@nestjs/common';
import { askedOf, type Identity, type Need, type RequestContext } from '../edge/request-context';
import type { Access } from '../oci/access';
import { OciError } from '../oci/oci-error';
import { AccessPolicy, accountOf, covers, coversCatalog, type Subject } from './access-policy';
import { Accounts } from './accounts/accounts.service';
import { challenge, type ChallengeReason } from './challenges';
import { Refusals } from './refusals';
import { TokenService } from './token/token.service';
import { Voucher, type IssuedToken } from './voucher';

/** Who asks, by which proof, and the most that the proof can be used for; undefined is no bound. */
interface Proven {
  readonly subject: Subject;
  readonly proof: 'none' | 'basic' | 'bearer';
  readonly bound?: readonly Access[];
}

/** AUTH_MODE=accounts: the gate's own accounts, by its own tokens or by Basic. It vouches for operators in every mode. */
@Injectable()
export class AccountsVoucher extends Voucher {
  constructor(
    private readonly accounts: Accounts,
    private readonly tokens: TokenService,
    private readonly policy: AccessPolicy,
    private readonly refusals: Refusals,
  ) {
    super();
  }

  async admit(context: RequestContext): Promise<void> {
    const proven = await this.#prove(context);
    const identity = this.#identity(proven);
    context.identity = identity;
    this.#decide(context, context.need, proven, identity);
  }

  override admitNow(context: RequestContext): boolean {
    const { credentials, need } = context;
    if (credentials.scheme !== 'bearer' || need.kind !== 'repository') return false;
    const proven = this.#byToken(context, credentials.token);
    if (!proven) return false;
    const identity = this.#identity(proven);
    if (!need.actions.every((action) => identity.may(need.name.canonical, action))) return false;
    context.identity = identity;
    return true;
  }

  async token(context: RequestContext): Promise<IssuedToken> {
    const { offline, scopes } = askedOf(context, 'token').request;
    const subject = await this.#loggedIn(context);
    const account = accountOf(subject);
    // The guard let a stranger through to here; now it is known who it was.
    if (account && context.identity)
      context.identity = { ...context.identity, username: account.username };
    const access = this.policy.grant(subject, scopes);
    return {
      ...this.tokens.issue(account, access),
      access,
      refreshToken: account && offline ? this.tokens.issueRefresh(account) : undefined,
    };
  }

  /** @throws OciError UNAUTHORIZED for a proof that is shown and is not good, wherever a proof counts. */
  async #prove(context: RequestContext): Promise<Proven> {
    const { credentials, asked, need } = context;
    // The token endpoint reads its own credentials, and a stranger's are nothing to the status document.
    if (need.kind === 'nothing' && asked.noun !== 'health')
      return { subject: undefined, proof: 'none' };
    if (credentials.scheme === 'basic') {
      const { username, password } = credentials;
      const account = await this.accounts.verify(username, password, context.client);
      this.refusals.auditLogin(context, account?.username, username);
      if (account) return { subject: account, proof: 'basic' };
    }
    if (credentials.scheme === 'bearer' && need.kind !== 'admin') {
      const proven = this.#byToken(context, credentials.token);
      if (proven) return proven;
    }
    if (credentials.scheme === 'none' || need.kind === 'nothing')
      return { subject: this.policy.withoutLogin(context), proof: 'none' };
    throw challenge(context, credentials.scheme === 'bearer' ? 'invalid_token' : 'wrong');
  }

  #byToken(context: RequestContext, token: string): Proven | undefined {
    const grant = this.tokens.verify(token);
    // A token that was given to nobody is worth what readers without a login may do here and now.
    const subject = grant && (grant.account ?? this.policy.withoutLogin(context));
    return grant && { subject, proof: 'bearer', bound: grant.access };
  }

  #identity({ subject, bound }: Proven): Identity {
    const account = accountOf(subject);
    return {
      username: account?.username,
      epoch: account?.epoch ?? 0,
      admin: account?.role === 'admin',
      may: (name, action) =>
        this.policy.may(subject, name, action) && (!bound || covers(bound, name, action)),
      sees: (name) => this.policy.may(subject, name, 'pull'),
      upstreamAs: (name) => this.policy.upstreamAs(subject, name),
      registryAs: () => (account ? 'configured' : 'anonymous'),
    };
  }

  #decide(
    context: RequestContext,
    need: Need,
    { subject, proof, bound }: Proven,
    identity: Identity,
  ): void {
    const account = accountOf(subject);
    switch (need.kind) {
      case 'nothing':
        return;
      case 'login':
        if (proof === 'none') throw challenge(context);
        return;
      case 'admin':
        if (!account) throw challenge(context);
        if (!identity.admin) throw this.refusals.denied(context);
        return;
      case 'catalog':
        if (!account) throw challenge(context);
        if (bound && !coversCatalog(bound)) throw challenge(context, 'insufficient_scope');
        return;
      case 'search':
        if (!subject) throw challenge(context);
        return;
      case 'repository':
        if (need.actions.every((action) => identity.may(need.name.canonical, action))) return;
        throw this.#refusal(context, need, { subject, proof });
      default:
        throw new OciError('DENIED', { cause: need satisfies never });
    }
  }

  /** A client with a token may come back with a wider one; one that showed a password has nothing better to show. */
  #refusal(
    context: RequestContext,
    need: Extract<Need, { kind: 'repository' }>,
    { subject, proof }: Pick<Proven, 'subject' | 'proof'>,
  ): OciError {
    const reason: ChallengeReason | undefined =
      proof === 'bearer' ? 'insufficient_scope' : undefined;
    const held = need.actions.every((action) =>
      this.policy.may(subject, need.name.canonical, action),
    );
    // A right that is held, and not asked for in this token, is no denial: the client only has to ask.
    if (proof === 'basic') return this.refusals.denied(context);
    if (accountOf(subject) && !held) this.refusals.auditDenial(context);
    return challenge(context, reason);
  }

  async #loggedIn(context: RequestContext): Promise<Subject> {
    const { grant } = askedOf(context, 'token').request;
    if (grant.kind === 'refresh_token')
      return this.tokens.redeemRefresh(grant.refreshToken) ?? this.refusals.login(context, 'ended');
    const shown = grant.kind === 'password' ? grant : context.credentials;
    if ('password' in shown) {
      const account = await this.accounts.verify(shown.username, shown.password, context.client);
      if (!account) return this.refusals.login(context, 'wrong', shown.username);
      this.refusals.auditLogin(context, account.username);
      return account;
    }
    if (shown.scheme !== 'none') return this.refusals.login(context, 'wrong');
    return this.policy.withoutLogin(context) ?? this.refusals.login(context, 'none');
  }
}
