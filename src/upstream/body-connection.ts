import type { OnReadOpts, Socket } from 'node:net';
import { errors } from 'undici';
import type { BodyBlocks } from './body-blocks';
import { HeadReader, MalformedAnswer, type AnswerHead } from './answer-head';
import { ArrivingBody, type Line } from './arriving-body';
import { HandedOver } from './handed-over';

/** An answer whose body can be read from its connection. */
export interface Arriving {
  readonly head: AnswerHead;
  readonly body: ArrivingBody;
}

export interface Question {
  /** The request, as it is sent. */
  readonly text: string;
  /** Milliseconds from here to the end of the answer's head. */
  readonly headTimeout: number;
  /** Milliseconds of silence within the body. */
  readonly idleTimeout: number;
  readonly signal?: AbortSignal;
}

/** Of an answer with all that comes before it; undici's bound. */
const LONGEST_HEAD = 16 * 1024;
/** What a registry has to say before it answers, if anything, is said in fewer. */
const MOST_INTERIM = 100;

/** The answer that is waited for. */
interface Awaited {
  readonly question: Question;
  readonly resolve: (answer: Arriving | HandedOver) => void;
  readonly reject: (error: Error) => void;
  /** Lets go of clock and signal. */
  readonly settle: () => void;
}

/** One connection for GETs, one after the other, whose socket puts what it reads where it belongs. */
export class BodyConnection {
  /** What the socket is to be opened with. */
  readonly onread: OnReadOpts = {
    buffer: () => this.#room(),
    callback: (bytes) => this.#took(bytes),
  };
  #socket: Socket | undefined;
  #head: Buffer | undefined;
  #filled = 0;
  #reader = new HeadReader();
  #interim = 0;
  #awaited: Awaited | undefined;
  /** Who gets what comes behind the head. */
  #body: ArrivingBody | HandedOver | undefined;
  #failure: Error | undefined;
  #heard = false;

  /**
   * @param onFree the last answer is whole, and another question may be asked. Milliseconds for which the upstream says that it
   *   will wait for it; undefined where it does not.
   * @param onOver it has ended, or was ended, and will not be used again.
   */
  constructor(
    private readonly blocks: BodyBlocks,
    private readonly onFree: (connection: BodyConnection, wait: number | undefined) => void,
    private readonly onOver: (connection: BodyConnection) => void,
  ) {}

  /** @param socket opened with {@link onread}. */
  attach(socket: Socket): this {
    this.#socket = socket;
    const ended = () => this.destroy(new errors.SocketError('other side closed'));
    socket.on('error', (error) => this.destroy(error));
    socket.on('end', ended);
    socket.on('close', ended);
    if (this.#failure) socket.destroy();
    else if (socket.destroyed || socket.readableEnded) ended();
    return this;
  }

  /** Whether anything came since the last question. */
  get heard(): boolean {
    return this.#heard;
  }

  /**
   * Sends the request. One at a time, and only while the connection is free.
   * @returns the connection itself, and what came, for an answer that cannot be read here. It is used for nothing else then.
   * @throws HeadersTimeoutError, MalformedAnswer, an error of the socket's, the signal's reason.
   */
  ask(question: Question): Promise<Arriving | HandedOver> {
    const { text, headTimeout, signal } = question;
    return new Promise((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      const abort = () => this.destroy(signal?.reason as Error);
      const timer = setTimeout(() => this.destroy(new errors.HeadersTimeoutError()), headTimeout);
      const settle = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abort);
        this.#awaited = undefined;
      };
      this.#awaited = { question, resolve, reject, settle };
      this.#reader = new HeadReader();
      this.#interim = 0;
      this.#heard = false;
      signal?.addEventListener('abort', abort, { once: true });
      if (signal?.aborted) abort();
      else this.#socket?.write(text, 'latin1');
    });
  }

  /** Ends it at once, and with that error what is under way. */
  destroy(error: Error): void {
    if (this.#failure) return;
    this.#failure = error;
    this.#socket?.destroy();
    const { reject, settle } = this.#awaited ?? {};
    settle?.();
    reject?.(error);
    this.#body?.fail(error);
    this.onOver(this);
  }

  /** Where the socket is to put what comes next: never where something was put before. */
  #room(): Uint8Array {
    const room = this.#body?.room();
    if (room) return room;
    this.#head ??= Buffer.allocUnsafeSlow(LONGEST_HEAD);
    return this.#filled < LONGEST_HEAD ? this.#head.subarray(this.#filled) : NOWHERE;
  }

  #took(bytes: number): boolean {
    if (this.#body) return this.#body.took(bytes);
    this.#heard = true;
    this.#filled += bytes;
    try {
      this.#readHead();
    } catch (error) {
      this.destroy(error as Error);
    }
    return true;
  }

  #readHead(): void {
    const { resolve, settle, question } = this.#awaited ?? {};
    if (!resolve || !settle || !question || !this.#head)
      throw new MalformedAnswer('comes unasked for');
    for (;;) {
      const read = this.#reader.read(this.#head.subarray(0, this.#filled));
      if (!read) break;
      const { head, end } = read;
      if (!isInterim(head)) {
        settle();
        const { length } = head;
        if (length === undefined || !fits(head)) return resolve(this.#handOver());
        return resolve(this.#begin(head, length, this.#takeFrom(end), question));
      }
      this.#interim += 1;
      if (this.#interim > MOST_INTERIM) throw new MalformedAnswer('never comes to its end');
      this.#head.copyWithin(0, end, this.#filled);
      this.#filled -= end;
      this.#reader = new HeadReader();
    }
    if (this.#filled === LONGEST_HEAD) throw new errors.HeadersOverflowError();
  }

  /** What lies there from that byte on. It is handed out, and not written to any more. */
  #takeFrom(start: number): Buffer {
    const bytes = this.#head?.subarray(start, this.#filled) ?? NOWHERE;
    this.#head = undefined;
    this.#filled = 0;
    return bytes;
  }

  #begin(
    head: AnswerHead,
    length: number,
    rest: Buffer,
    { idleTimeout, signal }: Question,
  ): Arriving {
    // What comes behind the body was never asked for.
    const reusable = isKept(head) && rest.length <= length;
    const first = rest.subarray(0, length);
    const line = this.#line(reusable ? keepAliveOf(head) : 0);
    const body = new ArrivingBody(line, this.blocks, length, first, idleTimeout, signal);
    if (first.length < length) this.#body = body;
    return { head, body };
  }

  #handOver(): HandedOver {
    const handed = new HandedOver(this.#takeFrom(0), this.#line(0));
    this.#body = handed;
    return handed;
  }

  /** @param wait milliseconds for which the upstream keeps it; 0: it does not. */
  #line(wait: number | undefined): Line {
    return {
      resume: () => this.#socket?.resume(),
      release: () => {
        this.#body = undefined;
        if (wait === 0) this.destroy(new errors.InformationalError('used once'));
        else if (!this.#failure) this.onFree(this, wait);
      },
      destroy: () => this.destroy(new errors.InformationalError('given up')),
    };
  }
}

/** For a socket that has been destroyed, and reads no more. */
const NOWHERE = Buffer.alloc(1);

/** What may come before an answer. Nobody asked for 100, nor for another protocol. */
function isInterim({ status }: AnswerHead): boolean {
  return status > 101 && status < 200;
}

/** One that has a body of the length it announces, whatever its status makes of it. */
function fits({ version, status }: AnswerHead): boolean {
  return version === '1.1' && status >= 200 && status < 600 && ![204, 205, 304].includes(status);
}

function isKept({ headers }: AnswerHead): boolean {
  const options = (headers['connection'] ?? '').toLowerCase().split(',');
  return !options.some((option) => option.trim() === 'close');
}

/** Milliseconds of `Keep-Alive: timeout=`, less one second for what is on its way; undefined where none is said. */
function keepAliveOf({ headers }: AnswerHead): number | undefined {
  const [, seconds] =
    /(?:^|[,;\s])timeout=(\d{1,6})(?!\d)/i.exec(headers['keep-alive'] ?? '') ?? [];
  return seconds === undefined ? undefined : Math.max(0, (Number(seconds) - 1) * 1_000);
}
