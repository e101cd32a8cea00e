import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { FREE, type Charge, type Exchange, type Gatekeeper } from '../edge/gatekeeper';
import { contextOf, type RequestContext } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import { AccountsVoucher } from './accounts.voucher';
import { Voucher } from './voucher';

/**
 * Who, and may they? Denies by default: a request without a context, without a need that is known, or without a right that
 * covers the need, goes no further. It leaves who asked on the context; nothing behind it asks again.
 */
@Injectable()
export class AccessGuard implements CanActivate, Gatekeeper {
  constructor(
    private readonly voucher: Voucher,
    private readonly operators: AccountsVoucher,
  ) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
    if (!context) throw new OciError('DENIED');
    await this.admit({ context });
    return true;
  }

  async admit({ context }: Pick<Exchange, 'context'>): Promise<void> {
    await this.#voucherFor(context).admit(context);
  }

  admitNow({ context }: Pick<Exchange, 'context'>): Charge | undefined {
    return this.#voucherFor(context).admitNow(context) ? FREE : undefined;
  }

  #voucherFor(context: RequestContext): Voucher {
    return isOperators(context) ? this.operators : this.voucher;
  }
}

/** Whoever vouches for clients, operators have accounts of the gate's; and what is public is so in every mode. */
function isOperators({ need }: RequestContext): boolean {
  return need.kind === 'admin' || need.kind === 'nothing';
}
