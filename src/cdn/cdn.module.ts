import { Module, type DynamicModule } from '@nestjs/common';
import { UpstreamModule } from '../upstream/upstream.module';
import { BlobFetches } from './blob-fetches';
import { Blobs } from './blobs';
import { Cache } from './cache';
import { CacheCounters } from './cache-counters';
import { ContentService } from './content.service';
import { Foresight } from './foresight';
import { HotBlobs } from './hot-blobs';
import { HeldBlobs } from './held-blobs';
import { ManifestFetches } from './manifest-fetches';
import { Manifests } from './manifests';
import { ManifestsAtOnce } from './manifests-at-once';
import { Permission } from './permission';
import { Questions } from './questions';
import { SmallContent } from './small-content';
import { Tags } from './tags.service';

/** Content delivery: bytes by name and digest, held or fetched. */
@Module({})
export class CdnModule {
  /** @param cache what was opened before the gate listens; null with CACHE=off. */
  static forRoot(cache: Cache | null): DynamicModule {
    return {
      module: CdnModule,
      global: true,
      imports: [UpstreamModule],
      providers: [
        { provide: Cache, useValue: cache },
        { provide: CacheCounters, useFactory: () => new CacheCounters() },
        SmallContent,
        HotBlobs,
        HeldBlobs,
        Permission,
        Questions,
        Tags,
        ManifestFetches,
        ManifestsAtOnce,
        Manifests,
        BlobFetches,
        Blobs,
        Foresight,
        ContentService,
      ],
      exports: [Cache, CacheCounters, ContentService],
    };
  }
}
