import { Module, type DynamicModule } from '@nestjs/common';
import { Audit } from './audit';
import { Log } from './log';

/** Gives every room the log and the audit trail. */
@Module({})
export class JournalModule {
  static forRoot(log: Log): DynamicModule {
    return {
      module: JournalModule,
      global: true,
      providers: [
        { provide: Log, useValue: log },
        { provide: Audit, useValue: new Audit(log) },
      ],
      exports: [Log, Audit],
    };
  }
}
