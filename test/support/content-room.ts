/** What specs of content need around it: an upstream that serves it, and clients at every pace. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http, { type ServerResponse } from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { Agent, request } from 'undici';
import type { Body } from '../../src/cdn/body/body';
import { DiskStore } from '../../src/cdn/store/disk-store';
import { Downloads, type From } from '../../src/cdn/fetch/downloads';
import type { DownloadTools } from '../../src/cdn/fetch/keeping';
import { ReadBuffers } from '../../src/cdn/body/read-buffers';
import type { Ask } from '../../src/cdn/fetch/upstream-content';
import { digestOf, type Digest } from '../../src/oci/digest';
import { OciError, type OciErrorCode } from '../../src/oci/oci-error';
import { sourceOf } from '../../src/upstream/body-source';
import { plainHeaders } from '../../src/upstream/upstream-response';
import { FaultServer, type Behaviour } from './fault-server';
import { atTheEnd, freshFolder } from './lifecycle';
import { usedAgain } from './used-again';

/** Random bytes and their digest. */
export function contentOf(size: number): { readonly bytes: Buffer; readonly digest: Digest } {
  const bytes = randomBytes(size);
  return { bytes, digest: digestOf(bytes) };
}

/** Serves the bytes, whole or by Range. */
export function serving(bytes: Buffer): Behaviour {
  return (incoming, response) => {
    const [, from = '0', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(incoming.headers.range ?? '') ?? [];
    if (incoming.headers.range === undefined) {
      response.writeHead(200, { 'content-length': bytes.length }).end(bytes);
      return;
    }
    const start = Number(from);
    const end = to === '' ? bytes.length : Math.min(Number(to) + 1, bytes.length);
    if (start >= end) return void response.writeHead(416).end();
    response.writeHead(206, {
      'content-length': end - start,
      'content-range': `bytes ${start}-${end - 1}/${bytes.length}`,
    });
    response.end(bytes.subarray(start, end));
  };
}

/** Serves the bytes by and by, as the spec lets them go. */
export class Gated {
  readonly #begun = Promise.withResolvers<ServerResponse>();
  #sent = 0;

  /** @param announced whether the length is. */
  constructor(
    private readonly bytes: Buffer,
    private readonly announced = true,
  ) {}

  readonly serve: Behaviour = (_request, response) => {
    response.writeHead(200, this.announced ? { 'content-length': this.bytes.length } : {});
    response.flushHeaders();
    this.#begun.resolve(response);
  };

  /** Sends up to that byte, and ends there where it is the last. */
  async sendTo(end: number): Promise<void> {
    const response = await this.#begun.promise;
    const part = this.bytes.subarray(this.#sent, end);
    this.#sent = end;
    if (part.length > 0) {
      await new Promise<void>((resolve) => {
        response.write(part, () => resolve());
      });
    }
    if (end >= this.bytes.length) response.end();
  }
}

const REFUSALS: Readonly<Record<number, OciErrorCode>> = {
  403: 'DENIED',
  404: 'BLOB_UNKNOWN',
  416: 'RANGE_INVALID',
  429: 'TOOMANYREQUESTS',
};

/** The registry that contents are fetched from, where it does not matter which. */
export const SOMEWHERE: From = { name: 'reg.example', url: new URL('https://reg.example') };

/**
 * Asks the server as the gate does: answers that are no content are refusals.
 * @param idleTimeout longer than any spec waits: else a connection that nobody ended would seem to have been.
 */
export function asking(server: FaultServer, idleTimeout = 60_000): Ask {
  const agent = new Agent({ bodyTimeout: idleTimeout, headersTimeout: 5_000 });
  atTheEnd(() => agent.destroy());
  return async (from, to, signal) => {
    const range = from === 0 && to === undefined ? undefined : `bytes=${from}-${to ? to - 1 : ''}`;
    const { statusCode, headers, body } = await request(`${server.url}blob`, {
      dispatcher: agent,
      headers: range === undefined ? {} : { range },
      signal,
    }).catch((error: unknown) => {
      if (signal.aborted) throw error;
      throw new OciError('UNAVAILABLE', { cause: error });
    });
    if (statusCode !== 200 && statusCode !== 206) {
      sourceOf(body).destroy();
      throw new OciError(REFUSALS[statusCode] ?? 'BAD_UPSTREAM');
    }
    return {
      status: statusCode,
      headers: plainHeaders(headers),
      body: usedAgain(sourceOf(body)),
      host: server.host,
    };
  };
}

export function faultServer(handler: Behaviour): Promise<FaultServer> {
  return FaultServer.start({ handler });
}

/** A sink that takes everything, or holds it back. */
export class Sink extends Writable {
  readonly chunks: Buffer[] = [];
  received = 0;
  #held: (() => void) | undefined;

  constructor(public holding = false) {
    super({ highWaterMark: 1 });
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }

  /** Takes what it held back, and everything from now on. */
  take(): void {
    this.holding = false;
    this.#held?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    const take = () => {
      this.chunks.push(Buffer.from(chunk));
      this.received += chunk.length;
      callback();
    };
    if (this.holding) this.#held = take;
    else take();
  }
}

/** What a client got: all of its bytes, or those before the connection broke. */
export interface Got {
  readonly bytes: Buffer;
  readonly whole: boolean;
}

/** Sends bodies over real connections, as the gate does: broken off where they fail. */
export class Delivery {
  readonly #bodies = new Map<string, Body>();
  /** How the sending of each body ended. */
  readonly outcomes: (Error | undefined)[] = [];
  #count = 0;

  private constructor(private readonly server: http.Server) {}

  static async start(): Promise<Delivery> {
    const server = http.createServer();
    const delivery = new Delivery(server);
    server.on('request', (incoming, response) => void delivery.#send(incoming.url ?? '', response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    atTheEnd(() => {
      server.closeAllConnections();
      server.close();
    });
    return delivery;
  }

  get #port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  async get(body: Body): Promise<Got> {
    const chunks: Buffer[] = [];
    const whole = await new Promise<boolean>((resolve) => {
      const outgoing = http.get(
        { port: this.#port, path: this.#put(body), agent: false },
        (answer) => {
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', () => resolve(false));
          answer.on('end', () => resolve(true));
        },
      );
      outgoing.on('error', () => resolve(false));
    });
    return { bytes: Buffer.concat(chunks), whole };
  }

  /** A client that asks, and reads nothing. */
  stalled(body: Body): Socket {
    const socket = net.connect(this.#port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`GET ${this.#put(body)} HTTP/1.1\r\nHost: here\r\n\r\n`);
    socket.pause();
    atTheEnd(() => socket.destroy());
    return socket;
  }

  #put(body: Body): string {
    this.#count += 1;
    const path = `/${this.#count}`;
    this.#bodies.set(path, body);
    return path;
  }

  async #send(path: string, response: ServerResponse): Promise<void> {
    const body = this.#bodies.get(path);
    if (!body) return void response.writeHead(404).end();
    const length = body.length === undefined ? {} : { 'content-length': body.length };
    response.writeHead(200, length);
    try {
      await body.sendTo(response);
      response.end();
      this.outcomes.push(undefined);
    } catch (error) {
      this.outcomes.push(error as Error);
      response.destroy();
    }
  }
}

/** Downloads into a real store, with all that is around them. */
export async function downloadRoom(over: Partial<DownloadTools> = {}) {
  const folder = freshFolder('downloads');
  const store = await DiskStore.open(folder);
  atTheEnd(() => store.close());
  const logged: string[] = [];
  const buffers = new ReadBuffers();
  const tools: DownloadTools = {
    spools: store,
    store,
    capacity: {
      storing: true,
      makeRoom: () => Promise.resolve(true),
      giveBack: () => undefined,
      noteFull: () => undefined,
    },
    buffers,
    log: pino({ level: 'debug' }, { write: (line: string) => void logged.push(line) }),
    pauses: [5, 10, 15],
    ...over,
  };
  const downloads = new Downloads(tools);
  atTheEnd(() => downloads.close());
  const settled: number[] = [];
  const settle = (size: number) => {
    settled.push(size);
    return Promise.resolve(true);
  };
  /** Bytes that are held under the digest; undefined when it is not held. */
  const heldSize = async (digest: Digest) => {
    const stored = await store.open(digest);
    await stored?.close();
    return stored?.size;
  };
  return { folder, tools, heldSize, downloads, buffers, logged, settled, settle };
}
