import { Controller, Delete, Get, Head, Inject, Req, Res } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { ContentService } from '../cdn/content.service';
import { discard, type UpstreamResponse } from '../upstream/upstream.client';
import { Log } from '../journal/log';
import type { Digest } from '../oci/digest';
import { Deletion } from './deletion';
import { admitted, sourceOf, untilClientLeaves } from './exchange';

/** One range, exact, open or suffix. More than one is answered by the whole blob, which is a right answer too. */
const ONE_RANGE = /^bytes=(?:\d{1,15}-\d{0,15}|-\d{1,15})$/;

/** `/v2/<name>/blobs/<digest>`. Distribution-spec 1.1 § Pulling blobs, § Deleting blobs. */
@Controller('internal/blob')
export class BlobsController {
  constructor(
    private readonly content: ContentService,
    private readonly deletion: Deletion,
    @Inject(Log) private readonly log: Log,
  ) {}

  @Head()
  async head(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const { identity, asked } = admitted(request, 'blob');
    const blob = await this.content.blob(
      'HEAD',
      sourceOf(asked.name, identity),
      asked.digest,
      undefined,
      untilClientLeaves(response),
    );
    await discard(blob);
    response.writeHead(200, headersOf(blob, asked.digest)).end();
  }

  @Get()
  async get(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const { context, identity, asked } = admitted(request, 'blob');
    const range =
      request.headers.range !== undefined && ONE_RANGE.test(request.headers.range)
        ? request.headers.range
        : undefined;
    const blob = await this.content.blob(
      'GET',
      sourceOf(asked.name, identity),
      asked.digest,
      range,
      untilClientLeaves(response),
    );
    response.writeHead(blob.status, headersOf(blob, asked.digest));
    try {
      await pipeline(blob.body, response);
    } catch (error) {
      // A body that breaks off breaks the client's connection: the answer has begun, and nothing else tells it.
      // The body is ended too: a pipeline into an answer that is closed already leaves its source open.
      if (!response.destroyed)
        this.log.warn({ request: context.id, err: error }, 'the upstream broke a blob off');
      response.destroy();
      blob.body.destroy();
    }
  }

  @Delete()
  async delete(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'blob');
    const { digest } = exchange.asked;
    await this.deletion.run(exchange, response, {
      path: `/blobs/${digest}`,
      target: `@${digest}`,
      notFound: 'BLOB_UNKNOWN',
    });
  }
}

/** What is known of the blob without looking at the upstream's word for it, and of the rest only what is needed. */
function headersOf({ status, headers }: UpstreamResponse, digest: Digest) {
  return {
    'Content-Type': 'application/octet-stream',
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'max-age=31536000, private',
    ...(headers['content-length'] === undefined
      ? {}
      : { 'Content-Length': headers['content-length'] }),
    ...(status === 206 && headers['content-range'] !== undefined
      ? { 'Content-Range': headers['content-range'] }
      : {}),
  };
}
