import { Module, type OnModuleDestroy, type Provider } from '@nestjs/common';
import { AccountsModule } from '../auth/accounts/accounts.module';
import { Cache } from '../cdn/cache';
import { CacheAdministration } from '../cdn/cache-administration';
import { CacheCounters } from '../cdn/cache-counters';
import { ContentService } from '../cdn/content.service';
import { Jobs } from '../cdn/jobs/jobs';
import { Prefetch } from '../cdn/jobs/prefetch.service';
import { Log } from '../journal/log';
import { ApiController } from './api.controller';
import { ApiDocument } from './api-document';
import { CacheController } from './cache.controller';
import { CacheJobs } from './cache-jobs';
import { CacheJobsController } from './cache-jobs.controller';
import { UsersController } from './users.controller';

/** Null with CACHE=off, and where nothing holds content at all. */
const cacheProviders: Provider[] = [
  {
    provide: CacheAdministration,
    inject: [
      { token: Cache, optional: true },
      { token: CacheCounters, optional: true },
    ],
    useFactory: (cache?: Cache | null, counters = new CacheCounters()) =>
      cache ? new CacheAdministration(cache, counters) : null,
  },
  {
    provide: CacheJobs,
    inject: [Jobs, { token: ContentService, optional: true }, CacheAdministration],
    useFactory: (
      jobs: Jobs,
      content: ContentService | undefined,
      administration: CacheAdministration | null,
    ) =>
      content && administration ? new CacheJobs(jobs, new Prefetch(content), administration) : null,
  },
  { provide: Jobs, inject: [Log], useFactory: (log: Log) => new Jobs(log) },
];

/** REST for operators. The access guard lets nobody in who is not an admin. */
@Module({
  imports: [AccountsModule],
  controllers: [UsersController, CacheController, CacheJobsController, ApiController],
  providers: [ApiDocument, ...cacheProviders],
})
export class AdminModule implements OnModuleDestroy {
  constructor(private readonly jobs: Jobs) {}

  /** While content is still there to be let go of. */
  onModuleDestroy(): Promise<void> {
    return this.jobs.close();
  }
}
