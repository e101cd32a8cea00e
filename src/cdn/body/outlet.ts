import type { Writable } from 'node:stream';
import type { ReadBuffer } from './read-buffers';

/** The client left, or the body was given up, before all of it was sent. Nobody is at fault, and nobody is there to be told. */
export class ClientGone extends Error {
  constructor() {
    super('the client left before all was sent');
    this.name = 'ClientGone';
  }
}

/**
 * The way to one client: one write at a time, each awaited, and whatever is waited for ends at once when the client
 * leaves. Streams' own pipelines cost more and cannot be told to wait for a digest.
 */
export class Outlet {
  readonly #closing = new AbortController();
  #failure: Error | undefined;
  #interrupt: ((error: Error) => void) | undefined;

  constructor(private readonly sink: Writable) {
    sink.on('close', this.#onClose);
    sink.on('error', this.#onClose);
    if (sink.destroyed || sink.writableEnded) this.#onClose();
  }

  /** Why nothing can be sent any more. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Aborted when nothing can be sent any more. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /** Ends what is waited for now, and whatever would be later, with this error. The sink is left to its owner. */
  readonly break = (error: Error): void => {
    if (this.#failure) return;
    this.#failure = error;
    this.#interrupt?.(error);
    this.#closing.abort(error);
  };

  /**
   * Resolves when the sink has taken the bytes.
   * @param lent what the bytes lie in: it goes back as soon as they are taken, and is dropped where that is never said.
   */
  write(bytes: Uint8Array, lent?: ReadBuffer): Promise<void> {
    if (this.#failure) {
      lent?.give();
      return Promise.reject(this.#failure);
    }
    return new Promise<void>((resolve, reject) => {
      this.#interrupt = (error) => {
        lent?.drop();
        reject(error);
      };
      try {
        this.sink.write(bytes, (error) => {
          lent?.give();
          if (error) return this.break(new ClientGone());
          this.#interrupt = undefined;
          resolve();
        });
      } catch (error) {
        // More than its header announced, say: the sink refuses that by throwing.
        this.break(error as Error);
      }
    });
  }

  /** Waits until `done` is called. */
  wait(start: (done: () => void) => void): Promise<void> {
    if (this.#failure) return Promise.reject(this.#failure);
    return new Promise<void>((resolve, reject) => {
      this.#interrupt = reject;
      start(() => {
        this.#interrupt = undefined;
        resolve();
      });
    });
  }

  /** To be called when all was said. */
  release(): void {
    this.sink.off('close', this.#onClose);
    // A sink tells its last writer of an error before it tells everybody else; with nobody to hear it, the process ends.
    if (!this.#failure) this.sink.off('error', this.#onClose);
  }

  readonly #onClose = (): void => this.break(new ClientGone());
}
