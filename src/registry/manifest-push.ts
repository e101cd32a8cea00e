import { Injectable } from '@nestjs/common';
import type { IncomingMessage } from 'node:http';
import { ContentService, MAX_MANIFEST } from '../cdn/content.service';
import { digestedPart } from '../cdn/signed-manifest';
import { readSmallBody } from '../edge/body';
import { whoAsks } from '../edge/request-context';
import { Audit } from '../journal/audit';
import { digestOf, matches, parseDigest, type Digest } from '../oci/digest';
import { parseManifestType } from '../oci/media-type';
import { OciError } from '../oci/oci-error';
import { isDigest, suffixOf } from '../oci/reference';
import { discard, UpstreamClient, type UpstreamResponse } from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import { sourceOf, type Admitted } from './exchange';
import type { Hold } from '../cdn/reader';
import { onceMore } from './once-more';
import { unlessRefused } from './unless-refused';

/** What the upstream took. */
export interface PushedManifest {
  readonly digest: Digest;
  /** The manifest that it refers to, where the upstream keeps track of that. */
  readonly subject: Digest | undefined;
}

/** A manifest on its way up. It is small and held, so that it can be sent a second time. */
@Injectable()
export class ManifestPush {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly content: ContentService,
    private readonly audit: Audit,
  ) {}

  /** @throws OciError BODY_TOO_LARGE, DIGEST_INVALID, MANIFEST_INVALID, or the upstream's refusal. */
  async run(
    { context, identity, asked }: Admitted<'manifest'>,
    request: IncomingMessage,
    hold: Hold,
  ): Promise<PushedManifest> {
    const { name, reference } = asked;
    const mediaType = mediaTypeOf(request);
    const bounds = { limit: MAX_MANIFEST, what: 'a manifest', within: 30_000, hold };
    const body = await readSmallBody(request, context.wantBody, bounds);
    const digested = digestedPart(mediaType, body);
    if (isDigest(reference) && !matches(reference, digested)) {
      throw new OciError('DIGEST_INVALID', { message: `the manifest is not ${reference}` });
    }
    const source = sourceOf(name, identity);
    const ask = () =>
      this.upstream.request({
        registry: name.registry,
        as: source.as,
        method: 'PUT',
        path: `/v2/${name.repository}/manifests/${reference}`,
        headers: { 'Content-Type': mediaType },
        body,
        access: [{ type: 'repository', name: name.repository, actions: ['pull', 'push'] }],
      });
    // It may have been taken though its answer was lost.
    const answer = await onceMore(() =>
      unlessRefused(source, ask(), () => this.content.pushed(source, reference)),
    );
    if (answer.status !== 201 && answer.status !== 200) {
      throw await refusalOf(answer, 'NAME_UNKNOWN');
    }
    await discard(answer);
    const taken = pushed(answer, digested);
    if (!isDigest(reference)) await this.content.pushed(source, taken.digest);
    const target = `${name.canonical}${suffixOf(reference)}`;
    this.audit.write({ ...whoAsks(context), event: 'push', target });
    return taken;
  }
}

function mediaTypeOf(request: IncomingMessage): string {
  const type = parseManifestType(request.headers['content-type']);
  if (type) return type;
  throw new OciError('MANIFEST_INVALID', {
    message: 'Content-Type must be the media type of the manifest',
  });
}

/** The registry's digest where it is right: it may have used another algorithm than ours. */
function pushed({ headers }: UpstreamResponse, digested: Buffer): PushedManifest {
  const said = parseDigest(headers['docker-content-digest'] ?? '');
  return {
    digest: said && matches(said, digested) ? said : digestOf(digested),
    subject: parseDigest(headers['oci-subject'] ?? ''),
  };
}
