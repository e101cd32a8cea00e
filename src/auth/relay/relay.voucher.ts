import { Injectable } from '@nestjs/common';
import { askedOf, type RequestContext } from '../../edge/request-context';
import { OciError } from '../../oci/oci-error';
import { Voucher, type IssuedToken } from '../voucher';
import { registryOf } from './client-identity';
import { UpstreamLogin } from './upstream-login';
import { VouchedByGate } from './vouched-by-gate';
import { VouchedByRegistry } from './vouched-by-registry';

/**
 * AUTH_MODE=relay: clients log in with what the registry itself takes, and the registry says what they may. A login at the
 * gate is one at the registry whose host was asked (the default one where the host names none), and is never shown to
 * another: registries that are reached by path or by `?ns=` are read anonymously, or, by those whom ACCOUNTS lists, with the
 * gate's own credentials.
 */
@Injectable()
export class RelayVoucher extends Voucher {
  constructor(
    private readonly upstream: UpstreamLogin,
    private readonly byGate: VouchedByGate,
    private readonly byRegistry: VouchedByRegistry,
  ) {
    super();
  }

  async admit(context: RequestContext): Promise<void> {
    const registry = registryOf(context);
    // A search shows no credentials to anybody: whoever may read may search.
    if (registry !== context.home || context.need.kind === 'search')
      return this.byGate.admit(context, registry, 'pull');
    const asks = await this.upstream.asks(registry);
    switch (asks.scheme) {
      case 'nothing':
        return this.byGate.admit(context, registry, 'all');
      case 'basic':
        return this.byRegistry.admitBasic(context, registry, asks.realm);
      case 'bearer':
        return this.byRegistry.admitBearer(context, registry, asks.service ?? context.service);
      default:
        throw new OciError('DENIED', { cause: asks satisfies never });
    }
  }

  async token(context: RequestContext): Promise<IssuedToken> {
    if (!isForHome(context)) return this.byGate.token(context, 'pull');
    const asks = await this.upstream.asks(context.home);
    switch (asks.scheme) {
      case 'nothing':
        return this.byGate.token(context, 'all');
      case 'basic':
        throw new OciError('NOT_FOUND', {
          message: `${context.home.name} gives out no tokens: it takes user name and password with each request`,
        });
      case 'bearer':
        return this.byRegistry.token(context);
      default:
        throw new OciError('DENIED', { cause: asks satisfies never });
    }
  }
}

/** A login asks for no scope. One that asks for several registries at once gets a token for its own. */
function isForHome(context: RequestContext): boolean {
  if (context.registry !== context.home) return false;
  const { scopes } = askedOf(context, 'token').request;
  const repositories = scopes.filter((scope) => scope.type === 'repository');
  return (
    repositories.length === 0 || repositories.some(({ name }) => name.registry === context.home)
  );
}
