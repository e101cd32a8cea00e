/** `prefetch`: has a running gate fetch an image before anybody asks for it, and shows how far it is. */
import { setTimeout as sleep } from 'node:timers/promises';
import { InvalidArgumentError, type Command } from 'commander';
import type { Settings } from '../config/settings';
import {
  GateClient,
  initialPassword,
  originOf,
  Unreachable,
  type PrefetchJob,
} from './gate-client';
import { settingsHere } from './open-accounts';
import { printable } from './printable';
import { ProgressLine, size } from './progress-line';
import { readPassword } from './read-password';
import { say } from './say';

interface Options {
  platform?: string[];
  url?: string;
  username?: string;
  passwordStdin?: boolean;
}

const POLL = 500;
/** A gate that does not answer for so many polls has gone. */
const MAX_SILENT = 5;

export function addPrefetchCommand(program: Command): void {
  program
    .command('prefetch <image>')
    .description(
      'have a running gate fetch an image, such as nginx:1 or ghcr.io/org/app, into its cache',
    )
    .option('--platform <os/arch>', 'of an image for several, such as linux/amd64; repeatable', add)
    .option('--url <url>', 'where the gate is; without it, what the settings here say', readOrigin)
    .option('--username <name>', 'an admin; without it ADMIN_USERNAME')
    .option(
      '--password-stdin',
      'read the password from stdin; without it, that of the first admin is taken from DATA_DIR',
    )
    .action(prefetch);
}

async function prefetch(image: string, options: Options): Promise<void> {
  const settings = settingsHere();
  const origin = options.url ?? originOf(settings);
  const username = options.username ?? settings.adminUsername;
  const password = options.passwordStdin
    ? await readPassword({ fromStdin: true })
    : passwordHere(settings, options.url, username);
  const gate = new GateClient(origin, { username, password });
  const started = await gate.prefetch(image, options.platform ?? []);
  const leave = cancelOnSignal(gate, started);
  try {
    report(await follow(gate, started));
  } finally {
    leave();
  }
}

/** @throws Error with the remedy. A password of this machine's is not sent to others, and not for another account. */
function passwordHere(settings: Settings, url: string | undefined, username: string): string {
  const own = url === undefined || isHere(url) || url === originOf(settings);
  const password =
    own && username === settings.adminUsername
      ? (initialPassword(settings) ?? settings.adminPassword)
      : undefined;
  if (password !== undefined) return password;
  throw new Error(`give the password of ${username} on stdin, with --password-stdin`);
}

function isHere(url: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}

/** Shows the job until it has ended. */
async function follow(gate: GateClient, started: PrefetchJob): Promise<PrefetchJob> {
  const line = new ProgressLine(process.stdout);
  let job = started;
  let silent = 0;
  try {
    for (;;) {
      line.show(job);
      if (job.state !== 'waiting' && job.state !== 'running') return job;
      await sleep(POLL);
      try {
        job = await gate.show(job.id);
        silent = 0;
      } catch (error) {
        silent += 1;
        if (!(error instanceof Unreachable) || silent >= MAX_SILENT) throw error;
      }
    }
  } finally {
    line.end();
  }
}

function report(job: PrefetchJob): void {
  for (const note of job.notes) say(printable(note));
  const { done, held } = job.bytes;
  const image = printable(job.image ?? '');
  if (job.state === 'done') {
    say(
      `${image} is held: ${job.layers.total} layers, ${size(done)}; ${size(held)} were there before`,
    );
    return;
  }
  for (const { what, message } of job.faults)
    process.stderr.write(`${printable(what)}: ${printable(message)}\n`);
  const why = job.state === 'cancelled' ? 'cancelled' : printable(job.error ?? 'it failed');
  throw new Error(`${image}: ${why}`);
}

/** The first signal cancels the job, whose end is then shown; a second one ends this process at once. */
function cancelOnSignal(gate: GateClient, { id }: PrefetchJob): () => void {
  const cancel = () => {
    leave();
    gate.cancel(id).catch((error: unknown) => {
      process.stderr.write(`not cancelled: ${error instanceof Error ? error.message : ''}\n`);
      process.exit(1);
    });
  };
  const leave = () => void process.off('SIGINT', cancel).off('SIGTERM', cancel);
  process.on('SIGINT', cancel).on('SIGTERM', cancel);
  return leave;
}

function add(text: string, before: string[] = []): string[] {
  return [...before, ...text.split(',')];
}

function readOrigin(text: string): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.host === '')
    throw new InvalidArgumentError('give scheme, host and port, such as http://localhost:8080.');
  if (url.username || url.password)
    throw new InvalidArgumentError('the login does not belong there; see --username.');
  if (url.pathname !== '/' || url.search || url.hash)
    throw new InvalidArgumentError('give scheme, host and port alone.');
  return url.origin;
}
