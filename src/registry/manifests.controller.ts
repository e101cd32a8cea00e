import { Controller, Delete, Get, Head, Put, Req, Res } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ContentService, type Manifest } from '../cdn/content.service';
import { suffixOf } from '../oci/reference';
import { Deletion } from './deletion';
import { admitted, clientOf, sourceOf } from './exchange';
import { ManifestPush } from './manifest-push';
import { MemoryBudget } from './memory-budget';

/** `/v2/<name>/manifests/<reference>`. Distribution-spec 1.1 § Pulling, Pushing and Deleting manifests. */
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
      clientOf(exchange, response, this.budget),
    );
    response.writeHead(200, headersOf(manifest)).end();
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
      clientOf(exchange, response, this.budget),
    );
    response.writeHead(200, headersOf(manifest)).end(manifest.bytes);
  }

  @Put()
  async put(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'manifest');
    const { name } = exchange.asked;
    const { digest, subject } = await this.push.run(
      exchange,
      request,
      clientOf(exchange, response, this.budget).hold,
    );
    response.writeHead(201, {
      Location: `/v2/${name.asked}/manifests/${digest}`,
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
      target: suffixOf(reference),
      notFound: 'MANIFEST_UNKNOWN',
    });
  }
}

function headersOf({ mediaType, digest, size }: Manifest) {
  return {
    'Content-Type': mediaType,
    'Content-Length': size,
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
  };
}
