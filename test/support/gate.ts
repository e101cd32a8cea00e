/** The gate as it is shipped: `node dist/main.js` in a process of its own, with a data folder of its own. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { basic, send, unique, type Account, type Answer } from './http';
import { atTheEnd, freshFolder } from './lifecycle';
import { run, Service, type Finished } from './processes';
import { expectNoSecretIn, keepSecret, keepSecretsOf, talkative } from './secrets';

export const MAIN = join(__dirname, '../../dist/main.js');

/** One line of the gate's log. */
export type LogLine = Record<string, unknown> & { level: number; msg?: string; audit?: string };

/** Rights of an account, as /admin/users takes them. */
export interface AccessRule {
  repository: string;
  actions: ('pull' | 'push' | 'delete')[];
}

export const EVERYTHING: AccessRule[] = [{ repository: '**', actions: ['pull', 'push', 'delete'] }];

export class Gate {
  #service!: Service;
  #before = { stdout: '', stderr: '' };
  /** Where it listens; the same after a restart. */
  url = '';

  constructor(
    readonly env: Record<string, string>,
    readonly dataDir: string,
    /** A program and its arguments that starts the gate's own command in its own place. */
    readonly wrapper: readonly string[] = [],
  ) {}

  get port(): number {
    return Number(new URL(this.url).port);
  }

  /** Host and port, as image references begin with it. */
  get host(): string {
    return new URL(this.url).host;
  }

  get pid(): number {
    return this.#service.pid;
  }

  get running(): boolean {
    return this.#service.running;
  }

  /** The first admin, with the password that the gate made. */
  get admin(): Account {
    const username = this.env['ADMIN_USERNAME'] ?? 'admin';
    const file = join(this.dataDir, 'initial-admin-password');
    const password = this.env['ADMIN_PASSWORD'] ?? readFileSync(file, 'utf8').trim();
    return { username, password };
  }

  /** Starts the process and waits until it is ready to serve. */
  async start(env: Record<string, string> = {}): Promise<void> {
    const port: Record<string, string> = this.url ? { PORT: String(this.port) } : {};
    const [program = '', ...args] = [...this.wrapper, process.execPath, MAIN];
    const service = new Service(program, args, { ...this.env, ...port, ...env });
    this.#service = service;
    this.url = await service.until('the gate says where it listens', () => {
      return /listens on (http:\/\/[\w.:[\]]+)/
        .exec(service.stderr)?.[1]
        ?.replace('0.0.0.0', '127.0.0.1');
    });
    await service.until('the gate is ready', async () => {
      return (await send(`${this.url}/health/ready`).catch(() => undefined))?.status === 200;
    });
  }

  /** All output of this gate, restarts included: what a search for secrets has to go through. */
  output(): string {
    const { stdout, stderr } = this.#service;
    return this.#before.stdout + this.#before.stderr + stdout + stderr;
  }

  stderr(): string {
    return this.#before.stderr + this.#service.stderr;
  }

  /** The log's lines; each has to be JSON. */
  logs(): LogLine[] {
    const text = this.#before.stdout + this.#service.stdout;
    return text
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as LogLine);
  }

  signal(signal: NodeJS.Signals): void {
    this.#service.signal(signal);
  }

  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    return this.#service.stop(signal);
  }

  /** Ends the process and starts it again on the same port and data folder. */
  async restart({ signal, env }: { signal?: NodeJS.Signals; env?: Record<string, string> } = {}) {
    await this.stop(signal);
    this.#before.stdout += this.#service.stdout;
    this.#before.stderr += this.#service.stderr;
    await this.start(env);
  }

  /** Resident memory in bytes: now, and at its highest since `forgetPeak`. */
  memory(): { now: number; peak: number } {
    const status = readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const of = (field: string) =>
      Number(new RegExp(`${field}:\\s+(\\d+)`).exec(status)?.[1]) * 1024;
    return { now: of('VmRSS'), peak: of('VmHWM') };
  }

  forgetPeak(): void {
    writeFileSync(`/proc/${this.pid}/clear_refs`, '5');
  }

  /** Seconds of processor time that it has used so far, however many share the processor with it. */
  processorTime(): number {
    const [, fields = ''] = readFileSync(`/proc/${this.pid}/stat`, 'latin1').split(') ');
    const [user, system] = fields.split(' ').slice(11, 13).map(Number);
    return ((user ?? 0) + (system ?? 0)) / 100;
  }

  /** A request to the operators' REST interface, as the first admin. */
  rest(method: string, path: string, body?: unknown, as: Account = this.admin): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const type: Record<string, string> =
      text === undefined ? {} : { 'content-type': 'application/json' };
    const headers = { ...basic(as), ...type };
    return send(`${this.url}/admin${path}`, { method, headers, body: text });
  }

  /** Makes an account that is gone with the gate. Without a list of rights it may do everything. */
  async addAccount(access: AccessRule[] = EVERYTHING, more: Record<string, unknown> = {}) {
    const account = { username: unique('user-'), password: unique('pass-') };
    keepSecret('password of an account', account.password);
    const answer = await this.rest('POST', '/users', { ...account, access, ...more });
    if (answer.status !== 201) throw new Error(`no account: ${answer.status} ${answer.text}`);
    return account;
  }

  async changeAccount({ username }: Account, change: Record<string, unknown>): Promise<void> {
    const answer = await this.rest('PATCH', `/users/${username}`, change);
    if (answer.status !== 200) throw new Error(`not changed: ${answer.status} ${answer.text}`);
  }

  async removeAccount({ username }: Account): Promise<void> {
    const answer = await this.rest('DELETE', `/users/${username}`);
    if (answer.status !== 204) throw new Error(`not removed: ${answer.status} ${answer.text}`);
  }
}

/** Settings of every gate in the tests: loopback, a port that the system chooses, nothing of the machine's own. */
function environment(dataDir: string, env: Record<string, string>): Record<string, string> {
  return { HOST: '127.0.0.1', PORT: '0', DATA_DIR: dataDir, ...talkative(), ...env };
}

/** Starts a gate with these settings; it is ready when this returns. */
export async function startGate(
  env: Record<string, string> = {},
  wrapper: readonly string[] = [],
): Promise<Gate> {
  const dataDir = env['DATA_DIR'] ?? freshFolder('gate');
  const gate = new Gate(environment(dataDir, env), dataDir, wrapper);
  keepSecretsOf(env);
  // Begun before the process, this comes after its end.
  atTheEnd(() => expectNoSecretIn(gate.output()));
  await gate.start();
  return gate;
}

/** Starts a gate that is expected to end by itself. */
export function runGate(
  env: Record<string, string>,
  wrapper: readonly string[] = [],
): Promise<Finished> {
  const dataDir = env['DATA_DIR'] ?? freshFolder('gate');
  const [program = '', ...args] = [...wrapper, process.execPath, MAIN];
  return run(program, args, { env: environment(dataDir, env), timeout: 20_000 });
}
