import { Module } from '@nestjs/common';
import { UpstreamModule } from '../upstream/upstream.module';
import { ContentService } from './content.service';

/** Content delivery: bytes by name and digest. */
@Module({ imports: [UpstreamModule], providers: [ContentService], exports: [ContentService] })
export class CdnModule {}
