import { Module, type CanActivate, type DynamicModule, type Type } from '@nestjs/common';
import { APP_FILTER, APP_GUARD } from '@nestjs/core';
import { AdminModule } from './admin/admin.module';
import { AccessGuard } from './auth/access.guard';
import { Accounts } from './auth/accounts/accounts.service';
import { AccountsModule } from './auth/accounts/accounts.module';
import { TokenModule } from './auth/token/token.module';
import type { Cache } from './cdn/cache';
import { CdnModule } from './cdn/cdn.module';
import { SettingsModule } from './config/config.module';
import type { Registries } from './config/registry-table';
import type { Secrets } from './config/secrets';
import type { Settings } from './config/settings';
import { EdgeModule } from './edge/edge.module';
import { ErrorFilter } from './edge/error.filter';
import type { Gatekeeper } from './edge/gatekeeper';
import type { HealthState } from './health/health-source';
import { HealthModule } from './health/health.module';
import { HelpModule } from './help/help.module';
import { JournalModule } from './journal/journal.module';
import type { Log } from './journal/log';
import { RegistryModule } from './registry/registry.module';
import { AccountThrottle } from './throttling/account.throttle';
import { AddressThrottle } from './throttling/address.throttle';
import { LoginThrottle } from './throttling/login.throttle';
import { ThrottlingModule } from './throttling/throttling.module';
import { TransferSlots } from './throttling/transfer-slots';
import { LoginRelay } from './upstream/login-relay';
import { UpstreamFaults } from './upstream/upstream-faults';
import { UpstreamModule } from './upstream/upstream.module';
import { VERSION } from './version';

/** What is read and opened before Nest starts. */
export interface Ground {
  readonly settings: Settings;
  readonly secrets: Secrets;
  readonly registries: Registries;
  readonly log: Log;
  /** Null with CACHE=off. */
  readonly cache: Cache | null;
  /** What is wrong with the config file now, if anything is. */
  readonly configFile: { readonly fault: string | undefined };
}

/** The guards, in the order in which they ask: may you knock, as whom, who are you, may you, how much at once. */
export const GUARDS: readonly Type<CanActivate & Gatekeeper>[] = [
  AddressThrottle,
  LoginThrottle,
  AccessGuard,
  AccountThrottle,
  TransferSlots,
];

/** All wiring. */
@Module({})
export class AppModule {
  static forRoot({ settings, secrets, registries, log, cache, configFile }: Ground): DynamicModule {
    return {
      module: AppModule,
      imports: [
        SettingsModule.forRoot(settings, secrets, registries),
        JournalModule.forRoot(log),
        EdgeModule,
        ThrottlingModule,
        AccountsModule,
        TokenModule.forRoot({ imports: [UpstreamModule], useExisting: LoginRelay }),
        RegistryModule,
        CdnModule.forRoot(cache),
        UpstreamModule,
        AdminModule,
        HelpModule,
        HealthModule.forRootAsync({
          imports: [AccountsModule, UpstreamModule],
          inject: [Accounts, UpstreamFaults],
          useFactory: (accounts: Accounts, upstreamFaults: UpstreamFaults) => ({
            version: VERSION,
            sources: [
              { name: 'accounts', check: () => fileHealth(accounts) },
              { name: 'config', check: () => fileHealth(configFile) },
              { name: 'upstream', check: () => upstreamHealth(upstreamFaults) },
              { name: 'cache', check: () => cacheHealth(cache) },
            ],
          }),
        }),
      ],
      providers: [
        AccessGuard,
        ...GUARDS.map((guard) => ({ provide: APP_GUARD, useExisting: guard })),
        ErrorFilter,
        { provide: APP_FILTER, useExisting: ErrorFilter },
      ],
    };
  }
}

/** A broken file leaves the last good one in force: the gate serves, and somebody has to look. */
function fileHealth({ fault }: { readonly fault: string | undefined }): HealthState {
  return fault === undefined ? { status: 'up' } : { status: 'degraded', detail: fault };
}

/** Without its upstream the gate still answers: it says so, and a restart would not help. */
function upstreamHealth({ all }: UpstreamFaults): HealthState {
  if (all.length === 0) return { status: 'up' };
  const detail = all
    .map(({ message, since }) => `since ${since.toISOString()}: ${message}`)
    .join('; ');
  return { status: 'degraded', detail };
}

/** A full disk stops the holding, not the pulling. */
function cacheHealth(cache: Cache | null): HealthState {
  const fault = cache?.capacity.fault;
  return fault === undefined ? { status: 'up' } : { status: 'degraded', detail: fault };
}
