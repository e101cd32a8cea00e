import {
  Controller,
  Delete,
  Get,
  Patch,
  Post,
  Put,
  Req,
  Res,
  UseInterceptors,
} from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { addressOf } from '../edge/names';
import { whoAsks } from '../edge/request-context';
import { Audit } from '../journal/audit';
import type { Digest } from '../oci/digest';
import { OciError } from '../oci/oci-error';
import { discard, type UpstreamResponse } from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import { UnansweredBody } from './body-relay';
import { admitted, ownerOf, type Admitted } from './exchange';
import { OpenUploads } from './open-uploads';
import { UploadLocation } from './upload-location';
import { UploadSessions } from './upload-sessions';
import { Forwarded } from './forwarded.interceptor';

/** A request to begin an upload, or one to go on with it. */
type Pushing = Admitted<'uploads'> | Admitted<'upload'>;

/**
 * `/v2/<name>/blobs/uploads/` and the sessions below it. Distribution-spec 1.1 § Pushing blobs. The client only ever sees
 * the gate's own upload addresses; bodies are streamed and never held.
 */
@UseInterceptors(Forwarded)
@Controller('internal')
export class UploadsController {
  constructor(
    private readonly sessions: UploadSessions,
    private readonly location: UploadLocation,
    private readonly open: OpenUploads,
    private readonly audit: Audit,
  ) {}

  @Post('uploads')
  async begin(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'uploads');
    const { context, identity, asked } = exchange;
    const { name, digest, mount } = asked;
    const account = ownerOf(exchange);
    const place = this.open.reserve(account);
    // Whoever may not read the source, or asks for another registry's, uploads the blob like anybody else.
    const mountable =
      mount && mount.from.registry === name.registry && identity.may(mount.from.canonical, 'pull');
    const begun = await this.sessions
      .begin(name, identity, mountable ? mount : undefined)
      .catch((error: unknown) => {
        this.open.end(account, place);
        throw error;
      });
    if (begun.uploaded) {
      this.open.end(account, place);
      this.#created(exchange, response, begun.digest);
      return;
    }
    if (digest === undefined) {
      this.open.end(account, place);
      this.#accepted(exchange, response, begun.url, this.location.uuidFrom(begun.uuid), '0-0');
      return;
    }
    // The whole blob is in this request: not every registry takes it so, all take it as the end of an upload.
    context.wantBody();
    // Where this fails, an upload is left open upstream, and counts as one.
    await this.#finish(exchange, request, response, begun.url, digest);
    this.open.end(account, place);
  }

  @Patch('upload')
  async append(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'upload');
    const { context, identity, asked } = exchange;
    const at = this.location.open(asked.name, identity, asked.uuid, asked.state);
    refuseOddRange(request);
    context.wantBody();
    const answer = await this.sessions.send(exchange, request, response, {
      method: 'PATCH',
      to: at,
    });
    if (answer.status !== 202) throw await this.#refusal(answer, exchange);
    await discard(answer);
    this.#accepted(
      exchange,
      response,
      this.sessions.next(answer, asked.name, at),
      asked.uuid,
      rangeOf(answer),
    );
  }

  @Put('upload')
  async end(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'upload');
    const { context, identity, asked } = exchange;
    const at = this.location.open(asked.name, identity, asked.uuid, asked.state);
    if (!asked.digest)
      throw new OciError('DIGEST_INVALID', {
        message: 'the last request of an upload names the digest: ?digest=',
      });
    refuseOddRange(request);
    context.wantBody();
    await this.#finish(exchange, request, response, at, asked.digest);
    this.open.end(ownerOf(exchange), asked.uuid);
  }

  @Get('upload')
  async state(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'upload');
    const { identity, asked } = exchange;
    const at = this.location.open(asked.name, identity, asked.uuid, asked.state);
    const answer = await this.sessions.ask('GET', asked.name, identity, at);
    if (answer.status !== 204) throw await this.#refusal(answer, exchange);
    await discard(answer);
    this.#accepted(
      exchange,
      response,
      this.sessions.next(answer, asked.name, at),
      asked.uuid,
      rangeOf(answer),
      204,
    );
  }

  @Delete('upload')
  async cancel(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const exchange = admitted(request, 'upload');
    const { identity, asked } = exchange;
    const at = this.location.open(asked.name, identity, asked.uuid, asked.state);
    const answer = await this.sessions.ask('DELETE', asked.name, identity, at);
    if (answer.status !== 204 && answer.status !== 202) throw await this.#refusal(answer, exchange);
    await discard(answer);
    this.open.end(ownerOf(exchange), asked.uuid);
    response.writeHead(204).end();
  }

  async #finish(
    exchange: Pushing,
    request: IncomingMessage,
    response: ServerResponse,
    at: URL,
    digest: Digest,
  ): Promise<void> {
    const target = { method: 'PUT', to: withDigest(at, digest) } as const;
    const answer = await this.sessions
      .send(exchange, request, response, target)
      .catch((error: unknown) => {
        // Whoever sends all of a blob and leaves may well have pushed it.
        if (error instanceof UnansweredBody && request.complete)
          this.#audit(exchange, digest, { outcome: 'unknown' });
        throw error;
      });
    if (answer.status !== 201 && answer.status !== 204)
      throw await refusalOf(answer, 'BLOB_UPLOAD_UNKNOWN');
    await discard(answer);
    this.#created(exchange, response, digest);
  }

  #audit({ context, asked }: Pushing, digest: Digest, detail?: Record<string, unknown>): void {
    const target = `${asked.name.canonical}@${digest}`;
    this.audit.write({ ...whoAsks(context), event: 'push', target, detail });
  }

  #created(exchange: Pushing, response: ServerResponse, digest: Digest): void {
    this.#audit(exchange, digest);
    const headers = {
      Location: addressOf(exchange.asked.name, `blobs/${digest}`),
      'Docker-Content-Digest': digest,
      'Content-Length': 0,
    };
    response.writeHead(201, headers).end();
  }

  #accepted(
    exchange: Pushing,
    response: ServerResponse,
    next: URL,
    uuid: string,
    range: string,
    status = 202,
  ): void {
    const { identity, asked } = exchange;
    const { name } = asked;
    this.open.touch(ownerOf(exchange), uuid);
    response.writeHead(status, {
      Location: this.location.seal(name, identity, uuid, next),
      'Docker-Upload-UUID': uuid,
      Range: range,
      ...(status === 204 ? {} : { 'Content-Length': 0 }),
    });
    response.end();
  }

  /** An upload that the upstream knows no more counts no more. */
  async #refusal(answer: UpstreamResponse, exchange: Admitted<'upload'>): Promise<OciError> {
    if (answer.status === 404) this.open.end(ownerOf(exchange), exchange.asked.uuid);
    return refusalOf(answer, 'BLOB_UPLOAD_UNKNOWN');
  }
}

/** By concatenation: the address may be signed, and a URL parser's setter would spell it anew. */
function withDigest(at: URL, digest: Digest): URL {
  return new URL(`${at.href}${at.search === '' ? '?' : '&'}digest=${encodeURIComponent(digest)}`);
}

/** How much the upstream has, `0-<last byte>`, without a unit, as distribution and its clients speak it. */
function rangeOf({ headers }: UpstreamResponse): string {
  const range = /^(?:bytes=)?(0-\d{1,19})$/.exec(headers.range ?? '');
  return range?.[1] ?? '0-0';
}

/** `Content-Range: <first>-<last>` without a unit, or none at all. */
function refuseOddRange(request: IncomingMessage): void {
  const range = request.headers['content-range'];
  if (range !== undefined && !/^\d{1,19}-\d{1,19}$/.test(range)) {
    throw new OciError('RANGE_INVALID', {
      message: 'Content-Range is <first>-<last>, without a unit',
    });
  }
}
