import { Controller, Delete, Get, Head, Put, Req, Res } from '@nestjs/common';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { ContentService, MAX_MANIFEST, type Manifest } from '../cdn/content.service';
import { readSmallBody } from '../edge/body';
import { Audit } from '../journal/audit';
import { digestOf, matches, parseDigest } from '../oci/digest';
import { parseMediaType } from '../oci/media-type';
import { OciError } from '../oci/oci-error';
import { isDigest, type Reference } from '../oci/reference';
import { discard, UpstreamClient, type UpstreamResponse } from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import { Deletion } from './deletion';
import { admitted, sourceOf, untilClientLeaves } from './exchange';
import { onceMore } from './once-more';

/** `/v2/<name>/manifests/<reference>`. Distribution-spec 1.1 § Pulling, Pushing and Deleting manifests. */
@Controller('internal/manifest')
export class ManifestsController {
  constructor(
    private readonly content: ContentService,
    private readonly upstream: UpstreamClient,
    private readonly deletion: Deletion,
    private readonly audit: Audit,
  ) {}

  @Head()
  async head(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const { identity, asked } = admitted(request, 'manifest');
    const source = sourceOf(asked.name, identity);
    const manifest = await this.content.manifestHead(
      source,
      asked.reference,
      request.headers.accept,
      untilClientLeaves(response),
    );
    response.writeHead(200, headersOf(manifest)).end();
  }

  @Get()
  async get(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const { identity, asked } = admitted(request, 'manifest');
    const source = sourceOf(asked.name, identity);
    const manifest = await this.content.manifest(
      source,
      asked.reference,
      request.headers.accept,
      untilClientLeaves(response),
    );
    response.writeHead(200, headersOf(manifest)).end(manifest.bytes);
  }

  @Put()
  async put(@Req() request: IncomingMessage, @Res() response: ServerResponse): Promise<void> {
    const { context, identity, asked } = admitted(request, 'manifest');
    const { name, reference } = asked;
    const body = await readSmallBody(request, context.wantBody, {
      limit: MAX_MANIFEST,
      what: 'a manifest',
    });
    if (isDigest(reference) && !matches(reference, body))
      throw new OciError('DIGEST_INVALID', { message: `the manifest is not ${reference}` });
    const answer = await onceMore(() =>
      this.upstream.request({
        registry: name.registry,
        as: identity.upstreamAs(name.canonical),
        method: 'PUT',
        path: `/v2/${name.repository}/manifests/${reference}`,
        headers: { 'Content-Type': mediaTypeOf(request) },
        body,
        access: [{ type: 'repository', name: name.repository, actions: ['pull', 'push'] }],
      }),
    );
    if (answer.status !== 201 && answer.status !== 200)
      throw await refusalOf(answer, 'NAME_UNKNOWN');
    await discard(answer);
    this.audit.write({
      event: 'push',
      actor: identity.username,
      target: `${name.canonical}${suffixOf(reference)}`,
      address: context.address,
      request: context.id,
    });
    response.writeHead(201, putHeaders(answer, name.asked, body)).end();
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

/** How a reference stands behind a name: `:1.0` or `@sha256:…`. */
function suffixOf(reference: Reference): string {
  return `${isDigest(reference) ? '@' : ':'}${reference}`;
}

function headersOf({ mediaType, digest, size }: Manifest) {
  return {
    'Content-Type': mediaType,
    'Content-Length': size,
    'Docker-Content-Digest': digest,
    ETag: `"${digest}"`,
  };
}

function mediaTypeOf(request: IncomingMessage): string {
  const type = parseMediaType(request.headers['content-type']);
  if (!type)
    throw new OciError('MANIFEST_INVALID', {
      message: 'Content-Type must be the media type of the manifest',
    });
  return type;
}

/** The registry's digest where it is right: it may have used another algorithm than ours. */
function putHeaders({ headers }: UpstreamResponse, asked: string, body: Buffer) {
  const said = parseDigest(headers['docker-content-digest'] ?? '');
  const digest = said && matches(said, body) ? said : digestOf(body);
  const subject = parseDigest(headers['oci-subject'] ?? '');
  return {
    Location: `/v2/${asked}/manifests/${digest}`,
    'Docker-Content-Digest': digest,
    'Content-Length': 0,
    ...(subject ? { 'OCI-Subject': subject } : {}),
  };
}
