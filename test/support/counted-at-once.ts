/**
 * Stands in for `src/at-once`: that itself, and how many answers it gave. A spec says
 * `jest.mock('../src/at-once', () => jest.requireActual<Counted>('./support/counted-at-once').counted)`.
 */
import type { INestApplicationContext } from '@nestjs/common';
import type { atOnce as itself } from '../../src/at-once';
import type { AtOnce } from '../../src/edge/edge.listener';

export const counted = {
  answers: 0,
  /** Of each gate that was opened, in their order. */
  apps: [] as INestApplicationContext[],

  atOnce(...given: Parameters<typeof itself>): AtOnce {
    const real = jest.requireActual<{ atOnce: typeof itself }>('../../src/at-once');
    const answers = real.atOnce(...given);
    counted.apps.push(given[0]);
    return (exchange) => {
      const answered = answers(exchange);
      if (answered) counted.answers += 1;
      return answered;
    };
  },
};

/** This module. */
export interface Counted {
  readonly counted: typeof counted;
}
