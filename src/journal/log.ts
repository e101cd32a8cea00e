/**
 * The log: JSON lines on stdout. No secret may reach it: what is logged is chosen field by field, never a whole
 * request, header set or URL of somebody else's. Redaction is the net below that, not the means.
 */
import { pino, type DestinationStream, type Logger, type LoggerOptions } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Settings } from '../config/settings';
import { visibleLines } from '../config/visible';
import { isError, loggedError, redacted, scrub } from './scrub';

export type Log = Logger;

/** The injection token of the log. */
export const Log = Symbol('Log');

const STDOUT = 1;

/** For fields that hold an error at times, which would otherwise be written with all that hangs on it. */
function ifError(value: unknown): unknown {
  return isError(value) ? loggedError(value) : value;
}

const OPTIONS: LoggerOptions = {
  base: null,
  timestamp: timeOfLine,
  // pino's own redaction costs twenty times as much a line as the line itself, and tells upper from lower case.
  formatters: { log: redacted },
  serializers: { err: loggedError, error: ifError, cause: ifError, reason: ifError },
  hooks: {
    logMethod(args, method) {
      method.apply(this, withMessage(args));
    },
  },
};

let lastTime = 0;
let lastText = '';

/** ISO 8601, to the millisecond: many lines share one. */
function timeOfLine(): string {
  const now = Date.now();
  if (now !== lastTime) {
    lastTime = now;
    lastText = `,"time":"${new Date(now).toISOString()}"`;
  }
  return lastText;
}

/**
 * Scrubs the texts of a call, and gives a call with an error alone its message: pino would take the error's own, as it
 * stands.
 */
function withMessage(args: Parameters<pino.LogFn>): Parameters<pino.LogFn> {
  const [first, ...rest] = args as unknown[];
  const texts = rest.map((value) => (typeof value === 'string' ? scrub(value) : value));
  if (typeof first === 'string') return [scrub(first), ...texts] as Parameters<pino.LogFn>;
  const error = isError(first) ? first : (first as { err?: unknown } | undefined)?.err;
  if (texts.length === 0 && isError(error)) texts.push(scrub(error.message));
  return [first, ...texts] as Parameters<pino.LogFn>;
}

/**
 * The gate's log. Lines are written before the call returns: none is lost when the process ends, however it ends, and
 * none waits behind password hashes in the thread pool.
 * @param destination in place of stdout; stdout is written for people when it is a terminal.
 */
export function createLog(
  { logLevel }: Pick<Settings, 'logLevel'>,
  destination: DestinationStream = process.stdout.isTTY ? terminal() : toStdout(),
): Log {
  const log = pino({ ...OPTIONS, level: logLevel }, visibly(destination));
  // Children inherit from their parent, and pino shows none of its formatters what they are bound to.
  const { child } = log;
  log.child = function <L extends string>(
    this: Log,
    bindings: pino.Bindings,
    options?: pino.ChildLoggerOptions<L>,
  ) {
    type Arguments = [pino.Bindings, pino.ChildLoggerOptions<L>?];
    return Reflect.apply<Log, Arguments, pino.Logger<L>>(child, this, [
      redacted(bindings),
      options,
    ]);
  };
  return log;
}

/** Logs are read on terminals, too. What JSON leaves as it is, and a terminal obeys or hides, is written as JSON could have it. */
function visibly(destination: DestinationStream): DestinationStream {
  return { write: (line) => void destination.write(visibleLines(line)) };
}

function toStdout() {
  return pino.destination({ dest: STDOUT, sync: true });
}

function terminal(): DestinationStream {
  const pretty = prettyFactory({ colorize: true, singleLine: true, translateTime: 'SYS:HH:MM:ss' });
  const stdout = toStdout();
  let gone = false;
  // A terminal that closes takes its lines along, not the transfers that are to end now.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EIO') throw error;
    gone = true;
  });
  return {
    write: (line) => {
      if (!gone) stdout.write(pretty(escapedTwice(line)));
    },
  };
}

/** What JSON escapes comes back when a line is written for people: escaped once more, it does not. Line ends may. */
function escapedTwice(line: string): string {
  return line.replace(/\\(?:[\\"/nt]|u[0-9a-f]{4}|[bfr])/g, (escape) =>
    /^\\[ubfr]/.test(escape) ? `\\${escape}` : escape,
  );
}
