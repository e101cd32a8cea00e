import { Module } from '@nestjs/common';
import { JwtModule, JwtSecretRequestType } from '@nestjs/jwt';
import { Secrets } from '../../config/secrets';
import { AccessPolicy } from '../access-policy';
import { AccountsModule } from '../accounts/accounts.module';
import { TokenController } from './token.controller';
import { TokenService } from './token.service';

/** The token service: signs, reads and gives out the gate's own tokens. */
@Module({
  imports: [
    AccountsModule,
    JwtModule.registerAsync({
      inject: [Secrets],
      useFactory: (secrets: Secrets) => ({
        // A kid is a key into the two keys that there are, and names nothing else (CVE-2024-54150 and its kin).
        secretOrKeyProvider: (kind, token) => {
          if (kind === JwtSecretRequestType.SIGN) return secrets.current.sign;
          const kid = kidOf(String(token));
          const key = secrets.keys.find(({ id }) => id === kid);
          if (!key) throw new Error('the token names no key of this gate');
          return key.sign;
        },
      }),
    }),
  ],
  controllers: [TokenController],
  providers: [AccessPolicy, TokenService],
  exports: [AccessPolicy, TokenService],
})
export class TokenModule {}

/** The key that a token's header names; whatever else the header says is left to the verification. */
function kidOf(token: string): unknown {
  const header: unknown = JSON.parse(
    Buffer.from(token.slice(0, token.indexOf('.')), 'base64url').toString('utf8'),
  );
  return typeof header === 'object' && header !== null && 'kid' in header ? header.kid : undefined;
}
