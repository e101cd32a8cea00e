/** What the gate asks of a client that has not shown enough: Bearer everywhere, Basic for operators. */
import type { RequestContext } from '../edge/request-context';
import { formatScope } from '../oci/access';
import { formatBasicChallenge, formatBearerChallenge } from '../oci/challenge';
import { OciError } from '../oci/oci-error';

/** Why: `wrong` is a user name or password that is not right. None where nothing was shown. */
export type ChallengeReason = 'invalid_token' | 'insufficient_scope' | 'wrong';

/**
 * The 401 for this request. Its scopes name repositories as the client did, its realm is the gate's own.
 * @param service the gate's own name; in relay that of the registry's token service.
 */
export function challenge(
  context: RequestContext,
  reason?: ChallengeReason,
  service: string = context.service,
): OciError {
  const text =
    context.need.kind === 'admin'
      ? formatBasicChallenge('tidegate')
      : formatBearerChallenge({
          realm: context.realm,
          service,
          scope: scopeOf(context),
          error: reason === 'wrong' ? undefined : reason,
        });
  return unauthorized(text, reason);
}

/** The 401 of a registry that takes user name and password itself. */
export function basicChallenge(realm: string, reason?: ChallengeReason): OciError {
  return unauthorized(formatBasicChallenge(realm), reason);
}

/** The 401 with a challenge that is written already. */
export function unauthorized(challenge: string, reason?: ChallengeReason): OciError {
  return new OciError('UNAUTHORIZED', {
    message: MESSAGES[reason ?? 'none'],
    headers: { 'WWW-Authenticate': challenge },
  });
}

const MESSAGES = {
  none: 'authentication required',
  wrong: 'incorrect username or password',
  invalid_token: 'the token is not good, or not any more: log in again',
  insufficient_scope: 'requested access to the resource is denied',
} as const;

/** A mount's source is left out: whoever may not read it uploads the blob, and skopeo cannot read two scopes in one. */
function scopeOf({ need }: RequestContext): string | undefined {
  if (need.kind === 'catalog') return 'registry:catalog:*';
  if (need.kind !== 'repository') return undefined;
  return formatScope({ type: 'repository', name: need.name.asked, actions: [...need.actions] });
}
