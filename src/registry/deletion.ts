import { Injectable } from '@nestjs/common';
import type { ServerResponse } from 'node:http';
import { whoAsks } from '../edge/request-context';
import { Audit } from '../journal/audit';
import type { OciErrorCode } from '../oci/oci-error';
import { discard, UpstreamClient } from '../upstream/upstream.client';
import { refusalOf } from '../upstream/upstream-refusal';
import type { Admitted } from './exchange';

/** What is deleted: its path below the repository, how the audit trail names it, and what a 404 for it means. */
export interface Deleted {
  readonly path: string;
  readonly target: string;
  readonly notFound: OciErrorCode;
}

/** Deletes a manifest or a blob at the upstream. Distribution-spec 1.1 § Content Management. */
@Injectable()
export class Deletion {
  constructor(
    private readonly upstream: UpstreamClient,
    private readonly audit: Audit,
  ) {}

  async run(
    { context, identity, asked }: Admitted<'manifest'> | Admitted<'blob'>,
    response: ServerResponse,
    { path, target, notFound }: Deleted,
  ): Promise<void> {
    const { registry, repository, canonical } = asked.name;
    const answer = await this.upstream.request({
      registry,
      as: identity.upstreamAs(canonical),
      method: 'DELETE',
      path: `/v2/${repository}${path}`,
      access: [{ type: 'repository', name: repository, actions: ['delete'] }],
    });
    if (answer.status !== 202 && answer.status !== 200) throw await refusalOf(answer, notFound);
    await discard(answer);
    this.audit.write({
      event: 'delete',
      target: `${canonical}${target}`,
      ...whoAsks(context),
    });
    response.writeHead(202, { 'Content-Length': 0 }).end();
  }
}
