/**
 * A room of the gate alone, behind the real edge: for specs of guards and controllers, without the rooms around them.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Global, Module, type ModuleMetadata } from '@nestjs/common';
import { APP_FILTER } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { Test } from '@nestjs/testing';
import { pino } from 'pino';
import { Registries } from '../../src/config/registry-table';
import { registryTableOf } from '../../src/config/registry-table-of';
import { Settings } from '../../src/config/settings';
import { EdgeListener } from '../../src/edge/edge.listener';
import { ErrorFilter } from '../../src/edge/error.filter';
import { Audit } from '../../src/journal/audit';
import { Log } from '../../src/journal/log';
import { atTheEnd } from './lifecycle';

/** Settings as a gate without any would have them, but for a folder: nothing here writes. */
export function settingsFor(overrides: Partial<Settings> = {}): Settings {
  return {
    host: '127.0.0.1',
    port: 0,
    trustProxy: ['127.0.0.1'],
    dataDir: '/nowhere',
    htpasswdFile: '/nowhere/htpasswd',
    authMode: 'accounts',
    anonymousAccess: 'none',
    anonymousRepositories: [],
    trustedNetworks: [],
    adminUsername: 'admin',
    accounts: [],
    tokenService: 'tidegate',
    tokenTtl: 300,
    upstream: {
      url: new URL('https://registry-1.docker.io'),
      name: 'docker.io',
      redirects: 'follow',
      connectTimeout: 4_000,
      headerTimeout: 30_000,
      idleTimeout: 30_000,
    },
    outgoingProxy: { except: '' },
    rateLimit: 50,
    rateBurst: 500,
    maxConnections: 256,
    maxUploads: 1000,
    uploadTtl: 86_400_000,
    logLevel: 'silent',
    drainTimeout: 30_000,
    drainDelay: 0,
    ...overrides,
  };
}

export interface Room extends Pick<ModuleMetadata, 'imports' | 'controllers' | 'providers'> {
  settings?: Partial<Settings>;
  /** Gets the log's lines, at level debug. */
  logTo?: (line: string) => void;
  /** Providers of the imported modules to stand in for. */
  override?: { token: symbol | (abstract new (...args: never[]) => unknown); value: unknown }[];
}

/** Starts the room on a port of its own. A client's address is what X-Forwarded-For says. */
export async function behindEdge({
  settings: overrides,
  logTo,
  imports = [],
  override = [],
  ...own
}: Room) {
  const settings = settingsFor(overrides);
  const log = logTo ? pino({ level: 'debug' }, { write: logTo }) : pino({ level: 'silent' });
  const given = [
    { provide: Settings, useValue: settings },
    { provide: Registries, useValue: new Registries(registryTableOf(settings)) },
    { provide: Log, useValue: log },
    { provide: Audit, useValue: new Audit(log) },
  ];

  @Global()
  @Module({ providers: given, exports: given })
  class Given {}

  const building = Test.createTestingModule({
    imports: [Given, ...imports],
    controllers: own.controllers,
    providers: [
      EdgeListener,
      { provide: APP_FILTER, useClass: ErrorFilter },
      ...(own.providers ?? []),
    ],
  });
  for (const { token, value } of override) building.overrideProvider(token).useValue(value);
  const room = await building.compile();
  const app = room.createNestApplication<NestExpressApplication>({
    bodyParser: false,
    logger: false,
  });
  await app.init();
  const listener = app.get(EdgeListener).inFrontOf(app.getHttpAdapter().getInstance());
  const server = createServer(listener).on('checkContinue', listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  atTheEnd(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await app.close();
  });
  const { port } = server.address() as AddressInfo;
  return { app, port, url: `http://127.0.0.1:${port}` };
}
