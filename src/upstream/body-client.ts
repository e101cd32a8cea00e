/** GETs of what may be large: the socket puts a body where it is read from, without a parser or streams between. */
import type { Socket } from 'node:net';
import { LRUCache } from 'lru-cache';
import { errors } from 'undici';
import { atMost } from '../config/at-most';
import { BodyBlocks } from './body-blocks';
import { type Arriving, BodyConnection, type Question } from './body-connection';
import type { Dialer } from './dialer';
import { HandedOver } from './handed-over';
import { KeptConnections } from './kept-connections';
import { keyOf, type Way } from './way';

export interface BodyRequest {
  readonly origin: URL;
  readonly way: Way;
  /** The request's target, as it is to be sent. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export interface BodyLimits {
  readonly headerTimeout: number;
  readonly idleTimeout: number;
}

/** For so long an origin is not asked here whose answers cannot be read here: other clients share their connections. */
const UNFIT = 10 * 60_000;
const MOST_UNFIT = 1_000;

const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const VALUE = /^[\t\x20-\x7e]*$/;

/**
 * Answers of HTTP/1.1 whose length is announced, as most registries send blobs. Whatever else there is, is for a client that knows
 * all of HTTP.
 */
export class BodyClient {
  readonly #kept = new KeptConnections();
  readonly #blocks = new BodyBlocks();
  readonly #open = new Set<BodyConnection>();
  readonly #unfit = new LRUCache<string, true>({ ...atMost(MOST_UNFIT), ttl: UNFIT });
  #closed = false;

  constructor(
    private readonly dialer: Dialer,
    private readonly limits: BodyLimits,
  ) {}

  /**
   * @returns undefined where another client has to ask; the connection, where another client has to read the answer.
   * @throws DialError; what BodyConnection.ask throws; ClientDestroyedError.
   */
  async get(request: BodyRequest): Promise<Arriving | HandedOver | undefined> {
    const { origin, way, signal } = request;
    const key = `${origin.origin} ${keyOf(way)}`;
    if (this.#unfit.has(key) || !this.dialer.takesOnread(origin, way)) return undefined;
    const text = textOf(request);
    if (text === undefined) return undefined;
    signal?.throwIfAborted();
    const { headerTimeout: headTimeout, idleTimeout } = this.limits;
    const answer = await this.#ask(key, request, { text, headTimeout, idleTimeout, signal });
    if (answer instanceof HandedOver) this.#unfit.set(key, true);
    return answer;
  }

  /** Ends all connections at once. */
  close(): void {
    this.#closed = true;
    for (const connection of this.#open) connection.destroy(new errors.ClientDestroyedError());
  }

  async #ask(
    key: string,
    request: BodyRequest,
    question: Question,
  ): Promise<Arriving | HandedOver> {
    const kept = this.#kept.take(key);
    try {
      if (kept) return await kept.ask(question);
    } catch (error) {
      // The upstream may have ended it before the request was there: a new one will tell.
      if (kept?.heard || !isEnd(error) || request.signal?.aborted || this.#closed) throw error;
    }
    return (await this.#connect(key, request)).ask(question);
  }

  async #connect(key: string, { origin, way, signal }: BodyRequest): Promise<BodyConnection> {
    if (this.#closed) throw new errors.ClientDestroyedError();
    const connection = new BodyConnection(
      this.#blocks,
      (free, wait) => this.#kept.keep(key, free, wait),
      (over) => {
        this.#open.delete(over);
        this.#kept.drop(key, over);
      },
    );
    this.#open.add(connection);
    try {
      const dialled = this.dialer.dial(origin, way, connection.onread);
      return connection.attach(await untilAborted(dialled, signal));
    } catch (error) {
      connection.destroy(error as Error);
      throw error;
    }
  }
}

/** The connection ended by itself: no clock and no signal ended it, and nothing that came. */
function isEnd(error: unknown): boolean {
  const { code } = (error ?? {}) as { code?: unknown };
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}

/** The socket; one that is there too late is ended. */
function untilAborted(dialled: Promise<Socket>, signal: AbortSignal | undefined): Promise<Socket> {
  if (!signal) return dialled;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', abort, { once: true });
    dialled
      .then((socket) => {
        if (signal.aborted) socket.destroy();
        else resolve(socket);
      })
      .catch(reject)
      .finally(() => signal.removeEventListener('abort', abort));
  });
}

/** The request to the byte; undefined where a header holds what a request cannot, for others to refuse. */
function textOf({ origin, path, headers }: BodyRequest): string | undefined {
  const fields = Object.entries(headers);
  if (!fields.every(([name, value]) => NAME.test(name) && VALUE.test(value))) return undefined;
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  return `GET ${path} HTTP/1.1\r\nhost: ${origin.host}\r\nconnection: keep-alive\r\n${lines.join('')}\r\n`;
}
