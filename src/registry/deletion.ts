import { Injectable } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { whoAsks } from '../edge/request-context';
import { Audit } from '../journal/audit';
import { ContentService } from '../cdn/content.service';
import type { OciErrorCode } from '../oci/oci-error';
import { suffixOf, type Reference } from '../oci/reference';
import { discard, UpstreamClient } from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import { sourceOf, type Admitted } from './exchange';
import { unlessRefused } from './unless-refused';

/** What is deleted: its path below the repository, what it is called there, and what a 404 for it means. */
export interface Deleted {
  readonly path: string;
  readonly reference: Reference;
  readonly notFound: OciErrorCode;
}

/** Deletes a manifest or a blob at the upstream. Distribution-spec 1.1 § Content Management. */
@Injectable()
export class Deletion {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly content: ContentService,
    private readonly audit: Audit,
  ) {}

  async run(
    { context, identity, asked }: Admitted<'manifest'> | Admitted<'blob'>,
    response: ServerResponse,
    { path, reference, notFound }: Deleted,
  ): Promise<void> {
    const { registry, repository, canonical } = asked.name;
    const source = sourceOf(asked.name, identity);
    const exchange = this.upstream.request({
      registry,
      as: source.as,
      method: 'DELETE',
      path: `/v2/${repository}${path}`,
      access: [{ type: 'repository', name: repository, actions: ['delete'] }],
    });
    // Where its answer is lost, it may be gone. A right that is taken back wrongly costs a HEAD.
    const answer = await unlessRefused(source, exchange, () =>
      this.content.deleted(source, reference),
    );
    if (answer.status !== 202 && answer.status !== 200) throw await refusalOf(answer, notFound);
    await discard(answer);
    this.audit.write({
      event: 'delete',
      target: `${canonical}${suffixOf(reference)}`,
      ...whoAsks(context),
    });
    response.writeHead(202, { 'Content-Length': 0 }).end();
  }
}
