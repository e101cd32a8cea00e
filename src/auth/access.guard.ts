import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import {
  contextOf,
  whoAsks,
  type Identity,
  type Need,
  type RequestContext,
} from '../edge/request-context';
import { Audit } from '../journal/audit';
import type { Access } from '../oci/access';
import { OciError } from '../oci/oci-error';
import { AccessPolicy, covers, type Subject } from './access-policy';
import { Accounts } from './accounts/accounts.service';
import { challenge, type ChallengeReason } from './challenges';
import { TokenService } from './token/token.service';

/** Who asks, by which proof, and the most that the proof can be used for; undefined is no bound. */
interface Proven {
  readonly subject: Subject;
  readonly proof: 'none' | 'basic' | 'bearer';
  readonly bound?: readonly Access[];
}

/**
 * Who, and may they? Denies by default: a request without a context, without a need that it knows, or without a right
 * that covers the need, goes no further. It leaves who asked on the context; nothing behind it asks again.
 */
@Injectable()
export class AccessGuard implements CanActivate {
  constructor(
    private readonly accounts: Accounts,
    private readonly tokens: TokenService,
    private readonly policy: AccessPolicy,
    private readonly audit: Audit,
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
    if (!context) throw new OciError('DENIED');
    const proven = await this.#prove(context);
    context.identity = this.#identity(proven);
    this.#decide(context, context.need, proven, context.identity);
    return true;
  }

  /** @throws OciError UNAUTHORIZED for a proof that is shown and is not good, wherever a proof counts. */
  async #prove(context: RequestContext): Promise<Proven> {
    const { credentials, asked, need } = context;
    // The token endpoint reads its own credentials, and a stranger's are nothing to the status document.
    if (need.kind === 'nothing' && asked.noun !== 'health')
      return { subject: undefined, proof: 'none' };
    if (credentials.scheme === 'basic') {
      const subject = await this.accounts.verify(
        credentials.username,
        credentials.password,
        context.client,
      );
      const who = { ...whoAsks(context), actor: subject?.username };
      if (subject) {
        this.audit.write({ ...who, event: 'login' });
        return { subject, proof: 'basic' };
      }
      const target = credentials.username.slice(0, 255);
      this.audit.write({ ...who, event: 'login.failed', target });
    }
    if (credentials.scheme === 'bearer' && need.kind !== 'admin') {
      const grant = this.tokens.verify(credentials.token);
      if (grant) return { subject: grant.account, proof: 'bearer', bound: grant.access };
    }
    if (credentials.scheme === 'none' || need.kind === 'nothing')
      return { subject: undefined, proof: 'none' };
    throw challenge(context, credentials.scheme === 'bearer' ? 'invalid_token' : 'wrong');
  }

  #identity({ subject, bound }: Proven): Identity {
    return {
      username: subject?.username,
      epoch: subject?.epoch ?? 0,
      admin: subject?.role === 'admin',
      may: (name, action) =>
        this.policy.may(subject, name, action) && (!bound || covers(bound, name, action)),
      sees: (name) => this.policy.may(subject, name, 'pull'),
      upstreamAs: (name) => this.policy.upstreamAs(subject, name),
      registryAs: () => (subject ? 'configured' : 'anonymous'),
    };
  }

  #decide(
    context: RequestContext,
    need: Need,
    { subject, proof, bound }: Proven,
    identity: Identity,
  ): void {
    switch (need.kind) {
      case 'nothing':
        return;
      case 'login':
        if (proof === 'none') throw challenge(context);
        return;
      case 'admin':
        if (!subject) throw challenge(context);
        if (!identity.admin) throw this.#denied(context);
        return;
      case 'catalog':
        if (!subject) throw challenge(context);
        if (bound && !bound.some(({ type, name }) => type === 'registry' && name === 'catalog')) {
          throw challenge(context, 'insufficient_scope');
        }
        return;
      case 'search':
        if (!subject && !this.policy.admitsAnonymous) throw challenge(context);
        return;
      case 'repository':
        if (need.actions.every((action) => identity.may(need.name.canonical, action))) return;
        throw this.#refusal(context, need, proof, subject);
      default:
        throw new OciError('DENIED', { cause: need satisfies never });
    }
  }

  /** A client with a token may come back with a wider one; one that showed a password has nothing better to show. */
  #refusal(
    context: RequestContext,
    need: Extract<Need, { kind: 'repository' }>,
    proof: Proven['proof'],
    subject: Subject,
  ): OciError {
    const reason: ChallengeReason | undefined =
      proof === 'bearer' ? 'insufficient_scope' : undefined;
    const held = need.actions.every((action) =>
      this.policy.may(subject, need.name.canonical, action),
    );
    // A right that is held, and not asked for in this token, is no denial: the client only has to ask.
    if (proof === 'basic') return this.#denied(context);
    if (subject && !held) this.#auditDenial(context);
    return challenge(context, reason);
  }

  #denied(context: RequestContext): OciError {
    this.#auditDenial(context);
    const { need, identity } = context;
    const what =
      need.kind === 'repository'
        ? `${need.actions.join(' and ')} on ${need.name.canonical}`
        : 'the administration';
    return new OciError('DENIED', {
      message: `requested access to the resource is denied: ${identity?.username ?? 'nobody'} has no right to ${what}`,
    });
  }

  #auditDenial(context: RequestContext): void {
    const { need } = context;
    const repository = need.kind === 'repository' ? need : undefined;
    this.audit.write({
      ...whoAsks(context),
      event: 'denied',
      target: repository?.name.canonical,
      detail: repository && { actions: repository.actions },
    });
  }
}
