import { Inject, Injectable } from '@nestjs/common';
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { Registries } from '../config/registry-table';
import { Settings } from '../config/settings';
import { Log } from '../journal/log';
import { OciError } from '../oci/oci-error';
import { noteContinued } from './answer';
import { readSmallBody } from './body';
import { readCredentials } from './credentials';
import { refuse } from './error.filter';
import type { Exchange } from './gatekeeper';
import { trustedProxies, type TrustedProxy } from './origin';
import { parseRequest, type ParsedRequest } from './parse-request';
import { readTokenForm } from './read-token-request';
import { attachContext, type Asked, type RequestContext } from './request-context';
import { logRequest } from './request-log';

/** Answers what can be answered at once. @returns whether it did; if not, nothing has happened. */
export type AtOnce = (exchange: Exchange) => boolean;

/** What every answer says: content is others' work, and operators' browsers know their login here: nothing of it is ever run. */
export const ALWAYS = [
  ['X-Content-Type-Options', 'nosniff'],
  ['Content-Security-Policy', "default-src 'none'; sandbox"],
] as const;
/** What every answer of the registry's API says. */
export const API_VERSION = ['Docker-Distribution-API-Version', 'registry/2.0'] as const;

/**
 * The listener in front of Nest. It reads each request once, answers what is malformed or nowhere by itself, and hands
 * the rest on under a route of its own making. It stands on `request` and on `checkContinue` alike, so that a body that
 * will be refused is never asked for.
 */
@Injectable()
export class EdgeListener {
  readonly #trusts: TrustedProxy;

  constructor(
    @Inject(Settings) private readonly settings: Settings,
    private readonly registries: Registries,
    @Inject(Log) private readonly log: Log,
  ) {
    this.#trusts = trustedProxies(settings);
  }

  /**
   * @param next Nest's own handler.
   * @param atOnce asked first, of what is no more than a look at something by somebody with a token: whether it has answered. If
   *   not, nothing has happened.
   */
  inFrontOf(next: RequestListener, atOnce: AtOnce = () => false): RequestListener {
    return (request, response) => {
      const id = randomUUID();
      const plain = isPlainLook(request) ? this.#lookAt(request, id) : undefined;
      if (!plain) return this.#handOn(request, response, id, next);
      // Once all that came with it is read: it may be followed by what spoils it, as on the other ways.
      queueMicrotask(() => {
        if (this.#isAnswered(atOnce, { context: plain, request, response })) return;
        this.#handOn(request, response, id, next);
      });
    };
  }

  /** A fault there costs no more than that answer, and is none yet where nothing was sent. */
  #isAnswered(atOnce: AtOnce, exchange: Exchange): boolean {
    const { context, response } = exchange;
    try {
      return atOnce(exchange);
    } catch (error) {
      this.log.error({ request: context.id, err: error }, 'a fault in the gate itself');
      if (response.headersSent) response.destroy();
      return response.headersSent;
    }
  }

  #handOn(
    request: IncomingMessage,
    response: ServerResponse,
    id: string,
    next: RequestListener,
  ): void {
    response.setHeader('X-Request-Id', id);
    for (const [name, value] of ALWAYS) response.setHeader(name, value);
    // Each room that a request passes waits for its end: the log, the throttles, the relay.
    response.setMaxListeners(30);
    this.#admit(request, response, id).then(
      (route) => {
        request.url = route;
        next(request, response);
      },
      (error: unknown) => refuse(request, response, error, id, this.log),
    );
  }

  /** @returns the route under which the router knows what is asked. */
  async #admit(request: IncomingMessage, response: ServerResponse, id: string): Promise<string> {
    const finishLog = logRequest(this.log, request, response, id);
    if (/^\/(?:v1|v2|token)(?:[/?]|$)/.test(request.url ?? '')) {
      response.setHeader(...API_VERSION);
    }
    refuseOddFraming(request);
    const { settings, registries } = this;
    // containerd learns by it that the gate understood which registry is meant.
    const noteNamespace = (name: string) => void response.setHeader('OCI-Namespace', name);
    const parsed = parseRequest(request, settings, registries.current, this.#trusts, noteNamespace);
    const wantBody = onceContinued(request, response);
    const asked = await withForm(request, parsed, wantBody);
    const context = this.#contextOf(request, id, parsed, asked, wantBody);
    attachContext(request, context);
    finishLog.context = context;
    return parsed.route;
  }

  /** The context of a request that is right; what is wrong with another one is said on its way through the rooms. */
  #lookAt(request: IncomingMessage, id: string): RequestContext | undefined {
    const { settings, registries } = this;
    try {
      const parsed = parseRequest(request, settings, registries.current, this.#trusts);
      return this.#contextOf(request, id, parsed, parsed.asked, () => undefined);
    } catch {
      return undefined;
    }
  }

  #contextOf(
    { headers }: IncomingMessage,
    id: string,
    parsed: ParsedRequest,
    asked: Asked,
    wantBody: () => void,
  ): RequestContext {
    return {
      id,
      method: parsed.method,
      address: parsed.address,
      addressCounts: parsed.addressCounts,
      client: parsed.client,
      base: parsed.base,
      home: parsed.home,
      registry: parsed.registry,
      byHost: parsed.byHost,
      namespace: parsed.namespace,
      realm: parsed.realm,
      service: this.settings.tokenService,
      asked,
      need: parsed.need,
      credentials: readCredentials(headers.authorization),
      wantBody,
    };
  }
}

/** Reads something, by its plain address, with no body, no condition and a token. */
function isPlainLook({ method, url = '', headers }: IncomingMessage): boolean {
  return (
    method === 'GET' &&
    url.includes('/manifests/') &&
    !url.includes('?') &&
    headers.authorization !== undefined &&
    UNUSUAL.every((name) => headers[name] === undefined)
  );
}

/** With one of these, a request is more than a look at what its address says. */
const UNUSUAL = ['content-length', 'transfer-encoding', 'expect', 'if-none-match'] as const;

/** A token request by POST says what it asks in its body; that is part of what is parsed here. */
async function withForm(
  request: IncomingMessage,
  { asked, method, naming }: ParsedRequest,
  wantBody: () => void,
): Promise<Asked> {
  if (asked.noun !== 'token' || method !== 'POST') return asked;
  const form = await readSmallBody(request, wantBody, TOKEN_FORM);
  return {
    noun: 'token',
    request: readTokenForm(new URLSearchParams(form.toString('utf8')), naming),
  };
}

/** It comes from strangers. */
const TOKEN_FORM = { limit: 16 * 1024, what: 'a token request', within: 10_000 };

/**
 * Codings beside chunked are obsolete, and one that the gate and an upstream read differently smuggles requests
 * (CVE-2022-32213). Both lengths at once, and two of one, are refused by Node's parser already.
 */
function refuseOddFraming(request: IncomingMessage): void {
  const coding = request.headers['transfer-encoding'];
  if (coding !== undefined && coding.toLowerCase() !== 'chunked') {
    throw new OciError('REQUEST_INVALID', {
      message: 'the only transfer coding is chunked',
      headers: { Connection: 'close' },
    });
  }
  const expect = request.headers.expect;
  if (expect !== undefined && expect.toLowerCase() !== '100-continue') {
    throw new OciError('REQUEST_INVALID', { message: 'the only expectation is 100-continue' });
  }
}

function onceContinued(request: IncomingMessage, response: ServerResponse): () => void {
  let waiting = request.headers.expect !== undefined;
  return () => {
    if (!waiting) return;
    waiting = false;
    noteContinued(request);
    response.writeContinue();
  };
}
