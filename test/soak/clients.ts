/** The process with the clients, seen from the soak. */
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { atTheEnd } from '../support/lifecycle';
import { plainEnvironment } from '../support/processes';
import type { Order, Outcome } from './orders';

export class Clients {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<Outcome>>();
  #count = 0;

  constructor() {
    this.#child = fork(join(__dirname, 'client.ts'), [], {
      execArgv: ['--no-warnings'],
      env: plainEnvironment(),
    });
    this.#child.on('message', ({ id, outcome }: { id: number; outcome: Outcome }) => {
      this.#waiting.get(id)?.resolve(outcome);
      this.#waiting.delete(id);
    });
    this.#child.on('exit', (code) => {
      const error = new Error(`the clients ended with ${code}`);
      for (const { reject } of this.#waiting.values()) reject(error);
    });
    atTheEnd(() => this.end());
  }

  /** With all connections that they kept. */
  end(): void {
    this.#child.kill('SIGKILL');
  }

  perform(order: Order): Promise<Outcome> {
    const id = (this.#count += 1);
    const waiting = Promise.withResolvers<Outcome>();
    this.#waiting.set(id, waiting);
    this.#child.send({ id, order });
    return waiting.promise;
  }
}
