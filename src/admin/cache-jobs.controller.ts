/** /admin/cache/prefetch, /verify and /jobs: work on the cache that takes its time. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  Controller,
  Delete,
  Get,
  HttpCode,
  Inject,
  Param,
  Post,
  Req,
  Res,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { ApiBasicAuth, ApiOperation, ApiParam, ApiResponse, ApiTags } from '@nestjs/swagger';
import type { z } from 'zod';
import type { Job } from '../cdn/jobs/job';
import { Registries } from '../config/registry-table';
import { admittedContextOf, whoAsks } from '../edge/request-context';
import { Audit } from '../journal/audit';
import { OciError } from '../oci/oci-error';
import { suffixOf } from '../oci/reference';
import { ApiErrors } from './api-errors';
import { BrowserGuard } from './browser.guard';
import { jobDocument, jobDocuments, prefetchOrder, shownJob, type JobDocument } from './cache';
import { CacheJobs, placeOf } from './cache-jobs';
import { assertOn } from './cache-off';
import { parseImage } from './image-reference';
import { JsonBody } from './json-body.interceptor';
import { AnyOtherMethod, methodNotAllowed } from './method-not-allowed';
import { ValidBody } from './validated';

const OFF = 'The cache is off';

/** The access guard has let in nobody but admins. */
@Controller('admin/cache')
@UseGuards(BrowserGuard)
@ApiTags('cache')
@ApiBasicAuth()
@ApiErrors(401, 403, { 429: 'Too many requests, failed logins, or waiting jobs' })
export class CacheJobsController {
  constructor(
    @Inject(CacheJobs) private readonly work: CacheJobs | null,
    private readonly registries: Registries,
    private readonly audit: Audit,
  ) {}

  @Post('prefetch')
  @HttpCode(202)
  @UseInterceptors(JsonBody)
  @ApiOperation({ summary: 'Fetches an image before anybody asks for it' })
  @ApiResponse({
    status: 202,
    description: 'The job; Location leads to it',
    standardSchema: jobDocument,
  })
  @ApiErrors(400, { 409: 'The cache is off, or holds nothing of that registry' }, 413)
  prefetch(
    @ValidBody(prefetchOrder) { image, platforms }: z.output<typeof prefetchOrder>,
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): JobDocument {
    assertOn(this.work);
    const named = parseImage(image, this.registries.current);
    const job = this.work.prefetch(named, platforms);
    const target = `${named.name.canonical}${suffixOf(named.reference)}`;
    const who = whoAsks(admittedContextOf(request));
    this.audit.write({ ...who, event: 'cache.prefetch', target, detail: { job: job.id } });
    return accepted(job, response);
  }

  @Post('verify')
  @HttpCode(202)
  @ApiOperation({ summary: 'Hashes all that is held anew, and takes out what is damaged' })
  @ApiResponse({
    status: 202,
    description: 'The job; Location leads to it',
    standardSchema: jobDocument,
  })
  @ApiErrors({ 409: 'The cache is off, or is being verified: Location leads to that job' })
  verify(
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ): JobDocument {
    assertOn(this.work);
    const job = this.work.verify();
    const who = whoAsks(admittedContextOf(request));
    this.audit.write({ ...who, event: 'cache.verify', detail: { job: job.id } });
    return accepted(job, response);
  }

  @Get('jobs')
  @ApiOperation({ summary: 'Jobs, the newest first; finished ones are told of for an hour' })
  @ApiResponse({ status: 200, description: 'The jobs', standardSchema: jobDocuments })
  @ApiErrors({ 409: OFF })
  list(): { jobs: JobDocument[] } {
    assertOn(this.work);
    return { jobs: this.work.jobs.all.map(shownJob) };
  }

  @Get('jobs/:id')
  @ApiOperation({ summary: 'How far a job is, how fast it goes, and how it ended' })
  @ApiParam({ name: 'id' })
  @ApiResponse({ status: 200, description: 'The job', standardSchema: jobDocument })
  @ApiErrors({ 404: 'There is no such job any more', 409: OFF })
  show(@Param('id') id: string): JobDocument {
    return shownJob(this.#find(id));
  }

  @Delete('jobs/:id')
  @HttpCode(204)
  @ApiOperation({ summary: 'Cancels a job; what it has fetched stays' })
  @ApiParam({ name: 'id' })
  @ApiResponse({ status: 204, description: 'Cancelled, or over already' })
  @ApiErrors({ 404: 'There is no such job any more', 409: OFF })
  cancel(@Param('id') id: string): void {
    this.#find(id).cancel();
  }

  @AnyOtherMethod('prefetch')
  otherOfPrefetch(): never {
    throw methodNotAllowed('POST');
  }

  @AnyOtherMethod('verify')
  otherOfVerify(): never {
    throw methodNotAllowed('POST');
  }

  @AnyOtherMethod('jobs')
  otherOfJobs(): never {
    throw methodNotAllowed('GET, HEAD');
  }

  @AnyOtherMethod('jobs/:id')
  otherOfJob(): never {
    throw methodNotAllowed('GET, HEAD, DELETE');
  }

  #find(id: string): Job {
    assertOn(this.work);
    const job = this.work.jobs.get(id);
    if (job) return job;
    throw new OciError('NOT_FOUND', {
      message:
        'there is no job of that id; jobs are forgotten an hour after their end, and when the gate restarts',
    });
  }
}

function accepted(job: Job, response: ServerResponse): JobDocument {
  response.setHeader('Location', placeOf(job));
  return shownJob(job);
}
