import { Global, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { pino } from 'pino';
import { answer, FaultServer } from '../../test/support/fault-server';
import { registryAt } from '../../test/support/upstream-fixture';
import { Settings } from '../config/settings';
import { Log } from '../journal/log';
import { EgressPolicy } from './egress-policy';
import { readBody, UpstreamClient } from './upstream.client';
import { UpstreamModule } from './upstream.module';
import { UpstreamTokens } from './upstream-tokens';

const settings = {
  upstream: { connectTimeout: 1000, headerTimeout: 1000, idleTimeout: 1000 },
  outgoingProxy: { except: '' },
};

@Global()
@Module({
  providers: [
    { provide: Settings, useValue: settings },
    { provide: Log, useValue: pino({ level: 'silent' }) },
  ],
  exports: [Settings, Log],
})
class Ground {}

it('stands on the settings and the log alone, and ends its connections with the application', async () => {
  const upstream = await FaultServer.start({ handler: answer(200, 'ok') });
  const gate = await Test.createTestingModule({ imports: [Ground, UpstreamModule] }).compile();
  const registry = registryAt(upstream.url);
  expect([gate.get(EgressPolicy), gate.get(UpstreamTokens)]).not.toContain(undefined);

  const response = await gate
    .get(UpstreamClient)
    .request({ registry, as: 'anonymous', method: 'GET', path: '/v2/', access: [] });
  expect((await readBody(response, 10)).toString()).toBe('ok');
  await gate.close();

  const deadline = Date.now() + 3_000;
  while (upstream.open > 0 && Date.now() < deadline)
    await new Promise((resolve) => setTimeout(resolve, 5));
  expect(upstream.open).toBe(0);
  await upstream.close();
});
