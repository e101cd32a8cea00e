/** Where in its life the gate stands. */
import { Injectable } from '@nestjs/common';

@Injectable()
export class Lifecycle {
  #draining = false;

  /** True from SIGTERM on: readiness says so, and load balancers send no more. */
  get draining(): boolean {
    return this.#draining;
  }

  drain(): void {
    this.#draining = true;
  }
}
