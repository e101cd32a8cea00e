/** One verdict of all that counts, by @nestjs/terminus. */
import { Inject, Injectable, ServiceUnavailableException } from '@nestjs/common';
import {
  HealthCheckService,
  HealthIndicatorService,
  type HealthCheckResult,
  type HealthIndicatorResult,
} from '@nestjs/terminus';
import { HealthOptions, type HealthSource, type HealthState } from './health-source';
import { Lifecycle } from './lifecycle';

/** `ok` and `degraded` serve; `draining` and `down` do not. */
export type HealthStatus = 'ok' | 'degraded' | 'draining' | 'down';

export interface Health {
  readonly status: HealthStatus;
  /** For admins alone. */
  readonly details: {
    readonly version: string;
    /** Seconds. */
    readonly uptime: number;
    readonly draining: boolean;
    readonly checks: Readonly<Record<string, HealthState>>;
  };
}

@Injectable()
export class HealthService {
  constructor(
    @Inject(HealthOptions) private readonly options: HealthOptions,
    private readonly lifecycle: Lifecycle,
    private readonly terminus: HealthCheckService,
    private readonly indicators: HealthIndicatorService,
  ) {}

  async check(): Promise<Health> {
    const result = await this.#result();
    const draining = this.lifecycle.draining || result.status === 'shutting_down';
    return {
      status: draining ? 'draining' : statusOf(result),
      details: {
        version: this.options.version,
        uptime: Math.floor(process.uptime()),
        draining,
        checks: Object.fromEntries(
          Object.entries(result.details).map(([name, { status, detail }]) => [
            name,
            { status, detail },
          ]),
        ),
      },
    };
  }

  async #result(): Promise<HealthCheckResult> {
    try {
      return await this.terminus.check(
        this.options.sources.map((source) => () => this.#ask(source)),
      );
    } catch (error) {
      // Terminus throws what it found where something is down.
      if (error instanceof ServiceUnavailableException)
        return error.getResponse() as HealthCheckResult;
      throw error;
    }
  }

  #ask(source: HealthSource): HealthIndicatorResult {
    const indicator = this.indicators.check(source.name);
    const { status, detail } = stateOf(source);
    const data: Record<string, unknown> = detail === undefined ? {} : { detail };
    switch (status) {
      case 'up':
        return indicator.up(data);
      case 'degraded':
        return indicator.degraded(data);
      case 'down':
        return indicator.down(data);
      default:
        return status satisfies never;
    }
  }
}

function statusOf({ status }: HealthCheckResult): HealthStatus {
  switch (status) {
    case 'ok':
    case 'degraded':
      return status;
    case 'error':
      return 'down';
    case 'shutting_down':
      return 'draining';
    default:
      return status satisfies never;
  }
}

/** A source that cannot even tell is down. What it threw is not for the answer. */
function stateOf(source: HealthSource): HealthState {
  try {
    return source.check();
  } catch {
    return { status: 'down', detail: 'its state cannot be told' };
  }
}
