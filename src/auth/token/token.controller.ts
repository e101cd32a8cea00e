import { Controller, Get, HttpCode, Header, Post, Req } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { askedOf, contextOf, whoAsks, type RequestContext } from '../../edge/request-context';
import { Audit } from '../../journal/audit';
import { formatScope } from '../../oci/access';
import { OciError } from '../../oci/oci-error';
import { AccessPolicy, type Subject } from '../access-policy';
import { Accounts } from '../accounts/accounts.service';
import { TokenService } from './token.service';

/**
 * The token endpoint, `/v2/auth` and `/token`: GET as docker's first clients speak it, POST as OAuth2.
 * A scope wider than the account's rights is no error: what is granted is the intersection.
 */
@Controller('internal/token')
export class TokenController {
  constructor(
    private readonly accounts: Accounts,
    private readonly policy: AccessPolicy,
    private readonly tokens: TokenService,
    private readonly audit: Audit,
  ) {}

  @Get()
  @Header('Cache-Control', 'no-store')
  async get(@Req() request: IncomingMessage): Promise<object> {
    const { token, refreshToken, expiresIn, issuedAt } = await this.#grant(request);
    return {
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: issuedAt,
      refresh_token: refreshToken,
    };
  }

  @Post()
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async post(@Req() request: IncomingMessage): Promise<object> {
    const { token, refreshToken, scope, expiresIn, issuedAt } = await this.#grant(request);
    return {
      access_token: token,
      token_type: 'Bearer',
      scope,
      expires_in: expiresIn,
      issued_at: issuedAt,
      refresh_token: refreshToken,
    };
  }

  async #grant(request: IncomingMessage) {
    const context = contextOf(request);
    if (!context) throw new OciError('DENIED');
    const { offline, scopes } = askedOf(context, 'token').request;
    const subject = await this.#subject(context);
    // The guard let a stranger through to here; now it is known who it was.
    if (subject && context.identity)
      context.identity = { ...context.identity, username: subject.username };
    const access = this.policy.grant(subject, scopes);
    const { token, expiresIn, issuedAt } = this.tokens.issue(subject, access);
    return {
      token,
      refreshToken: subject && offline ? this.tokens.issueRefresh(subject) : undefined,
      scope: access.map(formatScope).join(' '),
      expiresIn,
      issuedAt: issuedAt.toISOString(),
    };
  }

  async #subject(context: RequestContext): Promise<Subject> {
    const { grant, scopes } = askedOf(context, 'token').request;
    if (grant.kind === 'refresh_token') {
      return this.tokens.redeemRefresh(grant.refreshToken) ?? this.#refuse(context, 'ended');
    }
    const shown = grant.kind === 'password' ? grant : context.credentials;
    if ('password' in shown) {
      const account = await this.accounts.verify(shown.username, shown.password, context.client);
      if (!account) return this.#refuse(context, 'wrong', shown.username);
      const detail = { scopes: scopes.length };
      this.audit.write({ ...whoAsks(context), event: 'login', actor: account.username, detail });
      return account;
    }
    if (shown.scheme !== 'none') return this.#refuse(context, 'wrong');
    return this.policy.admitsAnonymous ? undefined : this.#refuse(context, 'none');
  }

  #refuse(context: RequestContext, reason: keyof typeof REFUSALS, username?: string): never {
    if (reason !== 'none') {
      const target = username?.slice(0, 255);
      this.audit.write({ ...whoAsks(context), event: 'login.failed', target });
    }
    throw new OciError('UNAUTHORIZED', {
      message: REFUSALS[reason](context.base.replace(/^https?:\/\//, '')),
      headers: { 'WWW-Authenticate': 'Basic realm="tidegate"' },
    });
  }
}

/** What a client reads, by what it showed. */
const REFUSALS = {
  wrong: () => 'incorrect username or password',
  ended: (gate: string) => `the login has ended; log in again: docker login ${gate}`,
  none: (gate: string) => `log in first: docker login ${gate}`,
};
