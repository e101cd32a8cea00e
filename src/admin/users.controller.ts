/** /admin/users: accounts, managed while the gate runs. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  Controller,
  Delete,
  Get,
  HttpCode,
  Param,
  Patch,
  Post,
  Req,
  Res,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { ApiBasicAuth, ApiOperation, ApiParam, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import { shown, type Account, type Actor } from '../auth/accounts/account';
import { accountChange, newAccount } from '../auth/accounts/account-input';
import { Accounts } from '../auth/accounts/accounts.service';
import { admittedContextOf } from '../edge/request-context';
import { OciError } from '../oci/oci-error';
import { ApiErrors } from './api-errors';
import { BrowserGuard } from './browser.guard';
import { JsonBody } from './json-body.interceptor';
import { AnyOtherMethod, methodNotAllowed } from './method-not-allowed';
import { user, users } from './user';
import { ValidBody } from './validated';

type User = ReturnType<typeof shown>;

/** The access guard has let in nobody but admins; each change takes effect at once, on tokens that are out too. */
@Controller('admin/users')
@UseGuards(BrowserGuard)
@ApiTags('users')
@ApiBasicAuth()
@ApiErrors(401, 403, 429)
export class UsersController {
  constructor(private readonly accounts: Accounts) {}

  @Get()
  @ApiOperation({ summary: 'All accounts' })
  @ApiResponse({ status: 200, description: 'The accounts', standardSchema: users })
  list(): { users: User[] } {
    return { users: this.accounts.list().map(shown) };
  }

  @Post()
  @UseInterceptors(JsonBody)
  @ApiOperation({ summary: 'Makes an account; it can log in at once' })
  @ApiResponse({ status: 201, description: 'The account', standardSchema: user })
  @ApiErrors(400, 409, 413)
  async add(
    @ValidBody(newAccount) body: z.output<typeof newAccount>,
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): Promise<User> {
    const account = await this.accounts.add(body, actorOf(request));
    response.setHeader('Location', `/admin/users/${encodeURIComponent(account.username)}`);
    return shown(account);
  }

  @Get(':username')
  @ApiOperation({ summary: 'One account' })
  @ApiParam({ name: 'username' })
  @ApiResponse({ status: 200, description: 'The account', standardSchema: user })
  @ApiErrors(404)
  get(@Param('username') username: string): User {
    const account: Account | undefined = this.accounts.get(username);
    if (!account) throw new OciError('USER_UNKNOWN');
    return shown(account);
  }

  @Patch(':username')
  @UseInterceptors(JsonBody)
  @ApiOperation({
    summary:
      'Changes an account; a new password voids its tokens, and so does putting it out of force',
  })
  @ApiParam({ name: 'username' })
  @ApiResponse({ status: 200, description: 'The account as it is now', standardSchema: user })
  @ApiErrors(400, 404, 409, 413)
  async change(
    @Param('username') username: string,
    @ValidBody(accountChange) body: z.output<typeof accountChange>,
    @Req() request: IncomingMessage,
  ): Promise<User> {
    return shown(await this.accounts.change(username, body, actorOf(request)));
  }

  @Delete(':username')
  @HttpCode(204)
  @ApiOperation({ summary: 'Removes an account; its tokens are void at once' })
  @ApiParam({ name: 'username' })
  @ApiResponse({ status: 204, description: 'Removed' })
  @ApiErrors(404, 409)
  async remove(
    @Param('username') username: string,
    @Req() request: IncomingMessage,
  ): Promise<void> {
    await this.accounts.remove(username, actorOf(request));
  }

  @Delete(':username/sessions')
  @HttpCode(204)
  @ApiOperation({ summary: 'Voids all tokens of an account; its password stays' })
  @ApiParam({ name: 'username' })
  @ApiResponse({ status: 204, description: 'All its tokens are void' })
  @ApiErrors(404, 409)
  async endSessions(
    @Param('username') username: string,
    @Req() request: IncomingMessage,
  ): Promise<void> {
    await this.accounts.endSessions(username, actorOf(request));
  }

  @AnyOtherMethod()
  otherOfAll(): never {
    throw methodNotAllowed('GET, HEAD, POST');
  }

  @AnyOtherMethod(':username')
  otherOfOne(): never {
    throw methodNotAllowed('GET, HEAD, PATCH, DELETE');
  }

  @AnyOtherMethod(':username/sessions')
  otherOfSessions(): never {
    throw methodNotAllowed('DELETE');
  }
}

/** Who makes the change, for the audit trail. */
function actorOf(request: IncomingMessage): Actor {
  const { id, address, identity } = admittedContextOf(request);
  return { actor: identity.username, address, request: id };
}
