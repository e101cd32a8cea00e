/** Requests to one registry: login, redirects, refusals. What comes back is its own answer, or an OciError. */
import { Injectable } from '@nestjs/common';
import { ClientLogin, type Principal } from '../config/principal';
import type { Registry } from '../config/registry-table';
import type { Access } from '../oci/access';
import { UpstreamChallenge } from '../oci/upstream-challenge';
import type { Reference } from '../oci/reference';
import type { Login } from './logins';
import { UpstreamPatience } from './patience';
import { Redirects } from './redirects';
import { notAllowed } from './token-endpoint';
import { Transport } from './transport';
import { UpstreamTokens } from './upstream-tokens';
import { discard, type UpstreamResponse } from './upstream-response';

export interface UpstreamRequest {
  readonly registry: Registry;
  /** Whose credentials go along. */
  readonly as: Principal;
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  /** Path and query, byte for byte: `/v2/library/nginx/manifests/1`. Made from parsed parts, never from a raw URL. */
  readonly path: string;
  /** Accept, Range, Content-Type, If-None-Match … Credentials and cookies among them are left out. */
  readonly headers?: Readonly<Record<string, string>>;
  /** For small bodies; large ones go through UpstreamClient.agentFor. */
  readonly body?: Buffer;
  /** What the upstream's token must be good for. */
  readonly access: readonly Access[];
  /**
   * The digest or the tag that is asked for, where the registry's mirrors may be asked first: for GET and HEAD of content. What a
   * mirror says is not the registry's word, and the answer tells (`mirror`).
   */
  readonly mirrored?: Reference;
  /** `pass`: the first redirect to another origin is the answer. Without it, GET and HEAD follow all redirects. */
  readonly redirects?: 'follow' | 'pass';
  /** What is asked for may be large: see Exchange. */
  readonly large?: boolean;
  /** Ends the request, and the answer's body, at once. */
  readonly signal?: AbortSignal;
}

/** Not for a caller to set: credentials are the gate's to choose, the rest belongs to the connection. */
const CREDENTIALS = ['authorization', 'cookie', 'cookie2'];
const CONNECTION = ['connection', 'keep-alive', 'te', 'trailer', 'upgrade', 'expect', 'host'];
const FRAMING = ['transfer-encoding', 'content-length', 'accept-encoding'];
const OWN_HEADERS: ReadonlySet<string> = new Set([...CREDENTIALS, ...CONNECTION, ...FRAMING]);

/** Asks the registry that is named, and nobody in its place. */
@Injectable()
export class RegistryClient {
  constructor(
    private readonly transport: Transport,
    private readonly tokens: UpstreamTokens,
    private readonly redirects: Redirects,
    private readonly patience: UpstreamPatience,
  ) {}

  /**
   * See UpstreamClient.request.
   * @param spare there is somebody else to ask: each failure counts as silence does, and whoever fails so is left alone.
   */
  async request(request: UpstreamRequest, { spare = false } = {}): Promise<UpstreamResponse> {
    return this.patience.during({ ...request, spare }, (who, answered) =>
      who instanceof ClientLogin
        ? this.#askForClient(request, who, answered)
        : this.#ask(request, who, answered),
    );
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
    const { registry, method, path, body, signal, large, redirects } = request;
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
      large,
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
