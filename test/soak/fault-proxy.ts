/** Between the gate and its registry: passes everything on, or does to it what networks and registries do at times. */
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Transform } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { atTheEnd } from '../support/lifecycle';

export const FAULTS = ['cut', 'corrupt', '500', 'stall', 'short', '429', 'slow', '503'] as const;
export type Fault = (typeof FAULTS)[number];

/** What each fault is, in words. */
export const MEANING: Readonly<Record<Fault, string>> = {
  cut: 'connections are cut, and new ones too',
  stall: 'nothing moves, neither answers nor what is under way',
  slow: 'each piece of an answer comes 100 ms late',
  corrupt: 'one byte of each blob is another one',
  short: 'blobs end in the middle',
  '500': 'everything is answered with 500',
  '503': 'everything is answered with 503',
  '429': 'everything is answered with 429 and Retry-After: 1',
};

export class FaultProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #agent = new http.Agent({ keepAlive: true });
  #fault: { readonly kind: Fault; readonly over: PromiseWithResolvers<void> } | undefined;
  /** Requests that came, with a fault or without. */
  requests = 0;
  /** What was done to requests, by fault. */
  readonly hurt = new Map<Fault, number>();
  /** Requests that showed something which is not the gate's own. */
  readonly foreign: string[] = [];

  private constructor(
    private readonly upstream: number,
    private readonly own: string,
  ) {
    this.#server = http.createServer((incoming, outgoing) => void this.#serve(incoming, outgoing));
    this.#server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined);
      if (this.#fault?.kind === 'cut') socket.destroy();
    });
  }

  /** @param own the only Authorization that may be seen. */
  static async start(upstream: number, own: string): Promise<FaultProxy> {
    const proxy = new FaultProxy(upstream, own);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    atTheEnd(() => proxy.#close());
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  begin(kind: Fault): void {
    this.end();
    this.#fault = { kind, over: Promise.withResolvers() };
    if (kind === 'cut') for (const socket of this.#sockets) socket.destroy();
  }

  end(): void {
    this.#fault?.over.resolve();
    this.#fault = undefined;
  }

  async #serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    this.requests += 1;
    this.#inspect(incoming);
    outgoing.on('error', () => undefined);
    incoming.on('error', () => undefined);
    const fault = this.#fault;
    if (fault) this.hurt.set(fault.kind, (this.hurt.get(fault.kind) ?? 0) + 1);
    if (fault?.kind === 'stall') await fault.over.promise;
    if (fault?.kind === 'cut') return void incoming.socket.destroy();
    if (fault && /^\d+$/.test(fault.kind)) {
      incoming.resume();
      const retry = fault.kind === '429' ? { 'retry-after': '1' } : {};
      const headers = { 'content-type': 'application/json', ...retry };
      return void outgoing.writeHead(Number(fault.kind), headers).end('{"errors":[]}');
    }
    this.#forward(incoming, outgoing);
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method, url: path, headers } = incoming;
    const forwarded = http.request(
      { host: '127.0.0.1', port: this.upstream, method, path, headers, agent: this.#agent },
      (answer) => {
        const { statusCode = 502, rawHeaders } = answer;
        const isBlob = method === 'GET' && statusCode < 300 && path?.includes('/blobs/sha256:');
        outgoing.writeHead(statusCode, rawHeaders);
        answer.on('error', () => outgoing.destroy());
        answer.pipe(this.#hurting(outgoing, isBlob === true)).pipe(outgoing);
      },
    );
    forwarded.on('error', () => outgoing.destroy());
    outgoing.on('close', () => forwarded.destroy());
    incoming.pipe(forwarded);
  }

  /** Looks anew at each piece: a fault also comes over what is under way. */
  #hurting(outgoing: ServerResponse, isBlob: boolean): Transform {
    const piece = async (chunk: Buffer): Promise<Buffer> => {
      const fault = this.#fault;
      if (fault?.kind === 'stall') await fault.over.promise;
      if (fault?.kind === 'slow') await pause(100);
      if (fault?.kind === 'short' && isBlob) outgoing.destroy();
      if (fault?.kind !== 'corrupt' || !isBlob) return chunk;
      const other = Buffer.from(chunk);
      other[0] = (other[0] ?? 0) ^ 1;
      return other;
    };
    return new Transform({
      transform(chunk: Buffer, _encoding, callback) {
        piece(chunk).then(
          (bytes) => callback(null, bytes),
          (error: Error) => callback(error),
        );
      },
    }).on('error', () => outgoing.destroy());
  }

  #inspect({ headers, method = '', url = '' }: IncomingMessage): void {
    const { authorization, cookie } = headers;
    const foreign = authorization !== undefined && authorization !== this.own;
    if (foreign || cookie !== undefined) this.foreign.push(`${method} ${url}`);
  }

  #close(): void {
    this.end();
    this.#agent.destroy();
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}
