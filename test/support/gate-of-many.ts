/** The whole gate within the test's own process, before registries of the test's choice. It holds no content. */
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { AppModule } from '../../src/app.module';
import { Accounts } from '../../src/auth/accounts/accounts.service';
import { prepareDataDir } from '../../src/config/data-dir';
import { openSecrets } from '../../src/config/open-secrets';
import { readSettings } from '../../src/config/read-settings';
import { plainRegistry } from '../../src/config/built-in-registries';
import { Registries, RegistryTable, type Registry } from '../../src/config/registry-table';
import { EdgeListener } from '../../src/edge/edge.listener';
import { createServer } from '../../src/edge/server';
import { createLog } from '../../src/journal/log';
import { basic, send, type Account, type Answer, type Sending } from './http';
import { atTheEnd, freshFolder } from './lifecycle';

export interface GateOfMany {
  readonly url: string;
  /** `127.0.0.1:port` */
  readonly host: string;
  readonly admin: Account;
  /** Asks as the admin, or with other headers; redirects are not followed. */
  ask(path: string, sending?: Sending): Promise<Answer>;
  /** Makes an account over REST; gives what it shows. */
  account(username: string, repository: string): Promise<{ authorization: string }>;
}

/** A registry behind the gate as the table would have it, without anything that is not said. */
export function registryAt(name: string, url: URL, more: Partial<Registry> = {}): Registry {
  return { ...plainRegistry(name, url), ...more };
}

/** @param registries the first is the default one. */
export async function openGateOfMany(
  registries: readonly [Registry, ...Registry[]],
  env: Record<string, string> = {},
): Promise<GateOfMany> {
  const dataDir = freshFolder('gate-of-many');
  const settings = readSettings({ DATA_DIR: dataDir, LOG_LEVEL: 'silent', CACHE: 'off', ...env });
  prepareDataDir(settings);
  const log = createLog(settings);
  const ground = {
    settings,
    secrets: openSecrets(settings, log),
    registries: new Registries(new RegistryTable(registries)),
    log,
    cache: null,
    configFile: { fault: undefined },
  };
  const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot(ground), {
    bodyParser: false,
    logger: false,
  });
  const accounts = app.get(Accounts);
  await accounts.open();
  await accounts.ensureAdmin();
  await app.init();
  const express = app.getHttpAdapter().getInstance() as RequestListener;
  const server = createServer(settings, log, app.get(EdgeListener).inFrontOf(express));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atTheEnd(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await app.close();
    await accounts.close();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  const url = `${settings.tls ? 'https' : 'http'}://${host}`;
  const password = readFileSync(join(dataDir, 'initial-admin-password'), 'utf8').trim();
  const admin = { username: 'admin', password };
  const ask = (path: string, { headers, ...sending }: Sending = {}) =>
    send(`${url}${path}`, { ...sending, headers: { ...basic(admin), ...headers } });
  return {
    url,
    host,
    admin,
    ask,
    async account(username, repository) {
      const account = { username, password: `${username}-secret` };
      const access = [{ repository, actions: ['pull'] }];
      const body = JSON.stringify({ ...account, access });
      const answer = await ask('/admin/users', { method: 'POST', body });
      if (answer.status !== 201) throw new Error(`no account: ${answer.status} ${answer.text}`);
      return basic(account);
    },
  };
}
