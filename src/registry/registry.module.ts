import { Module } from '@nestjs/common';
import { UpstreamModule } from '../upstream/upstream.module';
import { BaseController } from './base.controller';
import { BlobsController } from './blobs.controller';
import { BodyRelay } from './body-relay';
import { CatalogController } from './catalog.controller';
import { Deletion } from './deletion';
import { Forwarded } from './forwarded.interceptor';
import { ListingService } from './listing.service';
import { ManifestPush } from './manifest-push';
import { ManifestsController } from './manifests.controller';
import { MemoryBudget } from './memory-budget';
import { OpenUploads } from './open-uploads';
import { PingController } from './ping.controller';
import { ReferrersController } from './referrers.controller';
import { SearchController } from './search.controller';
import { SearchService } from './search.service';
import { TagsController } from './tags.controller';
import { UploadLocation } from './upload-location';
import { UploadSessions } from './upload-sessions';
import { UploadsController } from './uploads.controller';

/** `/v2`, and what is left of `/v1`: one controller a noun. */
@Module({
  imports: [UpstreamModule],
  controllers: [
    BaseController,
    ManifestsController,
    BlobsController,
    UploadsController,
    TagsController,
    ReferrersController,
    CatalogController,
    PingController,
    SearchController,
  ],
  providers: [
    { provide: MemoryBudget, useFactory: () => new MemoryBudget() },
    Forwarded,
    ListingService,
    SearchService,
    ManifestPush,
    Deletion,
    UploadSessions,
    UploadLocation,
    OpenUploads,
    BodyRelay,
  ],
})
export class RegistryModule {}
