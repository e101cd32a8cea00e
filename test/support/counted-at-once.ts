/**
 * Stands in for `src/at-once`: that itself, and how many answers it gave. A spec says
 * `jest.mock('../src/at-once', () => jest.requireActual('./support/counted-at-once'))`.
 */
import type { INestApplicationContext } from '@nestjs/common';
import type { atOnce as itself } from '../../src/at-once';
import type { AtOnce } from '../../src/edge/edge.listener';

export const counted: { answers: number; readonly apps: INestApplicationContext[] } = {
  answers: 0,
  /** Of each gate that was opened, in their order. */
  apps: [],
};

export function atOnce(...given: Parameters<typeof itself>): AtOnce {
  const real = jest.requireActual<{ atOnce: typeof itself }>('../../src/at-once');
  const answers = real.atOnce(...given);
  counted.apps.push(given[0]);
  return (exchange) => {
    const answered = answers(exchange);
    if (answered) counted.answers += 1;
    return answered;
  };
}
