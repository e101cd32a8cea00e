/**
 * Opens connections to upstreams: the one place where the gate connects outwards, so that the outgoing proxy, the check
 * of addresses and the time limit hold for every request, whichever HTTP client makes it.
 */
import { Inject, Injectable } from '@nestjs/common';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import tls from 'node:tls';
import { Settings } from '../config/settings';
import { bareHost } from './address-reach';
import { EgressPolicy, ForbiddenAddressError, type Trust } from './egress-policy';
import { proxyAuthorization, proxyFor } from './outgoing-proxy';
import { tlsFailure } from './tls-failure';
import { secureContextFor, type Way } from './way';

/** Why a connection could not be opened. */
type DialFault = 'unreachable' | 'timeout' | 'tls' | 'proxy' | 'forbidden';

/** The message completes a sentence that begins with the host: `reg.example cannot be reached`. It names no address. */
export class DialError extends Error {
  constructor(
    readonly fault: DialFault,
    message: string,
    cause?: unknown,
  ) {
    super(message, { cause });
    this.name = 'DialError';
  }
}

/** One connection being opened: its limit in time, and the socket to drop when it fails. */
interface Attempt {
  readonly signal: AbortSignal;
  readonly onread: net.OnReadOpts | undefined;
  socket?: net.Socket;
}

const TCP_KEEP_ALIVE = 60_000;

@Injectable()
export class Dialer {
  constructor(
    @Inject(Settings) private readonly settings: Settings,
    private readonly policy: EgressPolicy,
  ) {}

  /** The outgoing proxy for requests to that origin: the way's own, which knows no exceptions, or that of the settings. */
  proxyFor(origin: URL, { proxy }: Pick<Way, 'proxy'>): URL | undefined {
    return proxy ?? proxyFor(origin, this.settings.outgoingProxy);
  }

  /**
   * Whether a connection to the origin can be opened with `onread`: not where one protocol lies upon another, which is read by
   * whoever opens it.
   */
  takesOnread(origin: URL, way: Way): boolean {
    const proxy = this.proxyFor(origin, way);
    return !proxy || (proxy.protocol === 'http:' && origin.protocol === 'http:');
  }

  /**
   * A connection on which requests to the origin can be sent: TCP, through the proxy's tunnel where one is set, and TLS
   * for https. For http behind a proxy it is a connection to the proxy, which takes requests in absolute form.
   * All of it within the connect timeout.
   * @param onread where the socket puts what it reads, instead of being a stream: see {@link takesOnread}.
   * @throws DialError
   */
  async dial(origin: URL, way: Way, onread?: net.OnReadOpts): Promise<net.Socket> {
    if (onread && !this.takesOnread(origin, way))
      throw new Error('nothing would read this connection');
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), this.settings.upstream.connectTimeout);
    const attempt: Attempt = { signal: limit.signal, onread };
    try {
      return await this.#open(origin, way, attempt);
    } catch (error) {
      attempt.socket?.destroy();
      if (limit.signal.aborted)
        throw new DialError('timeout', 'did not take the connection in time', error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #open(origin: URL, way: Way, attempt: Attempt): Promise<net.Socket> {
    const proxy = this.proxyFor(origin, way);
    if (!proxy) return this.#direct(origin, way, attempt);
    // Only the literal address can be checked here: names are looked up by the proxy, never by the gate.
    this.#checkLiteral(origin, way.trust);
    await this.#reachProxy(proxy, attempt);
    if (origin.protocol === 'http:') return socketOf(attempt);
    await tunnel(origin, proxy, attempt);
    return secureOrigin(origin, way, attempt);
  }

  async #direct(origin: URL, way: Way, attempt: Attempt): Promise<net.Socket> {
    const { trust } = way;
    this.#checkLiteral(origin, trust);
    const overTls = origin.protocol === 'https:';
    const lookup = this.policy.lookup(trust);
    const open =
      overTls && attempt.onread
        ? connectForTls(origin, way, attempt, lookup)
        : connect(origin, attempt, lookup);
    const tcp = await open.catch((error: unknown) => {
      throw error instanceof ForbiddenAddressError
        ? forbidden(error)
        : new DialError('unreachable', 'cannot be reached', error);
    });
    const address = tcp.remoteAddress;
    const socket = overTls ? await secureOrigin(origin, way, attempt) : tcp;
    if (trust === 'own' && address !== undefined) this.policy.observe(origin.hostname, address);
    return socket;
  }

  /** net.connect looks no literal address up, so the look-up's check would miss it. */
  #checkLiteral(origin: URL, trust: Trust): void {
    const host = bareHost(origin.hostname);
    if (net.isIP(host) !== 0 && !this.policy.admits(trust, host))
      throw forbidden(new ForbiddenAddressError(host));
  }

  async #reachProxy(proxy: URL, attempt: Attempt): Promise<void> {
    await connect(proxy, attempt).catch((error: unknown) => {
      throw behindProxy('cannot be reached', error);
    });
    if (proxy.protocol !== 'https:') return;
    await secure(proxy, attempt).catch((error: unknown) => {
      throw behindProxy(tlsFailure(error).message, error);
    });
  }
}

async function connect(
  to: URL,
  attempt: Attempt,
  lookup?: net.LookupFunction,
): Promise<net.Socket> {
  return connected(attempt, net.connect({ ...addressOf(to, lookup), onread: attempt.onread }));
}

/** TCP on which TLS goes on by itself: laid upon a socket that is connected already, it would not put anything anywhere. */
async function connectForTls(
  to: URL,
  { ca }: Way,
  attempt: Attempt,
  lookup: net.LookupFunction,
): Promise<net.Socket> {
  const { onread } = attempt;
  const options = { ...addressOf(to, lookup), ...identity(to, ca), onread };
  return connected(attempt, tls.connect(options as tls.ConnectionOptions));
}

function addressOf(to: URL, lookup: net.LookupFunction | undefined): net.TcpNetConnectOpts {
  return { host: bareHost(to.hostname), port: portOf(to), lookup, autoSelectFamily: true };
}

async function connected(attempt: Attempt, socket: net.Socket): Promise<net.Socket> {
  hold(attempt, socket);
  await once(socket, 'connect', { signal: attempt.signal });
  return socket.setNoDelay(true).setKeepAlive(true, TCP_KEEP_ALIVE);
}

/** Asks the proxy for a tunnel to the origin. RFC 9110 § 9.3.6. */
async function tunnel(origin: URL, proxy: URL, attempt: Attempt): Promise<void> {
  const authority = `${origin.hostname}:${portOf(origin)}`;
  const authorization = proxyAuthorization(proxy);
  const request = http.request({
    method: 'CONNECT',
    path: authority,
    headers: {
      host: authority,
      connection: 'keep-alive',
      ...(authorization === undefined ? {} : { 'proxy-authorization': authorization }),
    },
    createConnection: () => socketOf(attempt),
  });
  request.on('error', () => undefined);
  request.end();
  const answered = once(request, 'connect', { signal: attempt.signal }) as Promise<
    [http.IncomingMessage, net.Socket, Buffer]
  >;
  const [{ statusCode = 0 }, socket, head] = await answered.catch((error: unknown) => {
    throw behindProxy('ended the connection', error);
  });
  if (statusCode === 407) throw behindProxy('does not accept the credentials in its URL (407)');
  if (statusCode < 200 || statusCode > 299) throw behindProxy(`refused a tunnel (${statusCode})`);
  if (head.length > 0) socket.unshift(head);
}

/**
 * TLS over the attempt's socket, the certificate verified against the host's name.
 * @param ca what is trusted beside the usual.
 */
async function secure(to: URL, attempt: Attempt, ca?: string): Promise<net.Socket> {
  hold(attempt, tls.connect({ socket: socketOf(attempt), ...identity(to, ca) }));
  return secured(attempt);
}

async function secured(attempt: Attempt): Promise<net.Socket> {
  const socket = socketOf(attempt);
  await once(socket, 'secureConnect', { signal: attempt.signal });
  return socket;
}

function identity(to: URL, ca: string | undefined): tls.ConnectionOptions {
  const host = bareHost(to.hostname);
  return {
    host,
    // Server names are names: RFC 6066 § 3 has none for addresses.
    servername: net.isIP(host) === 0 ? host : '',
    ALPNProtocols: ['http/1.1'],
    secureContext: secureContextFor(ca),
  };
}

async function secureOrigin(origin: URL, { ca }: Way, attempt: Attempt): Promise<net.Socket> {
  const open = attempt.onread ? secured(attempt) : secure(origin, attempt, ca);
  return open.catch((error: unknown) => {
    const { kind, message } = tlsFailure(error);
    throw new DialError(kind === 'gone' ? 'unreachable' : 'tls', message, error);
  });
}

/** Errors after the failure has been told have nobody left to tell. */
function hold(attempt: Attempt, socket: net.Socket): void {
  socket.on('error', () => undefined);
  attempt.socket = socket;
}

function socketOf({ socket }: Attempt): net.Socket {
  if (!socket) throw new Error('nothing has been connected yet');
  return socket;
}

function forbidden(error: ForbiddenAddressError): DialError {
  return new DialError('forbidden', 'named an address that it may not send the gate to', error);
}

function behindProxy(what: string, cause?: unknown): DialError {
  return new DialError('proxy', `cannot be reached: the outgoing proxy ${what}`, cause);
}

function portOf(url: URL): number {
  return Number(url.port || (url.protocol === 'https:' ? 443 : 80));
}
