import { Module } from '@nestjs/common';
import { ThrottlerModule, ThrottlerStorage } from '@nestjs/throttler';
import { Settings } from '../config/settings';
import { AccountThrottle } from './account.throttle';
import { AddressThrottle } from './address.throttle';
import { LoginThrottle } from './login.throttle';
import { TokenBucketStorage } from './token-bucket.storage';
import { TokenQueue } from './token-queue';
import { TransferSlots } from './transfer-slots';

/** The guards that ask "may you knock?". app.module puts them in their order, around the one that asks who is there. */
@Module({
  imports: [
    ThrottlerModule.forRootAsync({
      inject: [Settings],
      useFactory: ({ rateLimit, rateBurst }: Settings) => ({
        // Any other name would turn `Retry-After` into a header that no client knows.
        throttlers: [{ name: 'default', limit: rateBurst, ttl: (rateBurst / rateLimit) * 1000 }],
        setHeaders: false,
        storage: new TokenBucketStorage(),
      }),
    }),
  ],
  providers: [
    {
      provide: TokenQueue,
      inject: [ThrottlerStorage],
      useFactory: (storage: ThrottlerStorage) => new TokenQueue(storage),
    },
    {
      provide: TransferSlots,
      inject: [Settings],
      useFactory: (settings: Settings) => new TransferSlots(settings),
    },
    AddressThrottle,
    LoginThrottle,
    AccountThrottle,
  ],
  exports: [AddressThrottle, LoginThrottle, AccountThrottle, TransferSlots],
})
export class ThrottlingModule {}
