import { Module } from '@nestjs/common';
import { Log } from '../journal/log';
import { Dialer } from './dialer';
import { EgressPolicy } from './egress-policy';
import { LoginRelay } from './login-relay';
import { Logins } from './logins';
import { UpstreamPatience } from './patience';
import { Mirrors } from './mirrors';
import { Redirects } from './redirects';
import { RegistryClient } from './registry-client';
import { TokenEndpoint } from './token-endpoint';
import { Transport } from './transport';
import { UpstreamClient } from './upstream.client';
import { UpstreamFaults } from './upstream-faults';
import { UpstreamTokens } from './upstream-tokens';

/** The other side: requests to registries, the gate's logins there, and where a request may go. */
@Module({
  providers: [
    EgressPolicy,
    Dialer,
    UpstreamFaults,
    Transport,
    Redirects,
    {
      provide: Logins,
      inject: [UpstreamFaults, Log],
      useFactory: (faults: UpstreamFaults, log: Log) => new Logins(faults, log),
    },
    TokenEndpoint,
    UpstreamTokens,
    {
      provide: LoginRelay,
      inject: [Transport, TokenEndpoint],
      useFactory: (transport: Transport, endpoint: TokenEndpoint) =>
        new LoginRelay(transport, endpoint),
    },
    {
      provide: UpstreamPatience,
      inject: [UpstreamFaults, Logins, Log],
      useFactory: (faults: UpstreamFaults, logins: Logins, log: Log) =>
        new UpstreamPatience(faults, logins, log),
    },
    RegistryClient,
    Mirrors,
    UpstreamClient,
  ],
  exports: [EgressPolicy, LoginRelay, UpstreamFaults, UpstreamTokens, UpstreamClient],
})
export class UpstreamModule {}
