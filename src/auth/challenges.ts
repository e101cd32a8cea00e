/** What the gate asks of a client that has not shown enough: Bearer everywhere, Basic for operators. */
import type { RequestContext } from '../edge/request-context';
import { formatScope } from '../oci/access';
import { formatBearerChallenge } from '../oci/challenge';
import { OciError } from '../oci/oci-error';

/** Why: `wrong` is a user name or password that is not right. None where nothing was shown. */
export type ChallengeReason = 'invalid_token' | 'insufficient_scope' | 'wrong';

/** The 401 for this request. Its scopes name repositories as the client did, its realm is the gate's own. */
export function challenge(context: RequestContext, reason?: ChallengeReason): OciError {
  return new OciError('UNAUTHORIZED', {
    message: MESSAGES[reason ?? 'none'],
    headers: { 'WWW-Authenticate': textOf(context, reason) },
  });
}

const MESSAGES = {
  none: 'authentication required',
  wrong: 'incorrect username or password',
  invalid_token: 'the token is not good, or not any more: log in again',
  insufficient_scope: 'requested access to the resource is denied',
} as const;

function textOf(context: RequestContext, reason: ChallengeReason | undefined): string {
  if (context.need.kind === 'admin') return 'Basic realm="tidegate", charset="UTF-8"';
  return formatBearerChallenge({
    realm: context.realm,
    service: context.service,
    scope: scopeOf(context),
    error: reason === 'wrong' ? undefined : reason,
  });
}

/** A mount's source is left out: whoever may not read it uploads the blob, and skopeo cannot read two scopes in one. */
function scopeOf({ need }: RequestContext): string | undefined {
  if (need.kind === 'catalog') return 'registry:catalog:*';
  if (need.kind !== 'repository') return undefined;
  return formatScope({ type: 'repository', name: need.name.asked, actions: [...need.actions] });
}
