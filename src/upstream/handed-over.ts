/** An answer that begins as HTTP does, and goes on in a way that a client for all of HTTP has to read. */
import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { Client, type Dispatcher, errors } from 'undici';
import type { Line } from './arriving-body';
import { headDeadline } from './head-deadline';

const ROOM = 64 * 1024;

/**
 * The connection as another client may have it: the request that was sent is the one which that client writes, and what came
 * since is what it reads. Nobody is asked twice, and no answer is read by two.
 */
export class HandedOver extends Duplex {
  readonly #room = Buffer.allocUnsafeSlow(ROOM);
  /** What came before the client had asked: it would take that for an answer to nothing. */
  readonly #early: Buffer[];
  #asked = false;
  #ended = false;

  constructor(
    first: Buffer,
    private readonly line: Pick<Line, 'resume' | 'destroy'>,
  ) {
    super();
    this.#early = [first];
    // A failure is the client's to tell, which may not be there yet.
    this.on('error', () => undefined);
  }

  /** The client, for one request. It is given up with the request's failure, and with the body. */
  clientFor(origin: URL, headTimeout: number, idleTimeout: number): Dispatcher {
    return new Client(origin.origin, {
      pipelining: 0,
      headersTimeout: headTimeout,
      bodyTimeout: idleTimeout,
      // Later: a client that is given its connection while it asks for one does not notice.
      connect: (_options, callback) =>
        queueMicrotask(() => callback(null, this as unknown as Socket)),
    }).compose(headDeadline(headTimeout));
  }

  /** Where the next bytes are to be put. */
  room(): Buffer {
    return this.#room;
  }

  /** @returns false when no more should come for now. */
  took(bytes: number): boolean {
    const copy = Buffer.from(this.#room.subarray(0, bytes));
    if (this.#asked) return this.push(copy);
    this.#early.push(copy);
    return false;
  }

  /** The upstream's end may be that of the body, too. */
  fail(error: Error): void {
    if (!(error instanceof errors.SocketError)) this.destroy(error);
    else if (this.#asked) this.push(null);
    else this.#ended = true;
  }

  override _read(): void {
    if (this.#asked) this.#giveMore();
  }

  #giveMore(): void {
    const early = Buffer.concat(this.#early.splice(0));
    const more = early.length === 0 || this.push(early);
    if (this.#ended) this.push(null);
    else if (more) this.line.resume();
  }

  override _write(_chunk: unknown, _encoding: BufferEncoding, done: () => void): void {
    done();
    if (this.#asked) return;
    this.#asked = true;
    this.#giveMore();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.line.destroy();
    done(error);
  }
}
