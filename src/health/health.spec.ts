import type { IncomingMessage } from 'node:http';
import { Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import { contextOf } from '../edge/request-context';
import { behindEdge } from '../../test/support/behind-edge';
import { bearer, send, type Answer } from '../../test/support/http';
import { HealthModule } from './health.module';
import type { HealthState } from './health-source';
import { Lifecycle } from './lifecycle';

/** Takes the bearer token `admin` for an admin's, and lets everybody pass, as these addresses do. */
@Injectable()
class Optional implements CanActivate {
  canActivate(execution: ExecutionContext): boolean {
    const context = contextOf(execution.switchToHttp().getRequest<IncomingMessage>());
    if (context?.credentials.scheme !== 'bearer') return true;
    const { token } = context.credentials;
    const yes = () => true;
    context.identity = {
      username: token,
      epoch: 0,
      admin: token === 'admin',
      may: yes,
      sees: yes,
      upstreamAs: () => 'configured',
      registryAs: () => 'configured',
    };
    return true;
  }
}

async function gate(states: Record<string, HealthState | Error> = {}) {
  const sources = Object.keys(states).map((name) => ({
    name,
    check() {
      const state = states[name];
      if (state instanceof Error || !state) throw state;
      return state;
    },
  }));
  const useFactory = () => ({ version: '1.2.3', sources });
  const { app, url } = await behindEdge({
    imports: [HealthModule.forRootAsync({ useFactory })],
    providers: [{ provide: APP_GUARD, useClass: Optional }],
  });
  const ask = (path: string, token?: string, method = 'GET') =>
    send(`${url}${path}`, { method, headers: token ? bearer(token) : {} });
  return { ask, lifecycle: app.get(Lifecycle, { strict: false }) };
}

const seen = ({ status, text }: Answer) => [status, JSON.parse(text)];
const FAULT = 'line 3 of htpasswd is not a bcrypt hash';

describe('health', () => {
  it('is ok when every source is up', async () => {
    const { ask } = await gate({ accounts: { status: 'up' } });
    for (const path of ['/health', '/health/ready', '/health/live']) {
      const answer = await ask(path);
      expect(seen(answer)).toEqual([200, { status: 'ok' }]);
      expect(answer.headers['cache-control']).toBe('no-store');
    }
  });

  it('still serves while degraded, and tells a stranger no more than that (S38)', async () => {
    const { ask } = await gate({
      accounts: { status: 'degraded', detail: FAULT },
      upstream: { status: 'up' },
    });
    for (const token of [undefined, 'ana']) {
      expect(seen(await ask('/health', token))).toEqual([200, { status: 'degraded' }]);
      expect(seen(await ask('/health/ready', token))).toEqual([200, { status: 'degraded' }]);
    }
  });

  it('tells an admin what is wrong, which version runs and for how long', async () => {
    const { ask } = await gate({
      accounts: { status: 'degraded', detail: FAULT },
      upstream: { status: 'up' },
    });
    expect(seen(await ask('/health', 'admin'))).toEqual([
      200,
      {
        status: 'degraded',
        version: '1.2.3',
        uptime: expect.any(Number),
        draining: false,
        checks: { accounts: { status: 'degraded', detail: FAULT }, upstream: { status: 'up' } },
      },
    ]);
  });

  it('is down, but alive, when the gate cannot serve', async () => {
    const { ask } = await gate({ accounts: { status: 'down', detail: 'not loaded' } });
    expect(seen(await ask('/health'))).toEqual([503, { status: 'down' }]);
    expect(seen(await ask('/health/ready'))).toEqual([503, { status: 'down' }]);
    expect(seen(await ask('/health/live'))).toEqual([200, { status: 'ok' }]);
    const [status, document] = seen(await ask('/health/ready', 'admin'));
    expect([status, document]).toEqual([
      503,
      expect.objectContaining({ checks: { accounts: { status: 'down', detail: 'not loaded' } } }),
    ]);
  });

  it('is draining from the first word of it, but alive (F25)', async () => {
    const { ask, lifecycle } = await gate({ accounts: { status: 'degraded' } });
    expect((await ask('/health/ready')).status).toBe(200);
    lifecycle.drain();
    expect(seen(await ask('/health/ready'))).toEqual([503, { status: 'draining' }]);
    expect(seen(await ask('/health'))).toEqual([503, { status: 'draining' }]);
    expect(seen(await ask('/health/live'))).toEqual([200, { status: 'ok' }]);
    expect(seen(await ask('/health', 'admin'))).toEqual([
      503,
      expect.objectContaining({ status: 'draining', draining: true }),
    ]);
  });

  it('answers HEAD', async () => {
    const { ask } = await gate({ accounts: { status: 'down' } });
    const answer = await ask('/health/ready', undefined, 'HEAD');
    expect([answer.status, answer.text]).toEqual([503, '']);
    expect((await ask('/health/live', undefined, 'HEAD')).status).toBe(200);
  });

  it('takes a source that fails for one that is down, and says to nobody what it threw', async () => {
    const { ask } = await gate({ upstream: new Error('s3cret') });
    expect(seen(await ask('/health'))).toEqual([503, { status: 'down' }]);
    expect((await ask('/health', 'admin')).text).not.toContain('s3cret');
  });
});

describe('the status document', () => {
  it('names the service and the default registry by its host', async () => {
    const { ask } = await gate();
    const answer = await ask('/');
    expect(seen(answer)).toEqual([
      200,
      { status: 'ok', service: 'docker-registry-proxy', upstream: 'registry-1.docker.io' },
    ]);
    expect((await ask('/', undefined, 'HEAD')).status).toBe(200);
  });
});
