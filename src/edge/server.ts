/** The HTTP or HTTPS server itself: its limits, its idle rule, its certificate. */
import { createHash } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import {
  createServer as createHttp,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
} from 'node:http';
import { createServer as createHttps, type Server as TlsServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Settings } from '../config/settings';
import type { Log } from '../journal/log';
import { ConnectionLimit, mostConnections } from './connection-limit';

const IDLE = 60_000;
/** A client may stop reading for longer than it may stop sending: engines unpack while they download. */
const READ_IDLES = 5;
const OPTIONS = {
  // A push may take hours: an idle rule stands in place of a limit on the whole.
  requestTimeout: 0,
  headersTimeout: IDLE,
  // Longer than the load balancers' own, so that they do not reuse a connection that is just being closed.
  keepAliveTimeout: 65_000,
  connectionsCheckingInterval: 10_000,
  noDelay: true,
};

/**
 * A server that is not listening yet. Requests that expect `100 Continue` come to the listener like all others. Several
 * at once on one connection end it: no registry client pipelines, and answers that wait for others would hide from the
 * idle rule, and from whatever is counted when an answer ends.
 * @param idle milliseconds without a byte after which it is asked whom that is to be laid to.
 * @param most how many connections may be open at once.
 */
export function createServer(
  { tls }: Pick<Settings, 'tls'>,
  log: Log,
  listener: RequestListener,
  { idle = IDLE, most = mostConnections() } = {},
): Server {
  const server = tls
    ? createHttps({ ...OPTIONS, handshakeTimeout: IDLE, ...readTls(tls) })
    : createHttp(OPTIONS);
  const limit = new ConnectionLimit(most, log);
  limit.watch(server);
  // Their size is bound. A bound of their number let the last ones go unseen in some versions of Node: what a proxy writes behind
  // a client's own, to say for whom it asks.
  server.maxHeadersCount = 0;
  const begin: RequestListener = (request, response) => {
    // While the gate drains, a connection ends with the answer that is under way.
    if (!server.listening) response.shouldKeepAlive = false;
    const socket: Line = request.socket;
    const before = socket.bytesWritten;
    const exchange = { request, response, before, idles: 0, sent: 0, followed: false };
    const idle = limit.busy(socket);
    socket[EXCHANGE] = exchange;
    response.once('close', () => {
      idle();
      // What is over is held by nothing: else every look for young objects that are still in use would find it.
      if (socket[EXCHANGE] === exchange) socket[EXCHANGE] = undefined;
    });
    listener(request, response);
  };
  const serve: RequestListener = (request, response) => {
    const earlier = (request.socket as Line)[EXCHANGE];
    if (!earlier || earlier.response.writableFinished) begin(request, response);
    else if (isAllWritten(earlier) && !earlier.followed) {
      // The client may have all of it before the gate is told so, over TLS above all, and even before it has said that
      // nothing more comes.
      earlier.followed = true;
      earlier.response.once('finish', () => {
        // One that ended its connection leaves none on which another answer could begin, and none could ever end.
        if (request.socket.writable) begin(request, response);
        else request.socket.destroy();
      });
    } else request.socket.destroy();
  };
  server.on('request', serve).on('checkContinue', serve).on('checkExpectation', serve);
  server.setTimeout(idle, (socket: Line) => {
    const exchange = socket[EXCHANGE];
    if (!exchange || isStuck(exchange)) socket.destroy();
    else socket.setTimeout(idle);
  });
  if (tls) reloadTls(server as TlsServer, tls, log);
  return server;
}

const EXCHANGE = Symbol('exchange');

/** A connection, and the last that was begun on it, until that is over. */
type Line = Socket & { [EXCHANGE]?: Exchange | undefined };

interface Exchange {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Bytes that had been written to its connection when it began. */
  readonly before: number;
  /** Minutes without a byte, one after the other, and how much had been sent by then. */
  idles: number;
  sent: number;
  /** A next request waits until this one's answer is known to be sent. */
  followed: boolean;
}

/** Whether the client can know that the answer is over: it has been ended, or all that it announced has been written. */
function isAllWritten({ response, before }: Exchange): boolean {
  if (response.writableEnded) return true;
  // Unknown where no header was set before writeHead: then only the end counts.
  const announced = Number(response.getHeader('content-length') ?? Infinity);
  return response.headersSent && (response.socket?.bytesWritten ?? 0) - before >= announced;
}

/**
 * After a minute without a byte either way: is it the client that keeps the gate waiting? While the upstream thinks, or
 * takes no more of a push, it is not.
 */
function isStuck(exchange: Exchange): boolean {
  const { request, response } = exchange;
  if (response.writableFinished || response.destroyed) return true;
  // Whoever keeps a part of the request back is no less bound to take the answer.
  if (!response.writableNeedDrain && !response.writableEnded)
    return !request.complete && request.readableFlowing === true;
  const sent = response.socket?.bytesWritten ?? 0;
  exchange.idles = sent === exchange.sent ? exchange.idles + 1 : 1;
  exchange.sent = sent;
  return exchange.idles >= READ_IDLES;
}

type TlsFiles = NonNullable<Settings['tls']>;

function readTls({ certFile, keyFile }: TlsFiles) {
  return { cert: readFileSync(certFile), key: readFileSync(keyFile) };
}

/** What both files hold, as a hash; or why they cannot be read. */
function contentOf(tls: TlsFiles): string {
  try {
    const { cert, key } = readTls(tls);
    return createHash('sha256').update(cert).update('\0').update(key).digest('hex');
  } catch (error) {
    return String(error);
  }
}

/** Certificates are renewed while the gate runs; one that does not parse leaves the last good one in force. */
function reloadTls(server: TlsServer, tls: TlsFiles, log: Log): void {
  // Both files change when a certificate is renewed: what was judged already is not told twice.
  let judged = contentOf(tls);
  const reload = () => {
    const content = contentOf(tls);
    if (content === judged) return;
    judged = content;
    try {
      server.setSecureContext(readTls(tls));
      log.info('the TLS certificate was read anew');
    } catch (error) {
      log.error(
        { err: error },
        'the TLS certificate or key cannot be used; the last good one stays in force',
      );
    }
  };
  const files = [tls.certFile, tls.keyFile];
  for (const file of files) watchFile(file, { interval: 1_000 }, reload);
  server.on('close', () => files.forEach((file) => unwatchFile(file, reload)));
}
