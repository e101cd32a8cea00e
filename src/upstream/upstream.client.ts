/** Requests to registries: login, redirects, refusals. What comes back is the registry's own answer, or an OciError. */
import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import type http from 'node:http';
import type https from 'node:https';
import { ClientLogin, type Principal } from '../config/principal';
import type { Registry } from '../config/registry-table';
import type { Access } from '../oci/access';
import { UpstreamChallenge } from '../oci/upstream-challenge';
import type { Login } from './logins';
import { UpstreamPatience } from './patience';
import { Redirects } from './redirects';
import { notAllowed } from './token-endpoint';
import { Transport } from './transport';
import { UpstreamTokens } from './upstream-tokens';
import { discard, type UpstreamResponse } from './upstream-response';

export type { Principal } from '../config/principal';
export { discard, readBody, type UpstreamResponse } from './upstream-response';

export interface UpstreamRequest {
  readonly registry: Registry;
  /** Whose credentials go along. */
  readonly as: Principal;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Path and query, byte for byte: `/v2/library/nginx/manifests/1`. Made from parsed parts, never from a raw URL. */
  readonly path: string;
  /** Accept, Range, Content-Type, If-None-Match … Credentials and cookies among them are left out. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For small bodies; large ones go through {@link UpstreamClient.agentFor}. */
  readonly body?: Buffer;
  /** What the upstream's token must be good for. */
  readonly access: readonly Access[];
  /** `pass`: the first redirect to another origin is the answer. Without it, GET and HEAD follow all redirects. */
  readonly redirects?: 'follow' | 'pass';
  /** Ends the request, and the answer's body, at once. */
  readonly signal?: AbortSignal;
}

/** Not for a caller to set: credentials are the gate's to choose, the rest belongs to the connection. */
const CREDENTIALS = ['authorization', 'cookie', 'cookie2'];
const CONNECTION = ['connection', 'keep-alive', 'te', 'trailer', 'upgrade', 'expect', 'host'];
const FRAMING = ['transfer-encoding', 'content-length', 'accept-encoding'];
const OWN_HEADERS: ReadonlySet<string> = new Set([...CREDENTIALS, ...CONNECTION, ...FRAMING]);

@Injectable()
export class UpstreamClient implements OnApplicationShutdown {
  constructor(
    private readonly transport: Transport,
    private readonly tokens: UpstreamTokens,
    private readonly redirects: Redirects,
    private readonly patience: UpstreamPatience,
  ) {}

  /**
   * The registry's answer to a request. 200 to 404, 405, 416 and the like are given as they are. For GET and HEAD
   * redirects are followed, a failure is tried once more, and a registry that asks for patience or does not answer is left
   * alone for a time. Of several accounts each has its turn; a GET or HEAD goes on with the next where one is told to wait,
   * and any request where one's login is refused.
   * @throws OciError
   *   DENIED: the registry refuses (401 to a fresh token or to Basic, 403);
   *   UNAUTHORIZED (UpstreamChallenge): it asks the client itself for a login, or for a better one;
   *   TOOMANYREQUESTS: it asks for patience, with `Retry-After`;
   *   BAD_UPSTREAM: 5xx, a redirect or a token endpoint that may not be, TLS;
   *   UNAVAILABLE: it cannot be reached, or could not be of late; UPSTREAM_TIMEOUT: it does not answer.
   *   With an aborted signal, the signal's reason.
   */
  async request(request: UpstreamRequest): Promise<UpstreamResponse> {
    return this.patience.during(request, (who, answered) =>
      who instanceof ClientLogin
        ? this.#askForClient(request, who, answered)
        : this.#ask(request, who, answered),
    );
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

  async #ask(
    request: UpstreamRequest,
    login: Login,
    answered: () => void,
  ): Promise<UpstreamResponse> {
    const { registry, access } = request;
    const first = await this.tokens.authorizationIfKnown(registry, login, access);
    const response = await this.#send(request, first, answered);
    if (response.status !== 401) {
      if (first === undefined) this.tokens.noteOpen(registry, login);
      this.tokens.noteVerdict(registry, first, response.status);
      return admitted(response, request);
    }
    await discard(response);
    const second = await this.tokens.answerTo(
      registry,
      login,
      access,
      response.headers['www-authenticate'],
      first,
    );
    const answer = await this.#send(request, second, answered);
    this.tokens.noteVerdict(registry, second, answer.status);
    return admitted(answer, request);
  }

  /** The client's own login is shown once, as it is; what the registry says to it is the client's affair. */
  async #askForClient(
    request: UpstreamRequest,
    as: ClientLogin,
    answered: () => void,
  ): Promise<UpstreamResponse> {
    const { registry } = request;
    const answer = await this.#send(request, as.authorizationFor(registry), answered);
    if (answer.status !== 401) return admitted(answer, request);
    await discard(answer);
    throw new UpstreamChallenge(answer.headers['www-authenticate']);
  }

  async #send(
    request: UpstreamRequest,
    authorization: string | undefined,
    answered: () => void,
  ): Promise<UpstreamResponse> {
    const { registry, method, path, body, signal, redirects } = request;
    signal?.throwIfAborted();
    const headers: Record<string, string> = {};
    for (const [given, value] of Object.entries(request.headers ?? {})) {
      const name = given.toLowerCase();
      if (!OWN_HEADERS.has(name) && !name.startsWith('proxy-')) headers[name] = value;
    }
    if (authorization !== undefined) headers['authorization'] = authorization;
    const exchange = {
      registry,
      origin: registry.url,
      path,
      trust: 'own',
      method,
      headers,
      body,
      signal,
    } as const;
    const response = await this.transport.send(exchange);
    // A challenge says nothing yet: the token endpoint may be as silent as ever.
    if (response.status !== 401) answered();
    return this.redirects.follow(registry, exchange, response, redirects);
  }
}

async function admitted(
  response: UpstreamResponse,
  { registry, as, access }: UpstreamRequest,
): Promise<UpstreamResponse> {
  if (response.status !== 401 && response.status !== 403) return response;
  await discard(response);
  throw notAllowed(registry, as, access);
}
