/** The life of a gate: everything is opened in its order, and closed in the opposite one. */
import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { once } from 'node:events';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { atOnce } from './at-once';
import { describeApi } from './admin/api-document';
import { AdminModule } from './admin/admin.module';
import { AppModule, GUARDS } from './app.module';
import { Accounts } from './auth/accounts/accounts.service';
import type { InitialAdmin } from './auth/accounts/initial-admin';
import { openCache } from './cdn/cache';
import { checkDataDir, lockDataDir, prepareDataDir } from './config/data-dir';
import { openSecrets } from './config/open-secrets';
import type { RegistryTable } from './config/registry-table';
import type { Settings } from './config/settings';
import { noticesOf } from './config/start-notices';
import { WatchedRegistries } from './config/watched-registries';
import { EdgeListener } from './edge/edge.listener';
import { closeIdle } from './edge/connection-limit';
import { createServer } from './edge/server';
import { HealthModule } from './health/health.module';
import { Lifecycle } from './health/lifecycle';
import { HelpModule } from './help/help.module';
import { NestLog } from './journal/nest-log';
import type { Log } from './journal/log';
import { shortWay } from './short-way';
import { UpstreamFaults } from './upstream/upstream-faults';
import { VERSION } from './version';

/** Milliseconds that a gate which drains waits for the first request of a connection. */
const SILENCE = 5_000;

/** A gate that is listening. */
export interface Gate {
  readonly port: number;
  readonly admin: InitialAdmin | undefined;
  /** What it stands in front of at the start. */
  readonly table: RegistryTable;
  /**
   * Readiness turns to 503, the delay passes, no connection is taken any more, transfers end or are cut at the deadline,
   * then the stores close.
   */
  drain(): Promise<void>;
}

/**
 * Opens the data folder, its lock, the secrets, the accounts, and listens. The upstream is not asked: it may be away.
 * @throws Error whose message names what is in the way, and the remedy. Nothing is left half-open.
 */
export async function openGate(settings: Settings, log: Log): Promise<Gate> {
  checkDataDir(settings);
  const configFile = new WatchedRegistries(settings, log);
  const { registries } = configFile;
  prepareDataDir(settings);
  const lock = await lockDataDir(settings, log);
  const closers: (() => unknown)[] = [() => lock.release()];
  const close = async () => {
    // One that fails must not leave the others open.
    const failures: unknown[] = [];
    for (const closer of closers.splice(0).toReversed())
      await Promise.resolve()
        .then(closer)
        .catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  };
  try {
    for (const [level, message] of noticesOf(settings, registries.current)) log[level](message);
    const secrets = openSecrets(settings, log);
    const cache = await openCache(settings, log);
    closers.push(() => cache?.close());
    const ground = { settings, secrets, registries, log, cache, configFile };
    const app = await NestFactory.create<NestExpressApplication>(AppModule.forRoot(ground), {
      // Bodies are read by those who want them, after the guards.
      bodyParser: false,
      logger: new NestLog(log),
      abortOnError: false,
    });
    closers.push(() => app.close());
    app.set('etag', false).disable('x-powered-by');
    describeApi(app, VERSION, [AdminModule, HealthModule, HelpModule]);
    const faults = app.get(UpstreamFaults);
    registries.onSwap((table) => faults.forget((name) => table.byName(name)));
    const accounts = app.get(Accounts);
    await accounts.open();
    closers.push(() => accounts.close());
    const admin = await accounts.ensureAdmin();
    await app.init();
    const express = app.getHttpAdapter().getInstance() as RequestListener;
    const ways = shortWay(app, GUARDS, express);
    const listener = app.get(EdgeListener).inFrontOf(ways, atOnce(app, GUARDS));
    const server = createServer(settings, log, listener);
    const connections = connectionsOf(server);
    await listen(server, settings);
    configFile.watch();
    closers.push(() => configFile.close());
    const drain = async () => {
      app.get(Lifecycle).drain();
      await sleep(settings.drainDelay);
      await endTransfers(server, connections, settings.drainTimeout, log);
      await close();
    };
    const table = registries.current;
    return { port: (server.address() as AddressInfo).port, admin, table, drain };
  } catch (error) {
    await close();
    throw error;
  }
}

async function listen(server: Server, { host, port }: Settings): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(
        new Error(
          `cannot listen on ${host}:${port}: ${error.message}; set HOST or PORT to what is free`,
        ),
      ),
    );
    server.listen({ host, port, backlog: 4096 }, resolve);
  });
}

/** The connections that are open. A server counts one as ended before those who wait for its end are told. */
function connectionsOf(server: Server): ReadonlySet<Socket> {
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  return open;
}

/** Waits for what is under way, `deadline` milliseconds at most, and then cuts it. */
async function endTransfers(
  server: Server,
  connections: ReadonlySet<Socket>,
  deadline: number,
  log: Log,
): Promise<void> {
  server.close();
  // A connection that was busy when the server closed is idle a moment later, and its client may keep it for long.
  const sweep = setInterval(() => server.closeIdleConnections(), 100);
  // What a client asked just before may still be on its way.
  const silent = setTimeout(() => closeIdle(server), SILENCE);
  const cut = setTimeout(() => {
    log.warn('transfers did not end in time and were cut');
    for (const socket of connections) socket.destroy();
  }, deadline);
  while (connections.size > 0) {
    await Promise.all(
      [...connections].map((socket) => once(socket, 'close').catch(() => undefined)),
    );
  }
  clearInterval(sweep);
  clearTimeout(silent);
  clearTimeout(cut);
}
