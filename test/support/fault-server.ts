/**
 * An upstream that misbehaves on purpose, and remembers everything that was sent to it. A credential that is not its
 * own fails the test.
 */
import { once } from 'node:events';
import http, {
  type IncomingHttpHeaders,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { atTheEnd } from './lifecycle';
import { keepSecret } from './secrets';
import { CREDENTIAL, OwnCredentials, type Credential } from './own-credentials';

/** A request as it arrived. */
export interface SeenRequest {
  readonly method: string;
  /** The raw request target, query and all. */
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  /** The client's port, to tell connections apart. */
  readonly port: number;
  /** Bytes of body received so far. */
  received: number;
  /** The body's first MiB. */
  readonly chunks: Buffer[];
}

/** What the server does with a request. What it throws ends the request with 500 and the error's text. */
export type Behaviour = (
  request: IncomingMessage,
  response: ServerResponse,
  seen: SeenRequest,
) => void | Promise<void>;

export interface FaultServerOptions {
  /** What is done when nothing is queued; 404 without it. */
  readonly handler?: Behaviour;
  /** Every Authorization, Proxy-Authorization and Cookie that it may be shown; none without it. */
  readonly own?: readonly Credential[];
  /** Another address of this machine than 127.0.0.1. */
  readonly address?: string;
  /** PEM, for https. */
  readonly tls?: { readonly key: string | Buffer; readonly cert: string | Buffer };
}

const MAX_KEPT = 1024 * 1024;

export class FaultServer {
  /** Every request, in the order of arrival. */
  readonly requests: SeenRequest[] = [];
  /** What is done when nothing is queued. */
  handler: Behaviour;
  readonly #queue: Behaviour[] = [];
  readonly #sockets = new Set<Socket>();
  readonly #server: http.Server;
  readonly #secure: boolean;
  readonly #own = new OwnCredentials('a fault server');
  #accepted = 0;

  private constructor({ handler, own = [], tls }: FaultServerOptions) {
    this.#own.add(...own);
    this.handler = handler ?? answer(404, '{"errors":[{"code":"NAME_UNKNOWN"}]}');
    this.#secure = tls !== undefined;
    const serve = (request: IncomingMessage, response: ServerResponse) =>
      void this.#serve(request, response);
    this.#server = tls ? https.createServer(tls, serve) : http.createServer(serve);
    this.#server.on('connection', (socket: Socket) => {
      this.#accepted += 1;
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => this.#sockets.delete(socket));
    });
    this.#server.on('clientError', (_error, socket) =>
      socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'),
    );
  }

  /** Listens on 127.0.0.1 at a port of its own; ends with the spec, if not before. */
  static async start(options: FaultServerOptions = {}): Promise<FaultServer> {
    const server = new FaultServer(options);
    atTheEnd(() => server.close());
    server.#server.listen(0, options.address ?? '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** `127.0.0.1:port` */
  get host(): string {
    return `${(this.#server.address() as AddressInfo).address}:${this.port}`;
  }

  get url(): URL {
    return new URL(`${this.#secure ? 'https' : 'http'}://${this.host}`);
  }

  /** Connections accepted since the start. */
  get accepted(): number {
    return this.#accepted;
  }

  /** Connections that are open now. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Behaviours for the next requests, one each, before the handler has its turn again. */
  queue(...behaviours: Behaviour[]): void {
    this.#queue.push(...behaviours);
  }

  /** From now on it may be shown these as well. */
  owns(...credentials: Credential[]): void {
    for (const each of credentials) if (typeof each === 'string') keepSecret('credential', each);
    this.#own.add(...credentials);
  }

  /**
   * Every Authorization, Proxy-Authorization and Cookie that was received and is not among these: for tests in which it
   * may be shown less than its own.
   */
  foreignCredentials(allowed: readonly string[] = []): string[] {
    return this.requests.flatMap(({ rawHeaders }) =>
      rawHeaders.filter((value, at) => {
        const name = at % 2 === 1 ? (rawHeaders[at - 1] ?? '') : '';
        return CREDENTIAL.test(name) && !allowed.includes(value);
      }),
    );
  }

  /** Ends all connections and stops listening. */
  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers, rawHeaders, socket } = request;
    const seen: SeenRequest = {
      method,
      url,
      headers,
      rawHeaders,
      port: socket.remotePort ?? 0,
      received: 0,
      chunks: [],
    };
    this.requests.push(seen);
    this.#own.note(rawHeaders);
    request.on('error', () => undefined);
    response.on('error', () => undefined);
    request.on('data', (chunk: Buffer) => {
      if (seen.received < MAX_KEPT) seen.chunks.push(chunk);
      seen.received += chunk.length;
    });
    try {
      await (this.#queue.shift() ?? this.handler)(request, response, seen);
    } catch (error) {
      if (!response.headersSent) response.writeHead(500);
      response.end(String(error));
    }
  }
}

/** An ordinary answer; with `content-length: undefined` it is chunked. */
export function answer(
  status: number,
  body: string | Buffer = '',
  headers: http.OutgoingHttpHeaders = {},
): Behaviour {
  return (_request, response) => {
    const all = Object.entries({ 'content-length': Buffer.byteLength(body), ...headers });
    response.writeHead(status, Object.fromEntries(all.filter(([, value]) => value !== undefined)));
    response.write(body);
    response.end();
  };
}

export function json(document: unknown, headers: http.OutgoingHttpHeaders = {}): Behaviour {
  return answer(200, JSON.stringify(document), { 'content-type': 'application/json', ...headers });
}

/** The connection stands, and nothing is ever said. */
export function stall(): Behaviour {
  return () => undefined;
}

/** The headers and the first bytes, then silence. */
export function stallAfter(body: Buffer, bytes: number): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { 'content-length': body.length }).write(body.subarray(0, bytes));
  };
}

/** The connection is reset before any answer. */
export function reset(): Behaviour {
  return ({ socket }) => {
    socket.resetAndDestroy();
  };
}

/** The headers and the first bytes, then a reset. */
export function resetAfter(body: Buffer, bytes: number): Behaviour {
  return ({ socket }, response) => {
    response.writeHead(200, { 'content-length': body.length });
    response.write(body.subarray(0, bytes), () => socket.resetAndDestroy());
  };
}

/** Announces the whole body, sends its first bytes, and closes in good order. */
export function truncate(body: Buffer, bytes: number): Behaviour {
  return ({ socket }, response) => {
    response.writeHead(200, { 'content-length': body.length });
    response.write(body.subarray(0, bytes), () => socket.end());
  };
}

/** Chunked, without its final chunk. */
export function truncateChunked(body: Buffer, bytes: number): Behaviour {
  return ({ socket }, response) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' });
    response.write(body.subarray(0, bytes), () => socket.end());
  };
}

/** Chunked and ended in good order, only too early. */
export function endEarly(body: Buffer, bytes: number): Behaviour {
  return (_request, response) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(body.subarray(0, bytes));
  };
}

/** The right length, one byte wrong. */
export function corrupt(body: Buffer, at = 0): Behaviour {
  const wrong = Buffer.from(body);
  wrong[at] = (wrong[at] ?? 0) ^ 0xff;
  return answer(200, wrong);
}

/** The answer to the byte, whatever it is, and the end of the connection. */
export function raw(bytes: string | Buffer): Behaviour {
  return ({ socket }) => void socket.end(bytes);
}

/** A Content-Length that is not the body's. */
export function wrongLength(body: Buffer, declared: number): Behaviour {
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${declared}\r\nConnection: close\r\n\r\n`;
  return raw(Buffer.concat([Buffer.from(head), body]));
}

export function tooManyRequests(retryAfter?: string): Behaviour {
  return answer(429, '', retryAfter === undefined ? {} : { 'retry-after': retryAfter });
}

export function redirect(location: string | URL, status = 307): Behaviour {
  keepSecret('signed address', /\?(.*)$/.exec(String(location))?.[1]);
  return answer(status, '', { location: String(location) });
}

/** So many bytes of zeros, as fast as they are taken; chunked unless a length is announced. */
export function huge(bytes: number, headers: http.OutgoingHttpHeaders = {}): Behaviour {
  return async (_request, response) => {
    response.writeHead(200, headers);
    const chunk = Buffer.alloc(64 * 1024);
    for (let sent = 0; sent < bytes && !response.destroyed; sent += chunk.length) {
      if (response.write(chunk.subarray(0, Math.min(chunk.length, bytes - sent)))) continue;
      await new Promise<void>((resolve) => {
        const go = () => {
          response.off('drain', go).off('close', go);
          resolve();
        };
        response.once('drain', go).once('close', go);
      });
    }
    response.end();
  };
}

/** 401 with that challenge. */
export function challenge(wwwAuthenticate: string): Behaviour {
  return answer(401, '{"errors":[{"code":"UNAUTHORIZED"}]}', {
    'www-authenticate': wwwAuthenticate,
  });
}
