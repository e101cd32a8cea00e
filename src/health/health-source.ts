/** What health asks of the rooms, without knowing them. */

/**
 * `up`: works as it should. `degraded`: works, but somebody has to look (a broken accounts file, a full disk, an
 * upstream away). `down`: the gate cannot serve.
 */
export interface HealthState {
  readonly status: 'up' | 'degraded' | 'down';
  /** The fault and its remedy, for admins alone; no secret. */
  readonly detail?: string;
}

/** One thing whose health counts. */
export interface HealthSource {
  readonly name: string;
  /** What is known already: it asks no disk and no network, so that probes cost nothing and never hang. */
  check(): HealthState;
}

/** What app.module tells health. */
export interface HealthOptions {
  /** Of the gate. */
  readonly version: string;
  readonly sources: readonly HealthSource[];
}

/** The injection token of the options. */
export const HealthOptions = Symbol('HealthOptions');
