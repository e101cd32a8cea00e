/** An outgoing proxy: tunnels by CONNECT, and requests in absolute form, for those who log in. */
import { once } from 'node:events';
import http, { type IncomingMessage, type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface ConnectProxyOptions {
  /** Basic credentials; without them everybody may pass. */
  readonly username?: string;
  readonly password?: string;
  /**
   * Names that only the proxy knows: `registry.invalid:443` → `127.0.0.1:40123`. What is not listed is connected to as
   * it is when it is an address, and answered with 502 otherwise.
   */
  readonly hosts?: Readonly<Record<string, string>>;
}

/** What somebody asked the proxy for. */
export interface ProxiedRequest {
  readonly method: string;
  /** `host:port` */
  readonly target: string;
  readonly authorized: boolean;
}

export class ConnectProxy {
  /** In the order of arrival, refused ones among them. */
  readonly requests: ProxiedRequest[] = [];
  /** Ports of the proxy's own connections to upstreams: a connection from another port did not come through it. */
  readonly ports = new Set<number>();
  /** When set, requests wait for ever. */
  stalled = false;
  readonly #options: ConnectProxyOptions;
  readonly #server: http.Server;
  readonly #sockets = new Set<Duplex>();

  private constructor(options: ConnectProxyOptions) {
    this.#options = options;
    this.#server = http.createServer((request, response) => this.#forward(request, response));
    this.#server.on('connect', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#tunnel(request, socket, head),
    );
    this.#server.on('connection', (socket: Socket) => this.#keep(socket));
  }

  /** Listens on 127.0.0.1 at a port of its own. */
  static async start(options: ConnectProxyOptions = {}): Promise<ConnectProxy> {
    const proxy = new ConnectProxy(options);
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** The proxy's URL with its credentials, percent-encoded, as an operator would set it. */
  get url(): URL {
    const url = new URL(`http://127.0.0.1:${this.port}`);
    url.username = encodeURIComponent(this.#options.username ?? '');
    url.password = encodeURIComponent(this.#options.password ?? '');
    return url;
  }

  /** `host:port` of everything that was let through. */
  get targets(): string[] {
    return this.requests.filter(({ authorized }) => authorized).map(({ target }) => target);
  }

  async close(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await once(this.#server, 'close');
  }

  #tunnel(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const admitted = this.#admit(request, request.url ?? '');
    if (this.stalled) return;
    if (admitted !== 200) {
      socket.end(
        `HTTP/1.1 ${admitted} Refused\r\nProxy-Authenticate: Basic realm="proxy"\r\nContent-Length: 0\r\n\r\n`,
      );
      return;
    }
    const upstream = this.#connect(request.url ?? '', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      upstream.write(head);
      upstream.pipe(socket).pipe(upstream);
    });
    upstream.once('error', () =>
      socket.end('HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n'),
    );
    socket.once('close', () => upstream.destroy());
    upstream.once('close', () => socket.destroy());
  }

  #forward(request: IncomingMessage, response: ServerResponse): void {
    const url = URL.canParse(request.url ?? '') ? new URL(request.url ?? '') : undefined;
    if (!url) {
      response.writeHead(400).end('absolute form is asked for');
      return;
    }
    const target = `${url.hostname}:${url.port || 80}`;
    const admitted = this.#admit(request, target);
    if (this.stalled) return;
    if (admitted !== 200) {
      response.writeHead(admitted, { 'proxy-authenticate': 'Basic realm="proxy"' }).end();
      return;
    }
    const headers = { ...request.headers };
    delete headers['proxy-authorization'];
    delete headers['proxy-connection'];
    const upstream = http.request(
      {
        method: request.method,
        path: `${url.pathname}${url.search}`,
        headers,
        createConnection: () => this.#connect(target),
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
        answer.once('error', () => response.destroy());
      },
    );
    upstream.once('error', () =>
      response.headersSent ? response.destroy() : response.writeHead(502).end(),
    );
    request.pipe(upstream);
  }

  #admit(request: IncomingMessage, target: string): 200 | 407 | 502 {
    const { username, password, hosts = {} } = this.#options;
    const expected = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    const authorized =
      username === undefined || request.headers['proxy-authorization'] === expected;
    this.requests.push({ method: request.method ?? '', target, authorized });
    if (!authorized) return 407;
    return hosts[target] !== undefined || net.isIP(target.slice(0, target.lastIndexOf(':'))) !== 0
      ? 200
      : 502;
  }

  #connect(target: string, connected?: () => void): Socket {
    const to = this.#options.hosts?.[target] ?? target;
    const colon = to.lastIndexOf(':');
    const socket = net.connect({ host: to.slice(0, colon), port: Number(to.slice(colon + 1)) });
    socket.once('connect', () => {
      this.ports.add(socket.localPort ?? 0);
      connected?.();
    });
    this.#keep(socket);
    return socket;
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
  }
}
