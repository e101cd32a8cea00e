import { Controller, Delete, Get, Head, Put, Req, Res, UseInterceptors } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ContentService, type Manifest } from '../cdn/content.service';
import { addressOf } from '../edge/names';
import { Deletion } from './deletion';
import { admitted, readerOf, sourceOf } from './exchange';
import { isNotModified } from './conditions';
import { headersOf, sendBytes, validatorsOf } from './manifest-answer';
import { ManifestPush } from './manifest-push';
import { MemoryBudget } from './memory-budget';
import { Forwarded } from './forwarded.interceptor';

/** `/v2/<name>/manifests/<reference>`. Distribution-spec 1.1 § Pulling, Pushing and Deleting manifests. */
@UseInterceptors(Forwarded)
@Controller('internal/manifest')
export class ManifestsController {
  constructor(
    private readonly content: ContentService,
    private readonly push: ManifestPush,
    private readonly deletion: Deletion,
    private readonly budget: MemoryBudget,
  ) {}

  @Head()
  async head(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'manifest');
    const { identity, asked } = exchange;
    const source = sourceOf(asked.name, identity);
    const manifest = await this.content.manifestHead(
      source,
      asked.reference,
      request.headers.accept,
      readerOf(exchange, response, this.budget),
    );
    answer(request, response, manifest);
  }

  @Get()
  async get(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'manifest');
    const { identity, asked } = exchange;
    const source = sourceOf(asked.name, identity);
    const manifest = await this.content.manifest(
      source,
      asked.reference,
      request.headers.accept,
      readerOf(exchange, response, this.budget),
    );
    answer(request, response, manifest);
  }

  @Put()
  async put(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'manifest');
    const { name } = exchange.asked;
    const { digest, subject } = await this.push.run(
      exchange,
      request,
      readerOf(exchange, response, this.budget).hold,
    );
    response.writeHead(201, {
      Location: addressOf(name, `manifests/${digest}`),
      'Docker-Content-Digest': digest,
      'Content-Length': 0,
      ...(subject ? { 'OCI-Subject': subject } : {}),
    });
    response.end();
  }

  @Delete()
  async delete(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'manifest');
    const { reference } = exchange.asked;
    await this.deletion.run(exchange, response, {
      path: `/manifests/${reference}`,
      reference,
      notFound: 'MANIFEST_UNKNOWN',
    });
  }
}

function answer(request: IncomingMessage, response: ServerResponse, manifest: Manifest): void {
  if (isNotModified(request, manifest.digest)) {
    response.writeHead(304, validatorsOf(manifest)).end();
    return;
  }
  response.writeHead(200, headersOf(manifest));
  sendBytes(response, manifest.bytes);
}
