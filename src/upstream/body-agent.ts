/** The http.Agent for bodies that are streamed upstream. */
import http from 'node:http';
import type { Duplex } from 'node:stream';
import type { Dialer } from './dialer';
import type { Way } from './way';

/**
 * Gives each request a connection of its own to one origin, opened by the {@link Dialer}. A kept connection may be
 * closed by the upstream just as a body starts, and a body cannot be sent twice.
 */
export class BodyAgent extends http.Agent {
  /** Read by http.request, which refuses an agent for another protocol than its own. */
  readonly protocol: string;
  readonly defaultPort: number;

  constructor(
    private readonly origin: URL,
    private readonly way: Way,
    private readonly dialer: Dialer,
  ) {
    const plain = origin.protocol === 'http:';
    const proxy = plain ? dialer.proxyFor(origin, way) : undefined;
    // For http behind a proxy, Node then writes the request in absolute form and adds the proxy's credentials. Whether
    // there is a proxy has been decided: no exceptions are given.
    super({ keepAlive: false, ...(proxy ? { proxyEnv: { HTTP_PROXY: proxy.href } } : {}) });
    this.protocol = origin.protocol;
    this.defaultPort = plain ? 80 : 443;
  }

  override createConnection(
    _options: http.ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    this.dialer.dial(this.origin, this.way).then(
      (socket) => callback?.(null, socket),
      (error: unknown) => callback?.(error as Error, undefined as unknown as Duplex),
    );
    return undefined;
  }
}
