/**
 * The admin room over a real cache, behind the real edge: for the specs of /admin/cache. Every request is an admin's.
 */
import { randomBytes } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import type { IncomingMessage } from 'node:http';
import { pino } from 'pino';
import { AdminModule } from '../../src/admin/admin.module';
import { AccountsModule } from '../../src/auth/accounts/accounts.module';
import { openCache } from '../../src/cdn/cache';
import { CdnModule } from '../../src/cdn/cdn.module';
import type { Via } from '../../src/cdn/source';
import { contextOf } from '../../src/edge/request-context';
import { digestOf, type Digest } from '../../src/oci/digest';
import type { CanonicalName } from '../../src/oci/repository-name';
import { behindEdge, settingsFor } from './behind-edge';
import { send, type Sending } from './http';
import { atTheEnd, freshFolder } from './lifecycle';

@Injectable()
class EverybodyIsAdmin implements CanActivate {
  canActivate(execution: ExecutionContext): boolean {
    const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
    if (!context) return false;
    const yes = () => true;
    context.identity = {
      username: 'admin',
      epoch: 0,
      admin: true,
      may: yes,
      sees: yes,
      upstreamAs: () => 'configured',
      registryAs: () => 'configured',
    };
    return true;
  }
}

/** What an upstream answers that has nothing. */
const nothing: RequestListener = (_request, response) => {
  response.writeHead(404, { 'content-type': 'application/json' }).end('{"errors":[]}');
};

/** @param upstream what stands behind the gate; its registry's name is in `registry`. */
export async function openCacheRoom({
  on = true,
  upstream = nothing,
  redirects = 'follow' as 'follow' | 'pass',
} = {}) {
  const server = createServer(upstream);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const registry = `127.0.0.1:${port}`;
  const dataDir = freshFolder('cache-room');
  const cacheSettings = {
    dir: `${dataDir}/cache`,
    maxSize: { bytes: 100_000_000 },
    minFree: { bytes: 1 },
    maxAge: 3_600_000,
    tagTtl: 1000,
    memory: 1024,
  };
  const settings = {
    dataDir,
    htpasswdFile: `${dataDir}/htpasswd`,
    upstream: {
      ...settingsFor().upstream,
      url: new URL(`http://${registry}`),
      name: registry,
      redirects,
    },
    cache: on ? cacheSettings : undefined,
  };
  const cache = await openCache(settings, pino({ level: 'silent' }));
  atTheEnd(() => cache?.close());
  const lines: string[] = [];
  const room = await behindEdge({
    settings,
    logTo: (line) => lines.push(line),
    imports: [AccountsModule, CdnModule.forRoot(cache), AdminModule],
    providers: [{ provide: APP_GUARD, useClass: EverybodyIsAdmin }],
  });
  atTheEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  const ask = (path: string, sending?: Sending) => send(`${room.url}${path}`, sending);
  const order = (path: string, body?: unknown) =>
    ask(path, { method: 'POST', body: body === undefined ? undefined : JSON.stringify(body) });
  const remove = (path: string) => ask(path, { method: 'DELETE' });
  /** The audit lines of that event. */
  const audited = (event: string) =>
    lines
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ audit }) => audit === event);
  return { ...room, ask, order, remove, audited, cache, registry, hold };

  /** Holds random bytes, linked to these names. */
  async function hold(bytes: number, ...names: string[]): Promise<Digest> {
    if (!cache) throw new Error('there is no cache');
    const content = randomBytes(bytes);
    const digest = digestOf(content);
    const spool = await cache.spools.create();
    await spool.append([content]);
    await cache.store.put(digest, spool);
    spool.release();
    await cache.index.add(digest, bytes);
    const link = { via: 'anonymous.0123456789abcdef' as Via, mediaType: undefined };
    for (const name of names) await cache.index.link(name as CanonicalName, digest, link);
    return digest;
  }
}
