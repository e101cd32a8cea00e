/**
 * Many clients of one gate at once, in a process of their own, so that neither the test nor the gate waits for them.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Gate } from './gate';
import { bearer } from './http';
import { eventually, freshFolder } from './lifecycle';
import type { Patterned } from './patterned';
import { Service } from './processes';

const PROGRAM = join(__dirname, 'crowd-clients.mjs');

export interface CrowdOrder {
  readonly clients: number;
  readonly path: string;
  readonly content: Patterned;
  readonly token: string;
  /** So many of them hash what they get; all compare every byte with what it must be. */
  readonly hashing?: number;
  /** Bytes after which each stops reading, once, until it is told to go on. */
  readonly pauseAt?: number;
  /** Bytes a second that each reads. */
  readonly rate?: number;
}

/** What became of one client. Times are milliseconds since all of them began. */
export interface ClientEnd {
  readonly id: number;
  readonly status: number;
  /** Its Cache-Status. */
  readonly cache?: string;
  readonly received: number;
  /** Every byte was the right one, as far as it got. */
  readonly right: boolean;
  /** It got all of the content, and nothing else. */
  readonly whole: boolean;
  readonly digest?: string;
  readonly first?: number;
  readonly ms: number;
  readonly error?: string;
}

export class Crowd {
  readonly #service: Service;

  constructor(
    gate: Gate,
    private readonly order: CrowdOrder,
  ) {
    const { clients, path, content, token, hashing = 0, pauseAt, rate } = order;
    const noise = join(freshFolder('crowd'), 'noise');
    writeFileSync(noise, content.noise);
    const asked = {
      port: gate.port,
      path,
      headers: bearer(token),
      clients,
      hashing,
      pauseAt,
      rate,
    };
    const text = JSON.stringify({ ...asked, noise, size: content.size });
    this.#service = new Service(process.execPath, [PROGRAM, text]);
  }

  /** Resolves when all of them have asked. */
  async started(): Promise<void> {
    await this.#service.until('the clients have asked', () => this.#events('started').length > 0);
  }

  /** Resolves when all of them have stopped reading. */
  async paused(milliseconds = 30_000): Promise<void> {
    const { clients } = this.order;
    await eventually(
      'all clients have begun to read',
      () => this.#events('paused').length === clients,
      milliseconds,
    );
  }

  /** Those that stopped reading go on. */
  goOn(): void {
    this.#service.signal('SIGUSR2');
  }

  /** All of them leave, in the middle of whatever they get. */
  leave(): void {
    this.#service.signal('SIGHUP');
  }

  /** Resolves when the last one has ended. */
  async ended(): Promise<ClientEnd[]> {
    const code = await this.#service.exit();
    if (code !== 0) throw new Error(`the clients ended with ${code}: ${this.#service.stderr}`);
    return this.#events('end') as unknown as ClientEnd[];
  }

  /** How many have ended by now. */
  get gone(): number {
    return this.#events('end').length;
  }

  #events(name: string): Record<string, unknown>[] {
    return this.#service.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .filter(({ event }) => event === name);
  }
}

/** The same in a report's words. */
export function fatesOf(ends: readonly ClientEnd[]) {
  const survived = ends.filter(({ whole }) => whole).length;
  const lastMs = Math.max(...ends.map(({ ms }) => ms));
  return { tried: ends.length, survived, lost: ends.length - survived, lastMs };
}

/** How many clients got all of it and nothing else, and how often each status was seen. */
export function summaryOf(ends: readonly ClientEnd[]) {
  const statuses = Object.fromEntries(
    [...Map.groupBy(ends, ({ status }) => String(status))].map(([key, of]) => [key, of.length]),
  );
  const digests = [...new Set(ends.flatMap(({ digest }) => digest ?? []))];
  return { whole: ends.filter(({ whole }) => whole).length, statuses, digests };
}
