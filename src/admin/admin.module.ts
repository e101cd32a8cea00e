import { Module } from '@nestjs/common';
import { AccountsModule } from '../auth/accounts/accounts.module';
import { ApiController } from './api.controller';
import { ApiDocument } from './api-document';
import { UsersController } from './users.controller';

/** REST for operators. The access guard lets nobody in who is not an admin. */
@Module({
  imports: [AccountsModule],
  controllers: [UsersController, ApiController],
  providers: [ApiDocument],
})
export class AdminModule {}
