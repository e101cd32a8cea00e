import { Module } from '@nestjs/common';
import { Accounts } from './accounts.service';

/** Who may log in. The accounts are opened by the start of the gate, before it listens. */
@Module({ providers: [Accounts], exports: [Accounts] })
export class AccountsModule {}
