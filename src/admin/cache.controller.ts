/** /admin/cache: what is held, and taking it out. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  Controller,
  Delete,
  Get,
  HttpCode,
  Inject,
  Param,
  Req,
  Res,
  UseGuards,
} from '@nestjs/common';
import {
  ApiBasicAuth,
  ApiOperation,
  ApiParam,
  ApiQuery,
  ApiResponse,
  ApiTags,
} from '@nestjs/swagger';
import { CacheAdministration } from '../cdn/cache-administration';
import { Registries } from '../config/registry-table';
import { admittedContextOf, whoAsks } from '../edge/request-context';
import { Audit } from '../journal/audit';
import { parseDigest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import type { CanonicalName } from '../oci/repository-name';
import { ApiErrors } from './api-errors';
import { BrowserGuard } from './browser.guard';
import { overview, repositories, shownOverview, shownRepository } from './cache';
import { assertOn } from './cache-off';
import { canonicalNameIn } from './held-name';
import { AnyOtherMethod, methodNotAllowed } from './method-not-allowed';

const REPOSITORIES = '/admin/cache/repositories';
const PAGE = 100;

/** The access guard has let in nobody but admins. */
@Controller('admin/cache')
@UseGuards(BrowserGuard)
@ApiTags('cache')
@ApiBasicAuth()
@ApiErrors(401, 403, { 429: 'Too many requests or failed logins; Retry-After says until when' })
export class CacheController {
  constructor(
    @Inject(CacheAdministration) private readonly cache: CacheAdministration | null,
    private readonly registries: Registries,
    private readonly audit: Audit,
  ) {}

  @Get()
  @ApiOperation({ summary: 'What is held, how often it was of use, and what is being fetched' })
  @ApiResponse({ status: 200, description: 'Sizes in bytes', standardSchema: overview })
  async show() {
    return this.cache ? shownOverview(await this.cache.overview()) : { enabled: false };
  }

  @Delete()
  @HttpCode(204)
  @ApiOperation({ summary: 'Takes out all that is held; what is being read or fetched goes on' })
  @ApiResponse({ status: 204, description: 'Taken out' })
  @ApiErrors({ 409: 'The cache is off' })
  async clear(@Req() request: IncomingMessage): Promise<void> {
    assertOn(this.cache);
    const detail = { ...(await this.cache.clear()) };
    this.audit.write({ ...whoAsks(admittedContextOf(request)), event: 'cache.cleared', detail });
  }

  @Get('repositories')
  @ApiOperation({ summary: 'Repositories of which something is held, by their names' })
  @ApiQuery({ name: 'n', required: false, description: `At most 1000; ${PAGE} without` })
  @ApiQuery({ name: 'last', required: false, description: 'The last name of the page before' })
  @ApiResponse({
    status: 200,
    description: 'A page; Link leads to the next one',
    standardSchema: repositories,
  })
  @ApiErrors({ 400: 'The page cannot be meant', 409: 'The cache is off' })
  async list(
    @Req() request: IncomingMessage,
    @Res({ passthrough: true }) response: ServerResponse,
  ) {
    assertOn(this.cache);
    const { n, last } = pageIn(request);
    if (n === 0) return { repositories: [] };
    const found = await this.cache.repositories(last, n + 1);
    const page = found.slice(0, n);
    const end = page.at(-1)?.name;
    if (found.length > n && end !== undefined) {
      const next = new URLSearchParams({ n: String(n), last: end });
      response.setHeader('Link', `<${REPOSITORIES}?${next.toString()}>; rel="next"`);
    }
    return { repositories: page.map(shownRepository) };
  }

  @Delete('repositories/*name')
  @HttpCode(204)
  @ApiOperation({
    summary:
      'Forgets what is known of a repository, and takes out what no other one has; its slashes are written as they are',
  })
  @ApiParam({ name: 'name', description: 'docker.io/library/nginx, or nginx for short' })
  @ApiResponse({ status: 204, description: 'Taken out' })
  @ApiErrors({
    400: 'That is no name',
    404: 'Nothing is held of that repository',
    409: 'The cache is off',
  })
  async removeRepository(@Req() request: IncomingMessage): Promise<void> {
    assertOn(this.cache);
    const asked = (request.url ?? '').slice(REPOSITORIES.length + 1);
    const target = canonicalNameIn(asked, this.registries.current);
    const removed = await this.cache.removeRepository(target);
    if (!removed) throw new OciError('NAME_UNKNOWN', { message: `nothing is held of ${target}` });
    const who = whoAsks(admittedContextOf(request));
    this.audit.write({ ...who, event: 'cache.removed', target, detail: { ...removed } });
  }

  @Delete('blobs/:digest')
  @HttpCode(204)
  @ApiOperation({ summary: 'Takes out one content, a layer or a manifest, for all repositories' })
  @ApiParam({ name: 'digest', description: 'sha256:… or sha512:…' })
  @ApiResponse({ status: 204, description: 'Taken out' })
  @ApiErrors({
    400: 'That is no digest',
    404: 'It is not held',
    409: 'The cache is off',
  })
  async removeBlob(@Param('digest') text: string, @Req() request: IncomingMessage): Promise<void> {
    assertOn(this.cache);
    const target = parseDigest(text);
    if (!target)
      throw new OciError('DIGEST_INVALID', {
        message: 'a digest is sha256: or sha512: and lower-case hex digits',
      });
    if (!(await this.cache.removeContent(target)))
      throw new OciError('BLOB_UNKNOWN', { message: 'nothing is held under that digest' });
    this.audit.write({ ...whoAsks(admittedContextOf(request)), event: 'cache.removed', target });
  }

  @AnyOtherMethod()
  otherOfAll(): never {
    throw methodNotAllowed('GET, HEAD, DELETE');
  }

  @AnyOtherMethod('repositories')
  otherOfRepositories(): never {
    throw methodNotAllowed('GET, HEAD');
  }

  @AnyOtherMethod('repositories/*name')
  otherOfRepository(): never {
    throw methodNotAllowed('DELETE');
  }

  @AnyOtherMethod('blobs/:digest')
  otherOfBlob(): never {
    throw methodNotAllowed('DELETE');
  }
}

/** The page that the edge has checked and written into the route; nothing else of the query comes here. */
function pageIn({ url = '' }: IncomingMessage): { n: number; last: CanonicalName | undefined } {
  const mark = url.indexOf('?');
  const page = new URLSearchParams(mark < 0 ? '' : url.slice(mark));
  // Only to go on behind it in the names' order: it need not be a name.
  const last = (page.get('last') ?? undefined) as CanonicalName | undefined;
  return { n: Number(page.get('n') ?? PAGE), last };
}
