import { Injectable } from '@nestjs/common';
import { askedOf, type Identity, type RequestContext } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import { grantOf } from './access-policy';
import { TokenService } from './token/token.service';
import { Voucher, type IssuedToken } from './voucher';

/**
 * AUTH_MODE=open: whoever reaches the gate may pull what its own credentials may see, and nobody may push. What is shown as
 * a login is not looked at.
 */
@Injectable()
export class OpenVoucher extends Voucher {
  constructor(private readonly tokens: TokenService) {
    super();
  }

  async admit(context: RequestContext): Promise<void> {
    context.identity = READER;
    const { need } = context;
    switch (need.kind) {
      case 'nothing':
      case 'login':
      case 'catalog':
      case 'search':
        return;
      case 'repository':
        if (need.actions.every((action) => action === 'pull')) return;
        throw new OciError('DENIED', {
          message: 'this gate is open to everybody, for pulls alone',
        });
      case 'admin':
        throw new OciError('DENIED');
      default:
        throw new OciError('DENIED', { cause: need satisfies never });
    }
  }

  /** Clients that were asked for a login once, by another mode, go on asking for tokens. */
  async token(context: RequestContext): Promise<IssuedToken> {
    const { scopes } = askedOf(context, 'token').request;
    const access = grantOf(scopes, true, (_name, action) => action === 'pull');
    return { ...this.tokens.issue(undefined, access), access };
  }
}

const READER: Identity = {
  username: undefined,
  epoch: 0,
  admin: false,
  unjudged: true,
  may: (_name, action) => action === 'pull',
  sees: () => true,
  upstreamAs: () => 'configured',
  registryAs: () => 'configured',
};
