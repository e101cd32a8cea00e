import { Injectable } from '@nestjs/common';
import type { Credentials } from '../../edge/credentials';
import type { RequestContext } from '../../edge/request-context';
import { OciError } from '../../oci/oci-error';
import { unauthorized } from '../challenges';
import { Voucher, type IssuedToken } from '../voucher';
import { clientIdentity, pulledFromAlone, registryOf } from './client-identity';
import { RelayTokens } from './relay-tokens';

/** What may stand in a header. */
const PRINTABLE = /^[\x20-\x7e\t]{1,8192}$/;

/**
 * AUTH_MODE=passthrough: as relay, but the registry's challenge reaches the client untouched, with a realm that is not the
 * gate's, and the client's own header reaches the registry. A registry that was named by path or by `?ns=` never sees it.
 */
@Injectable()
export class PassthroughVoucher extends Voucher {
  constructor(private readonly tokens: RelayTokens) {
    super();
  }

  async admit(context: RequestContext): Promise<void> {
    const { need, home } = context;
    const registry = registryOf(context);
    const isHome = registry === home && need.kind !== 'search';
    const identity = clientIdentity({
      registry,
      authorization: isHome ? this.#authorizationOf(context.credentials) : undefined,
      atMost: isHome ? 'all' : 'pull',
      challenged: untouched,
    });
    context.identity = isHome
      ? identity
      : { ...identity, upstreamAs: () => 'anonymous', registryAs: () => 'anonymous' };
    if (need.kind !== 'repository') return;
    if (need.actions.every((action) => identity.may(need.name.canonical, action))) return;
    throw pulledFromAlone(registry);
  }

  async token({ home }: RequestContext): Promise<IssuedToken> {
    throw new OciError('NOT_FOUND', {
      message: `this gate gives out no tokens: clients fetch them where ${home.name} says`,
    });
  }

  /** Tokens of the gate's own, from before the mode was changed, are no registry's to see. */
  #authorizationOf(credentials: Credentials): string | undefined {
    if (credentials.scheme === 'basic') {
      const login = Buffer.from(`${credentials.username}:${credentials.password}`);
      return `Basic ${login.toString('base64')}`;
    }
    if (credentials.scheme !== 'bearer' || this.tokens.isOwn(credentials.token)) return undefined;
    return `Bearer ${credentials.token}`;
  }
}

function untouched(challenge: string | undefined): OciError {
  if (challenge !== undefined && PRINTABLE.test(challenge)) return unauthorized(challenge);
  return new OciError('BAD_UPSTREAM', {
    message: 'the registry asks for a login in a way that cannot be passed on',
  });
}
