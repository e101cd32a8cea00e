/** Requests to registries. What comes back is the registry's own answer, or a mirror's; or an OciError. */
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type http from 'node:http';
import type https from 'node:https';
import type { Registry } from '../config/registry-table';
import type { Reference } from '../oci/reference';
import type { RepositoryName } from '../oci/repository-name';
import { Mirrors } from './mirrors';
import { RegistryClient, type UpstreamRequest } from './registry-client';
import { Transport } from './transport';
import type { UpstreamResponse } from './upstream-response';

export type { Principal } from '../config/principal';
export type { UpstreamRequest } from './registry-client';
export { discard, readBody, type UpstreamResponse } from './upstream-response';

@Injectable()
export class UpstreamClient implements OnApplicationShutdown {
  constructor(
    private readonly registries: RegistryClient,
    private readonly mirrors: Mirrors,
    private readonly transport: Transport,
  ) {}

  /**
   * The registry's answer to a request. 200 to 404, 405, 416 and the like are given as they are. For GET and HEAD
   * redirects are followed, a failure is tried once more, and a registry that asks for patience or does not answer is left
   * alone for a time. Of several accounts each has its turn; a GET or HEAD goes on with the next where one is told to wait,
   * and any request where one's login is refused.
   * Where `mirrored` says so, the registry's mirrors are asked first: 200 and 206 are their answers, and all else leads on.
   * @throws OciError
   *   DENIED: the registry refuses (401 to a fresh token or to Basic, 403);
   *   UNAUTHORIZED (UpstreamChallenge): it asks the client itself for a login, or for a better one;
   *   TOOMANYREQUESTS: it asks for patience, with `Retry-After`;
   *   BAD_UPSTREAM: 5xx, a redirect or a token endpoint that may not be, TLS;
   *   UNAVAILABLE: it cannot be reached, or could not be of late; UPSTREAM_TIMEOUT: it does not answer.
   *   With an aborted signal, the signal's reason.
   */
  async request(request: UpstreamRequest): Promise<UpstreamResponse> {
    return (await this.mirrors.answer(request)) ?? this.registries.request(request);
  }

  /** See {@link Mirrors.noteChanged}. */
  noteChanged(registry: Registry, repository: RepositoryName, reference: Reference): void {
    this.mirrors.noteChanged(registry, repository, reference);
  }

  /**
   * See {@link Transport.bodyAgentFor}.
   * @param url of the registry's own origin: its configured URL, or what EgressPolicy.ownAddress gave.
   */
  agentFor(registry: Registry, url: URL): http.Agent | https.Agent {
    return this.transport.bodyAgentFor(registry, url);
  }

  /** Ends all connections at once, at the end of the process. */
  async close(): Promise<void> {
    await this.transport.close();
  }

  async onApplicationShutdown(): Promise<void> {
    await this.close();
  }
}
