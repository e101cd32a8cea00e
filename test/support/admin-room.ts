/** The admin room with real accounts, behind the real edge: for the specs of src/admin. */
import type { IncomingMessage } from 'node:http';
import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { AdminModule } from '../../src/admin/admin.module';
import { describeApi } from '../../src/admin/api-document';
import type { Fault } from '../../src/admin/validated';
import { AccountsModule } from '../../src/auth/accounts/accounts.module';
import { Accounts } from '../../src/auth/accounts/accounts.service';
import { contextOf } from '../../src/edge/request-context';
import { OciError } from '../../src/oci/oci-error';
import { behindEdge } from './behind-edge';
import { basic, send, type Answer, type Sending } from './http';
import { atTheEnd, freshFolder } from './lifecycle';

export const ADMIN = { username: 'admin', password: 'admin-Passw0rd' };
/** A password that must be seen nowhere. */
export const SECRET = 'vEry-s3cret';

/** Stands where the real guard stands: Basic of an admin, or nothing. */
@Injectable()
class AdminsOnly implements CanActivate {
  constructor(@Inject(Accounts) private readonly accounts: Accounts) {}

  async canActivate(execution: ExecutionContext): Promise<boolean> {
    const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
    if (context?.credentials.scheme !== 'basic') throw new OciError('UNAUTHORIZED');
    const { username, password } = context.credentials;
    const account = await this.accounts.verify(username, password, context.address);
    if (account?.role !== 'admin') throw new OciError('UNAUTHORIZED');
    context.identity = {
      username,
      epoch: account.epoch,
      admin: true,
      may: () => true,
      sees: () => true,
      upstreamAs: () => 'configured',
      registryAs: () => 'configured',
    };
    return true;
  }
}

/** The real accounts and admin rooms, with an admin. Asks as that admin; `lines` is the log. */
export async function openAdminRoom() {
  const dataDir = freshFolder('admin');
  const lines: string[] = [];
  const { app, url, port } = await behindEdge({
    settings: {
      dataDir,
      htpasswdFile: `${dataDir}/htpasswd`,
      accounts: [{ username: 'fixed', password: 'fixed' }],
    },
    logTo: (line) => lines.push(line),
    imports: [AccountsModule, AdminModule],
    providers: [{ provide: APP_GUARD, useClass: AdminsOnly }],
  });
  const accounts = app.get(Accounts);
  await accounts.open({ watch: false });
  atTheEnd(() => accounts.close());
  await accounts.add({ ...ADMIN, role: 'admin' }, {});
  describeApi(app, '1.2.3', [AdminModule]);
  const ask = (path: string, { headers, ...sending }: Sending = {}) =>
    send(`${url}${path}`, { ...sending, headers: { ...basic(ADMIN), ...headers } });
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    ask('/admin/users', { method: 'POST', body: JSON.stringify(body), headers });
  const patch = (username: string, body: unknown) =>
    ask(`/admin/users/${username}`, { method: 'PATCH', body: JSON.stringify(body) });
  return { ask, post, patch, accounts, url, port, lines };
}

let count = 0;
/** A user name that nothing else in this spec has. */
export const freshName = () => `user${(count += 1)}`;

/** The detail of a refused body. */
export const faultsOf = (answer: Answer) =>
  answer.json<{ errors: [{ detail: Fault[] }] }>().errors[0].detail;

/** Status and document, in one value to compare. */
export const seen = ({ status, text }: Answer) => [status, text === '' ? '' : JSON.parse(text)];
