/** One request upstream for many who ask the same at the same time. */

interface Flight<T> {
  readonly value: Promise<T>;
  readonly controller: AbortController;
  waiting: number;
  landed: boolean;
}

/** What several may wait for together; it is given up only when nobody waits any more. */
export class Flights<T> {
  readonly #under = new Map<string, Flight<T>>();

  /**
   * Joins what is under way for that key, or starts it.
   * @param signal of the one who asks: aborted, it waits no longer, and the others do.
   * @param start gets a signal of the flight's own, aborted when everybody left.
   * @param settled until when others may still join, once the value is there: such as until it is held.
   * @returns the value, and whether it was under way before.
   */
  async join(
    key: string,
    signal: AbortSignal,
    start: (signal: AbortSignal) => Promise<T>,
    settled?: (value: T) => Promise<unknown>,
  ): Promise<{ readonly value: T; readonly joined: boolean }> {
    signal.throwIfAborted();
    const known = this.#under.get(key);
    const flight = known ?? this.#start(key, start, settled);
    return { value: await this.#wait(key, flight, signal), joined: known !== undefined };
  }

  /** Lets those who come from now on start anew; who waits already gets what is under way. */
  forget(matches: (key: string) => boolean): void {
    for (const key of this.#under.keys()) if (matches(key)) this.#under.delete(key);
  }

  #start(
    key: string,
    start: (signal: AbortSignal) => Promise<T>,
    settled?: (value: T) => Promise<unknown>,
  ): Flight<T> {
    const controller = new AbortController();
    const value = start(controller.signal).finally(() => (flight.landed = true));
    const flight: Flight<T> = { value, controller, waiting: 0, landed: false };
    const over = () => this.#drop(key, flight);
    // Those who wait are told of a failure; when nobody does, nobody is to be told.
    value.then((landed) => settled?.(landed)).then(over, over);
    this.#under.set(key, flight);
    return flight;
  }

  async #wait(key: string, flight: Flight<T>, signal: AbortSignal): Promise<T> {
    flight.waiting += 1;
    const left = Promise.withResolvers<never>();
    const leave = () => left.reject(signal.reason as Error);
    signal.addEventListener('abort', leave, { once: true });
    try {
      return await Promise.race([flight.value, left.promise]);
    } finally {
      signal.removeEventListener('abort', leave);
      flight.waiting -= 1;
      if (flight.waiting === 0 && !flight.landed) {
        this.#drop(key, flight);
        flight.controller.abort();
      }
    }
  }

  #drop(key: string, flight: Flight<T>): void {
    if (this.#under.get(key) === flight) this.#under.delete(key);
  }
}
