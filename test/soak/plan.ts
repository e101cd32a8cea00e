/**
 * When which fault and which restart comes, and what is excused by it. Times are milliseconds since the traffic began.
 */
import { FAULTS, type Fault } from './fault-proxy';
import type { Outcome } from './orders';

export const RESTARTS = ['SIGTERM', 'SIGKILL'] as const;
export type Restart = (typeof RESTARTS)[number];

export interface Trouble {
  readonly kind: Fault | Restart;
  /** When it is to begin, and for how long; a restart takes what it takes. */
  readonly due: number;
  readonly lasts: number;
  /** When it did begin, and end; until then, never. */
  from: number;
  to: number;
  /** Until when it is felt: connections come back, and the gate asks an upstream again that did not answer. */
  felt: number;
  /** Requests that met the fault. */
  met: number;
}

export function isRestart(kind: Trouble['kind']): kind is Restart {
  return RESTARTS.some((restart) => restart === kind);
}

/** How long the gate waits for the head of the registry's answer, in seconds. */
export const HEADER_TIMEOUT = 8;

/** @param restarts in order, spread over the time. */
export function planOf(total: number, restarts: readonly Restart[]): Trouble[] {
  const period = Math.min(60_000, Math.max(7_500, total / 14));
  const lasts = Math.min(10_000, Math.max(2_000, period / 5));
  const plan: Trouble[] = [];
  const slots = Math.floor(total / period) - 1;
  const restartSlots = restarts.map((_, n) =>
    Math.floor(((n + 1) * slots) / (restarts.length + 1)),
  );
  let fault = 0;
  for (let slot = 0; slot < slots; slot += 1) {
    const restart = restarts[restartSlots.indexOf(slot)];
    const kind = restart ?? FAULTS[fault % FAULTS.length];
    if (!kind) continue;
    if (!restart) fault += 1;
    const due = (slot + 0.4) * period;
    plan.push({ kind, due, lasts, from: Infinity, to: Infinity, felt: Infinity, met: 0 });
  }
  return plan;
}

/**
 * How long a fault is felt after its end: the gate's pauses double while nothing answers, so that the last one is as
 * long as all before it, and a question may have been out when it ended.
 */
export function afterpains({ lasts }: Trouble): number {
  return lasts + HEADER_TIMEOUT * 1_000 + 2_000;
}

const UPSTREAM_FAULTS = new Set([429, 502, 503, 504]);

/** Whether the troubles of that time excuse that outcome. What is held has to come whatever the upstream does. */
export function excused(
  { status, fault, wrong }: Outcome,
  troubles: readonly Trouble[],
  held: boolean,
): boolean {
  if (wrong !== undefined) return false;
  return troubles.some(({ kind }) => {
    if (kind === 'SIGKILL') return fault !== 'status' || status === 503;
    if (kind === 'SIGTERM') return fault === 'connection' || status === 503;
    if (held) return false;
    // The gate itself is there, and answers.
    return fault === 'transfer' || UPSTREAM_FAULTS.has(status);
  });
}
