/** One HTTP exchange with an upstream: no redirects, no login, but every limit, one retry, and failures told apart. */
import { Inject, Injectable } from '@nestjs/common';
import { setTimeout as pause } from 'node:timers/promises';
import type http from 'node:http';
import type https from 'node:https';
import { Agent, type Dispatcher } from 'undici';
import type { Registry } from '../config/registry-table';
import { Settings } from '../config/settings';
import { Log } from '../journal/log';
import { OciError } from '../oci/oci-error';
import { BodyAgent } from './body-agent';
import { BodyClient } from './body-client';
import { sourceOf } from './body-source';
import { Dialer } from './dialer';
import type { Trust } from './egress-policy';
import { HandedOver } from './handed-over';
import { headDeadline } from './head-deadline';
import { contentNetworkOf } from './known-content-hosts';
import { proxyAuthorization } from './outgoing-proxy';
import { retryAfterSeconds } from './retry-after';
import { type Asked, faultOf, isCutOff, nameOf, upstreamFailure } from './upstream-failure';
import { type Peer, UpstreamFaults } from './upstream-faults';
import { discard, isAsItIs, plainHeaders, type UpstreamResponse } from './upstream-response';
import { keyOf, wayTo, type Way } from './way';

type Method = 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';

export interface Exchange {
  /** In whose name it is sent: its own proxy and certificates count, and it is named in the log and in errors. */
  readonly registry: Registry;
  /** Whom of that registry's the origin is; the registry itself without it. */
  readonly peer?: Peer;
  readonly origin: URL;
  /** Path and query, byte for byte as they shall be sent. */
  readonly path: string;
  readonly trust: Trust;
  readonly method: Method;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly signal?: AbortSignal;
  /** What is asked for may be large: where it can, the body is read with less ado. For GET alone. */
  readonly large?: boolean;
  /** Keeps the path out of the log: that of a signed address may itself be a secret. */
  readonly hidden?: boolean;
}

/** Target and fields of a request, as they are sent. */
interface Addressed {
  readonly path: string;
  readonly headers: Record<string, string>;
}

/** Long enough for a restarting upstream's next worker, too short for a client to notice. */
const RETRY_PAUSE = 200;

/** Visible ASCII: what else there is would be a second header, or a second request. */
const PATH = /^\/(?:[\x21-\x7e]*)$/;

@Injectable()
export class Transport {
  readonly #agents = new Map<string, Dispatcher>();
  readonly #bodyAgents = new Map<string, BodyAgent>();
  readonly #bodyClient: BodyClient;

  constructor(
    @Inject(Settings) private readonly settings: Settings,
    @Inject(Log) private readonly log: Log,
    private readonly dialer: Dialer,
    private readonly faults: UpstreamFaults,
  ) {
    this.#bodyClient = new BodyClient(dialer, settings.upstream);
  }

  /**
   * Sends a request and gives the answer. A 5xx and a connection that ends before it answers are tried once more for
   * GET and HEAD.
   * @throws OciError TOOMANYREQUESTS with Retry-After on 429; BAD_UPSTREAM on 5xx, on what is not HTTP, on an encoding
   *   that was not asked for, and without TLS to trust; UNAVAILABLE, UPSTREAM_TIMEOUT
   */
  async send(exchange: Exchange): Promise<UpstreamResponse> {
    const { peer = 'registry' } = exchange;
    const registry = exchange.registry.name;
    try {
      const response = await this.#sendTwice(exchange);
      this.faults.noteAnswer(registry, peer);
      return response;
    } catch (error) {
      if (!(error instanceof OciError) || exchange.signal?.aborted) throw error;
      const fault = faultOf(error);
      if (fault) this.faults.noteFailure(registry, peer, fault, error.message);
      else this.faults.noteAnswer(registry, peer);
      throw error;
    }
  }

  async #sendTwice(exchange: Exchange): Promise<UpstreamResponse> {
    const repeatable = exchange.method === 'GET' || exchange.method === 'HEAD';
    const response = await this.#attempt(exchange).catch((error: unknown) => {
      if (repeatable && isCutOff(error)) return undefined;
      throw error;
    });
    if (response && !(repeatable && response.status >= 500)) return judged(response, exchange);
    if (response) await discard(response);
    await pause(RETRY_PAUSE, undefined, { signal: exchange.signal });
    return judged(await this.#attempt(exchange), exchange);
  }

  /**
   * The agent for bodies that are streamed to that origin by http-proxy-middleware: a connection for each, the registry's own
   * way out, the connect timeout. It connects to that origin alone, whatever the request's options say.
   */
  bodyAgentFor(registry: Registry, url: URL): http.Agent | https.Agent {
    const way = wayTo(registry, 'own');
    const key = `${url.origin} ${keyOf(way)}`;
    const known = this.#bodyAgents.get(key);
    if (known) return known;
    const agent = new BodyAgent(new URL(url.origin), way, this.dialer);
    this.#bodyAgents.set(key, agent);
    return agent;
  }

  /** Ends all connections at once. */
  async close(): Promise<void> {
    for (const agent of this.#bodyAgents.values()) agent.destroy();
    this.#bodyClient.close();
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    await Promise.all(agents.map((agent) => agent.destroy()));
  }

  async #attempt(exchange: Exchange): Promise<UpstreamResponse> {
    const { origin, method } = exchange;
    const started = performance.now();
    const answer = await this.#answerTo(exchange, this.#addressed(exchange)).catch(
      (error: unknown) => {
        throw upstreamFailure(error, askedBy(exchange));
      },
    );
    this.log.debug(
      {
        upstream: exchange.registry.name,
        method,
        host: origin.host,
        network: exchange.peer === 'content' ? contentNetworkOf(origin.host) : undefined,
        path: exchange.hidden ? undefined : exchange.path.split('?', 1)[0],
        status: answer.status,
        ms: Math.round(performance.now() - started),
      },
      'asked upstream',
    );
    return answer;
  }

  /** By whichever client it takes. */
  async #answerTo(exchange: Exchange, { path, headers }: Addressed): Promise<UpstreamResponse> {
    const { origin, method, body, signal, large } = exchange;
    const { host } = origin;
    const way = wayOf(exchange);
    const arrived =
      large && method === 'GET'
        ? await this.#bodyClient.get({ origin, way, path, headers, signal })
        : undefined;
    if (arrived && !(arrived instanceof HandedOver)) {
      const { head } = arrived;
      return { status: head.status, headers: plainHeaders(head.headers), body: arrived.body, host };
    }
    const asked = { origin: origin.origin, path, method, headers, body, signal };
    const { headerTimeout, idleTimeout } = this.settings.upstream;
    const client =
      arrived?.clientFor(origin, headerTimeout, idleTimeout) ?? this.#agentFor(exchange);
    const answer = await client.request(asked).catch((error: unknown) => {
      arrived?.destroy();
      throw error;
    });
    return {
      status: answer.statusCode,
      headers: plainHeaders(answer.headers),
      body: sourceOf(answer.body),
      host,
    };
  }

  /** Behind a proxy, http goes in absolute form (RFC 9112 § 3.2.2), and the proxy's credentials go with the request. */
  #addressed(exchange: Exchange): Addressed {
    const { origin, path, headers, body } = exchange;
    if (!PATH.test(path)) throw new Error('an upstream path holds what a request line cannot');
    const sent: Record<string, string> = {
      'user-agent': 'tidegate',
      ...headers,
      'accept-encoding': 'identity',
    };
    if (body) sent['content-length'] = String(body.length);
    const proxy =
      origin.protocol === 'http:' ? this.dialer.proxyFor(origin, wayOf(exchange)) : undefined;
    if (!proxy) return { path, headers: sent };
    const authorization = proxyAuthorization(proxy);
    if (authorization !== undefined) sent['proxy-authorization'] = authorization;
    return { path: `${origin.origin}${path}`, headers: sent };
  }

  /**
   * Connections are shared among requests of one way alone: one that was made to a host of the operator's own must not
   * serve a registry that may not send the gate there, nor one that trusts other certificates. Requests that may not be repeated get connections of their
   * own: a kept one may be closed by the upstream just then, and nobody could tell whether the request was heard.
   */
  #agentFor(exchange: Exchange): Dispatcher {
    const reused = exchange.method === 'GET' || exchange.method === 'HEAD';
    const way = wayOf(exchange);
    const key = `${reused} ${keyOf(way)}`;
    const known = this.#agents.get(key);
    if (known) return known;
    const { headerTimeout, idleTimeout } = this.settings.upstream;
    const agent = new Agent({
      allowH2: false,
      pipelining: reused ? 1 : 0,
      headersTimeout: headerTimeout,
      bodyTimeout: idleTimeout,
      connect: ({ protocol, host, hostname }, callback) => {
        this.dialer.dial(new URL(`${protocol}//${host ?? hostname}`), way).then(
          (socket) => callback(null, socket),
          (error: unknown) => callback(error as Error, null),
        );
      },
    }).compose(headDeadline(headerTimeout));
    this.#agents.set(key, agent);
    return agent;
  }
}

function wayOf({ registry, trust, peer }: Exchange): Way {
  return wayTo(registry, trust, peer);
}

function askedBy({ registry, peer, signal }: Exchange): Asked {
  return { registry: registry.name, peer, signal };
}

async function judged(response: UpstreamResponse, exchange: Exchange): Promise<UpstreamResponse> {
  const { status, headers, body } = response;
  const who = nameOf(askedBy(exchange));
  if (status < 500 && status !== 429 && status !== 407) {
    if (isAsItIs(response)) return response;
    body.destroy();
    throw new OciError('BAD_UPSTREAM', {
      message: `${who} sent its answer compressed or encoded, though the gate asked for it as it is`,
    });
  }
  await discard(response);
  if (status === 429) throw tooManyRequests(who, headers['retry-after']);
  if (status === 407 && exchange.origin.protocol === 'http:') {
    throw new OciError('UNAVAILABLE', {
      message: `${who} cannot be reached: the outgoing proxy does not accept the credentials in its URL (407)`,
    });
  }
  throw new OciError('BAD_UPSTREAM', { message: `${who} answered with an error (${status})` });
}

function tooManyRequests(who: string, retryAfter: string | undefined): OciError {
  return new OciError('TOOMANYREQUESTS', {
    message: `${who} asks the gate to wait before it sends more requests`,
    headers: { 'Retry-After': String(retryAfterSeconds(retryAfter)) },
  });
}
