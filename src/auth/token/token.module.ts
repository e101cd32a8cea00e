import { Module, type DynamicModule, type ModuleMetadata, type Type } from '@nestjs/common';
import { JwtModule } from '@nestjs/jwt';
import { Secrets } from '../../config/secrets';
import { Settings } from '../../config/settings';
import { AccessPolicy } from '../access-policy';
import { AccountsModule } from '../accounts/accounts.module';
import { AccountsVoucher } from '../accounts.voucher';
import { OpenVoucher } from '../open.voucher';
import { Refusals } from '../refusals';
import { PassthroughVoucher } from '../relay/passthrough.voucher';
import { RelayLogins } from '../relay/relay-logins';
import { RelayTokens } from '../relay/relay-tokens';
import { RelayVoucher } from '../relay/relay.voucher';
import { UpstreamLogin } from '../relay/upstream-login';
import { VouchedByGate } from '../relay/vouched-by-gate';
import { VouchedByRegistry } from '../relay/vouched-by-registry';
import { Voucher } from '../voucher';
import { keysOfTokens } from './token-keys';
import { TokenController } from './token.controller';
import { TokenService } from './token.service';

/** Who vouches for clients, by AUTH_MODE, and the token service: it signs, reads and gives out the gate's own tokens. */
@Module({
  imports: [
    AccountsModule,
    JwtModule.registerAsync({
      inject: [Secrets],
      useFactory: (secrets: Secrets) => ({ secretOrKeyProvider: keysOfTokens(secrets) }),
    }),
  ],
  controllers: [TokenController],
  providers: [
    AccessPolicy,
    Refusals,
    TokenService,
    AccountsVoucher,
    OpenVoucher,
    RelayLogins,
    RelayTokens,
    VouchedByGate,
    VouchedByRegistry,
    RelayVoucher,
    PassthroughVoucher,
    {
      provide: Voucher,
      inject: [Settings, AccountsVoucher, RelayVoucher, PassthroughVoucher, OpenVoucher],
      useFactory: (
        { authMode }: Settings,
        accounts: AccountsVoucher,
        relay: RelayVoucher,
        passthrough: PassthroughVoucher,
        open: OpenVoucher,
      ): Voucher => ({ accounts, relay, passthrough, open })[authMode],
    },
  ],
  exports: [AccountsVoucher, Voucher],
})
export class TokenModule {
  /** @param useExisting what speaks with registries for clients that have logins of their own there. */
  static forRoot({
    imports,
    useExisting,
  }: Pick<ModuleMetadata, 'imports'> & { useExisting: Type<UpstreamLogin> }): DynamicModule {
    return {
      module: TokenModule,
      imports,
      providers: [{ provide: UpstreamLogin, useExisting }],
    };
  }
}
