/** Real programs, run once or kept running; each is ended by its own process id. */
import { spawn, type ChildProcess } from 'node:child_process';
import { tmpdir } from 'node:os';
import { atTheEnd, eventually } from './lifecycle';

/** What a program left behind. */
export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Both, for messages that a client may write to either. */
  readonly output: string;
}

export interface RunOptions {
  readonly env?: Record<string, string>;
  readonly cwd?: string;
  readonly input?: string;
  /** Milliseconds; then the program is killed. */
  readonly timeout?: number;
}

/** What a program inherits from the tests: where programs lie, and nothing else (no proxies, no credentials). */
export function plainEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const path = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
  return { PATH: path, HOME: '/nonexistent', LC_ALL: 'C.UTF-8', ...extra };
}

/** Runs a program to its end. */
export function run(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Finished> {
  const { env, cwd = tmpdir(), input, timeout = 120_000 } = options;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env: plainEnvironment(env), cwd, timeout });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin.on('error', () => undefined).end(input ?? '');
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr, output: stdout + stderr }));
  });
}

/** Runs a program that has to succeed, and gives what it wrote on its standard output. */
export async function succeed(
  command: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<string> {
  const { code, stdout, output } = await run(command, args, options);
  if (code !== 0) throw new Error(`${command} ${args[0] ?? ''} ended with ${code}: ${output}`);
  return stdout;
}

/** A program that keeps running. */
export class Service {
  readonly #child: ChildProcess;
  readonly #exit: Promise<number | null>;
  stdout = '';
  stderr = '';

  constructor(
    readonly command: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ) {
    const child = spawn(command, args, {
      env: plainEnvironment(env),
      cwd: tmpdir(), // where no `.env` of a developer's lies
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.#exit = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve(code));
    });
    this.#exit.catch(() => undefined);
    this.#child = child;
    atTheEnd(() => this.stop('SIGKILL'));
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error(`${this.command} did not start`);
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends a signal and leaves it at that. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends the signal if the program still runs, and waits for its end. Null: it was killed. */
  stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.running) this.#child.kill(signal);
    return this.#exit;
  }

  /** The exit code of a program that ends by itself. */
  exit(): Promise<number | null> {
    return this.#exit;
  }

  /** Waits until something is there; a program that ends before it is an error that shows what it said. */
  async until<T>(
    what: string,
    ask: () => T | undefined | false | Promise<T | undefined | false>,
    milliseconds = 30_000,
  ) {
    try {
      return await eventually(
        what,
        () => {
          if (!this.running) throw new Error(`${this.command} ended before: ${what}`);
          return ask();
        },
        milliseconds,
      );
    } catch (error) {
      throw new Error(`${String(error)}\n${this.stdout.slice(-4000)}\n${this.stderr.slice(-4000)}`);
    }
  }
}
