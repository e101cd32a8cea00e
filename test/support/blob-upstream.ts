/** A registry of blobs that sends them at the pace that a test sets, and counts who asked for what. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { FaultServer, type SeenRequest } from './fault-server';
import { NOISE, type Patterned } from './patterned';

export class BlobUpstream {
  readonly #contents = new Map<string, Patterned>();
  #limit = Infinity;
  #waiting: (() => void)[] = [];
  #sending = 0;
  /** Bytes of bodies that were written, of all answers together. */
  sent = 0;

  private constructor(readonly server: FaultServer) {}

  static async start(...contents: Patterned[]): Promise<BlobUpstream> {
    const server = await FaultServer.start();
    const upstream = new BlobUpstream(server);
    upstream.add(...contents);
    server.handler = (request, response) => upstream.serve(request, response);
    return upstream;
  }

  /** Settings of a gate before it. */
  get settings(): Record<string, string> {
    return { UPSTREAM_REGISTRY: this.server.url.origin };
  }

  add(...contents: Patterned[]): void {
    for (const content of contents) this.#contents.set(content.digest, content);
  }

  /** Requests for blobs, by method. */
  asked(method: 'GET' | 'HEAD', content?: Patterned): SeenRequest[] {
    const what = `/blobs/${content?.digest ?? ''}`;
    return this.server.requests.filter((each) => each.method === method && each.url.includes(what));
  }

  /**
   * From now on no byte at or behind this position is sent to those who asked for the whole; those who wait for theirs
   * go on. Without it: all.
   */
  sendUpTo(limit = Infinity): void {
    this.#limit = limit;
    for (const wake of this.#waiting.splice(0)) wake();
  }

  /** Answers that are under way. */
  get sending(): number {
    return this.#sending;
  }

  /** What it does with a request, for servers that stand before it. */
  async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const content = this.#contents.get(/sha256:[0-9a-f]{64}/.exec(request.url ?? '')?.[0] ?? '');
    if (!content) {
      response.writeHead(404).end('{"errors":[{"code":"BLOB_UNKNOWN"}]}');
      return;
    }
    const { size, digest } = content;
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const from = Number(range?.[1] ?? 0);
    const to = range?.[2] ? Math.min(size, Number(range[2]) + 1) : size;
    if (from >= to) {
      response.writeHead(416, { 'content-range': `bytes */${size}`, 'content-length': 0 }).end();
      return;
    }
    response.writeHead(range ? 206 : 200, {
      'content-length': to - from,
      'content-type': 'application/octet-stream',
      'docker-content-digest': digest,
      ...(range ? { 'content-range': `bytes ${from}-${to - 1}/${size}` } : {}),
    });
    if (request.method === 'HEAD') response.end();
    else await this.#send(response, content, { from, to, limited: !range });
  }

  async #send(
    response: ServerResponse,
    content: Patterned,
    { from, to, limited }: { from: number; to: number; limited: boolean },
  ): Promise<void> {
    this.#sending += 1;
    // Told at once when the client leaves, also while nothing is written.
    const wake = () => this.#waiting.splice(0).forEach((go) => go());
    response.once('close', wake);
    try {
      response.flushHeaders();
      for (let at = from; at < to && !response.destroyed;) {
        const limit = limited ? this.#limit : to;
        const end = Math.min(to, limit, at - (at % NOISE) + NOISE);
        if (end <= at) {
          await new Promise<void>((resolve) => this.#waiting.push(resolve));
          continue;
        }
        for (const slice of content.slices(at, end)) await this.#write(response, slice);
        this.sent += end - at;
        at = end;
      }
      if (!response.destroyed) response.end();
    } finally {
      this.#sending -= 1;
    }
  }

  async #write(response: ServerResponse, bytes: Buffer): Promise<void> {
    if (response.destroyed || response.write(bytes)) return;
    await new Promise<void>((resolve) => {
      const go = () => {
        response.off('drain', go).off('close', go);
        resolve();
      };
      response.once('drain', go).once('close', go);
    });
  }
}
