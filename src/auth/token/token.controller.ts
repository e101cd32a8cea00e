import { Controller, Get, HttpCode, Header, Post, Req } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { contextOf } from '../../edge/request-context';
import { formatScope } from '../../oci/access';
import { OciError } from '../../oci/oci-error';
import { Voucher, type IssuedToken } from '../voucher';

/**
 * The token endpoint, `/v2/auth` and `/token`: GET as docker's first clients speak it, POST as OAuth2.
 * A scope wider than the account's rights is no error: what is granted is the intersection.
 */
@Controller('internal/token')
export class TokenController {
  constructor(private readonly voucher: Voucher) {}

  @Get()
  @Header('Cache-Control', 'no-store')
  async get(@Req() request: IncomingMessage): Promise<object> {
    const { token, refreshToken, expiresIn, issuedAt } = await this.#issue(request);
    return {
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: issuedAt.toISOString(),
      refresh_token: refreshToken,
    };
  }

  @Post()
  @HttpCode(200)
  @Header('Cache-Control', 'no-store')
  async post(@Req() request: IncomingMessage): Promise<object> {
    const { token, refreshToken, access, expiresIn, issuedAt } = await this.#issue(request);
    return {
      access_token: token,
      token_type: 'Bearer',
      scope: access.map((one) => formatScope({ ...one, actions: [...one.actions] })).join(' '),
      expires_in: expiresIn,
      issued_at: issuedAt.toISOString(),
      refresh_token: refreshToken,
    };
  }

  async #issue(request: IncomingMessage): Promise<IssuedToken> {
    const context = contextOf(request);
    if (!context) throw new OciError('DENIED');
    return this.voucher.token(context);
  }
}
