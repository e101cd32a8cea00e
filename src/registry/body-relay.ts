import { Inject, Injectable } from '@nestjs/common';
import { createProxyMiddleware, type RequestHandler } from 'http-proxy-middleware';
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from '../config/registry-table';
import { Settings } from '../config/settings';
import { OciError } from '../oci/oci-error';
import { sourceOf } from '../upstream/body-source';
import { noteSpent } from '../upstream/spent-pieces';
import { UpstreamClient, type UpstreamResponse } from '../upstream/upstream.client';

/** A body went upstream, and nobody can tell what became of it. */
export class UnansweredBody extends OciError {}

/** Where a body goes, and as what. */
export interface BodyTarget {
  readonly method: 'PATCH' | 'PUT';
  readonly registry: Registry;
  /** The upstream's address, sent to the letter: it may be signed. */
  readonly to: URL;
  readonly authorization?: string;
}

interface Passage {
  readonly registry: Registry;
  readonly to: URL;
  readonly resolve: (response: UpstreamResponse) => void;
  readonly reject: (error: unknown) => void;
}

/** Of the client's headers, all that an upstream needs to take a body. */
const PASSED = ['content-type', 'content-length', 'transfer-encoding', 'content-range'] as const;

/** Registries hash what they were sent before they answer the last request of an upload, and that may take minutes. */
const PATIENCE = 10;

/**
 * Streams a request's body to the upstream, as fast as it takes it and holding nothing, by http-proxy-middleware. What the
 * upstream answers comes back to the caller, unsent: the client must not see the upstream's addresses.
 */
@Injectable()
export class BodyRelay {
  readonly #passages = new WeakMap<IncomingMessage, Passage>();
  readonly #proxy: RequestHandler;

  constructor(
    private readonly upstream: UpstreamClient,
    @Inject(Settings) settings: Settings,
  ) {
    const patience = settings.upstream.headerTimeout * PATIENCE;
    this.#proxy = createProxyMiddleware({
      changeOrigin: true,
      selfHandleResponse: true,
      // The middleware's own error page and log lines are left out: they would stand in the client's answer.
      ejectPlugins: true,
      plugins: [
        (server) => {
          const passageOf = (request: IncomingMessage | undefined) =>
            request && this.#passages.get(request);
          server.on('proxyRes', (answer, request) =>
            passageOf(request)?.resolve(responseOf(answer)),
          );
          server.on('error', (error, request) => passageOf(request)?.reject(error));
          // An answer that is none (101) is followed by no other event than this.
          server.on('proxyReq', (upward, request) => {
            // The pipe is laid already: nothing is let go by listening.
            request.on('data', (piece: Buffer) => noteSpent(piece.length));
            upward.once('close', () => passageOf(request)?.reject(new Error('no answer')));
            const giveUp = () => {
              passageOf(request)?.reject(new UnansweredBody('UPSTREAM_TIMEOUT'));
              upward.destroy();
            };
            upward.setTimeout(patience, giveUp);
            limitHead(upward, patience, giveUp);
          });
        },
      ],
      router: (request, _response, options) => {
        const passage = this.#passages.get(request);
        if (!passage) throw new Error('a body without a passage');
        options.agent = this.upstream.agentFor(passage.registry, passage.to);
        return passage.to.origin;
      },
    });
  }

  /**
   * @throws OciError UNAVAILABLE when the upstream cannot be reached or breaks off: clients then send the body again.
   * UPSTREAM_TIMEOUT when nothing moves for ten times the header timeout, or no answer begins that long after the body.
   */
  async send(
    request: IncomingMessage,
    response: ServerResponse,
    { method, registry, to, authorization }: BodyTarget,
  ): Promise<UpstreamResponse> {
    const headers: NodeJS.Dict<string | string[]> = {};
    for (const name of PASSED)
      if (request.headers[name] !== undefined) headers[name] = request.headers[name];
    if (authorization !== undefined) headers.authorization = authorization;
    // The middleware passes on what it finds on the request; from here on that is what was chosen.
    request.headers = headers;
    request.method = method;
    request.url = `${to.pathname}${to.search}`;
    return new Promise<UpstreamResponse>((resolve, reject) => {
      const fail = (error: unknown) => reject(failureOf(error));
      if (response.closed) return fail(undefined);
      this.#passages.set(request, { registry, to, resolve, reject: fail });
      response.once('close', () => fail(undefined));
      this.#proxy(request, response, fail).catch(fail);
    });
  }
}

/** The idle rule alone would wait as long as an upstream sends `102 Processing`. */
function limitHead(upward: ClientRequest, milliseconds: number, giveUp: () => void): void {
  let timer: NodeJS.Timeout | undefined;
  let answered = false;
  const settle = () => {
    answered = true;
    clearTimeout(timer);
  };
  upward.once('response', settle).once('close', settle);
  // Some answer before they have the whole body.
  upward.once('finish', () => {
    if (!answered) timer = setTimeout(giveUp, milliseconds);
  });
}

function failureOf(error: unknown): OciError {
  if (error instanceof OciError) return error;
  return new UnansweredBody('UNAVAILABLE', {
    message: 'the upstream registry broke off the upload',
    headers: { 'Retry-After': '5' },
    cause: error,
  });
}

function responseOf(answer: IncomingMessage): UpstreamResponse {
  const headers = Object.fromEntries(
    Object.entries(answer.headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.join(', ') : (value ?? ''),
    ]),
  );
  return { status: answer.statusCode ?? 0, headers, body: sourceOf(answer) };
}
