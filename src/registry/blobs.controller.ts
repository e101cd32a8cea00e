import { Controller, Delete, Get, Head, Inject, Req, Res, UseInterceptors } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Body } from '../cdn/body/body';
import { ContentService, type BlobAnswer, type Reader } from '../cdn/content.service';
import type { Source } from '../cdn/source';
import { Log } from '../journal/log';
import type { Digest } from '../oci/digest';
import { isNotModified, rangeOf } from './conditions';
import { Deletion } from './deletion';
import { admitted, readerOf, sourceOf } from './exchange';
import { MemoryBudget } from './memory-budget';
import { Forwarded } from './forwarded.interceptor';

/** `/v2/<name>/blobs/<digest>`. Distribution-spec 1.1 § Pulling blobs, § Deleting blobs. */
@UseInterceptors(Forwarded)
@Controller('internal/blob')
export class BlobsController {
  constructor(
    private readonly content: ContentService,
    private readonly deletion: Deletion,
    private readonly budget: MemoryBudget,
    @Inject(Log) private readonly log: Log,
  ) {}

  @Head()
  async head(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'blob');
    const { digest, name } = exchange.asked;
    const reader = readerOf(exchange, response, this.budget);
    const source = sourceOf(name, exchange.identity);
    const blob = await this.content.blob(
      source,
      digest,
      { method: 'HEAD', range: undefined },
      reader,
    );
    const status = isNotModified(request, digest) ? 304 : 200;
    response.writeHead(status, headersOf(blob, digest)).end();
  }

  @Get()
  async get(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'blob');
    const { digest, name } = exchange.asked;
    const reader = readerOf(exchange, response, this.budget);
    const source = sourceOf(name, exchange.identity);
    if (isNotModified(request, digest)) return this.head(request, response);
    const blob = await this.#open(request, source, digest, reader);
    if (blob.status !== 307) refuseBroken(blob.body);
    response.writeHead(blob.status, headersOf(blob, digest));
    if (blob.status === 307 || !blob.body) response.end();
    else await this.#send(blob.body, response, exchange.context.id);
  }

  @Delete()
  async delete(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'blob');
    const { digest } = exchange.asked;
    await this.deletion.run(exchange, response, {
      path: `/blobs/${digest}`,
      reference: digest,
      notFound: 'BLOB_UNKNOWN',
    });
  }

  /**
   * HTTP/1.0 tells the end of an answer without a length by the end of the connection, so that one that breaks off looks
   * whole: such a client waits until the content is held.
   */
  async #open(
    request: IncomingMessage,
    source: Source,
    digest: Digest,
    reader: Reader,
  ): Promise<BlobAnswer> {
    const ask = () =>
      this.content.blob(source, digest, { method: 'GET', range: rangeOf(request, digest) }, reader);
    const blob = await ask();
    if (request.httpVersion !== '1.0' || blob.status !== 200 || blob.size !== undefined)
      return blob;
    blob.body?.close();
    await this.content.hold(source, digest, { signal: reader.signal });
    return ask();
  }

  async #send(body: Body, response: ServerResponse, id: string): Promise<void> {
    try {
      await body.sendTo(response);
      response.end();
    } catch (error) {
      // The answer has begun: only the end of the connection tells the client that it is not whole.
      if (!response.destroyed)
        this.log.warn({ request: id, err: error }, 'a blob broke off on its way');
      response.destroy();
    }
  }
}

/** Small content may have come, and been seen to be wrong, before its answer was begun. */
function refuseBroken(body: Body | undefined): void {
  if (!body?.failure) return;
  body.close();
  throw body.failure;
}

function headersOf(blob: BlobAnswer, digest: Digest): Record<string, string | number> {
  if (blob.status === 307)
    return { Location: blob.location, 'Content-Length': 0, 'Cache-Control': 'no-store' };
  const { from, to } = blob.status === 206 ? blob.range : { from: 0, to: blob.size };
  return {
    'Content-Type': 'application/octet-stream',
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'max-age=31536000, private',
    ...(to === undefined ? {} : { 'Content-Length': to - from }),
    ...(blob.status === 206 ? { 'Content-Range': `bytes ${from}-${to! - 1}/${blob.size}` } : {}),
  };
}
