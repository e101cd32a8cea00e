import { Injectable } from '@nestjs/common';
import { whoAsks, type RequestContext } from '../edge/request-context';
import { Audit } from '../journal/audit';
import { OciError } from '../oci/oci-error';

/** How the gate says no to logins and deeds, and what of it goes into the audit trail. */
@Injectable()
export class Refusals {
  constructor(private readonly audit: Audit) {}

  /** @param username of a login that is good. @param shown the name that was given with one that is not. */
  auditLogin(context: RequestContext, username: string | undefined, shown?: string): void {
    const who = { ...whoAsks(context), actor: username };
    if (username !== undefined) {
      const { asked } = context;
      const detail = asked.noun === 'token' ? { scopes: asked.request.scopes.length } : undefined;
      this.audit.write({ ...who, event: 'login', detail });
    } else this.audit.write({ ...who, event: 'login.failed', target: shown?.slice(0, 255) });
  }

  /** Refuses a token request. @throws OciError UNAUTHORIZED */
  login(context: RequestContext, reason: keyof typeof REFUSALS, username?: string): never {
    if (reason !== 'none') this.auditLogin(context, undefined, username);
    throw new OciError('UNAUTHORIZED', {
      message: REFUSALS[reason](context.base.replace(/^https?:\/\//, '')),
      headers: { 'WWW-Authenticate': 'Basic realm="tidegate"' },
    });
  }

  /** The 403 for somebody who is known, and may not. */
  denied(context: RequestContext): OciError {
    this.auditDenial(context);
    const { need, identity } = context;
    const what =
      need.kind === 'repository'
        ? `${need.actions.join(' and ')} on ${need.name.canonical}`
        : 'the administration';
    return new OciError('DENIED', {
      message: `requested access to the resource is denied: ${identity?.username ?? 'nobody'} has no right to ${what}`,
    });
  }

  auditDenial(context: RequestContext): void {
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

/** What a client reads, by what it showed. */
const REFUSALS = {
  wrong: () => 'incorrect username or password',
  ended: (gate: string) => `the login has ended; log in again: docker login ${gate}`,
  none: (gate: string) => `log in first: docker login ${gate}`,
};
