/** Clears away what tags leave behind: records that count for nothing, and the memory of what was forgotten. */
import { setImmediate as turn } from 'node:timers/promises';
import type { Log } from '../../journal/log';
import type { IndexDatabase } from './sqlite-index.database';
import { FIRST_TAG, type TagKey } from './sqlite-index.tags';

const HOUR = 3_600_000;
/** A question to an upstream takes minutes at most: what was forgotten longer ago need not be remembered. */
const REMEMBERED = HOUR;
/** A record whose manifest is not held saves nothing once it has to be asked again. */
const UNHELD = 24 * HOUR;

export class TagSweep {
  #timer: NodeJS.Timeout | undefined;
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(
    private readonly database: IndexDatabase,
    private readonly log: Pick<Log, 'warn'>,
  ) {}

  /** Once an hour from now on. */
  start(): void {
    const sweep = () => {
      this.#running ??= this.run(Date.now())
        .catch((error: unknown) => {
          this.log.warn(
            { err: error },
            'old tags could not be cleared from the index of the cache',
          );
        })
        .finally(() => {
          this.#running = undefined;
        });
    };
    this.#timer = setInterval(sweep, HOUR).unref();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await this.#running;
  }

  /** @param now in milliseconds of the epoch. */
  async run(now: number): Promise<void> {
    await this.#dropForgotten(now - REMEMBERED);
    await this.#dropUnheld(now - UNHELD);
  }

  /** Removes the records that forgetting a whole name made void. */
  async removeVoid(name: string, version: number): Promise<void> {
    while (!(await this.database.write(({ tags }) => tags.removeVoid(name, version)))) await turn();
  }

  async #dropForgotten(before: number): Promise<void> {
    while (!this.#stopped) {
      const some = await this.database.read(({ tags }) => tags.forgottenBefore(before));
      if (some.length === 0) return;
      for (const { name, version, whole } of some) {
        // Else what a crash left of its records would count again.
        if (whole) await this.removeVoid(name, version);
      }
      await this.database.write(({ tags }) => tags.dropForgotten(some));
      await turn();
    }
  }

  async #dropUnheld(before: number): Promise<void> {
    for (let at: TagKey | undefined = FIRST_TAG; at !== undefined && !this.#stopped;) {
      const from: TagKey = at;
      at = await this.database.write(({ tags }) => tags.removeUnheld(from, before));
      await turn();
    }
  }
}
