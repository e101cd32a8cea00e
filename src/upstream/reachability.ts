import { Injectable } from '@nestjs/common';

/** A registry that did not answer when it was last asked. */
export interface Absence {
  readonly registry: string;
  /** Since when nothing of it was heard. */
  readonly since: Date;
}

/** Which registries answered when they were last asked. Learnt from the requests themselves: nobody is asked for it. */
@Injectable()
export class Reachability {
  readonly #away = new Map<string, Date>();

  noteAnswer(registry: string): void {
    this.#away.delete(registry);
  }

  noteSilence(registry: string): void {
    if (!this.#away.has(registry)) this.#away.set(registry, new Date());
  }

  get absences(): Absence[] {
    return [...this.#away].map(([registry, since]) => ({ registry, since }));
  }
}
