import type { LoggerService } from '@nestjs/common';
import type { Log } from './log';
import { isError, scrub } from './scrub';

/**
 * Takes Nest's own messages into the log. What Nest tells of its start is of use to developers alone, so it goes to
 * debug; warnings and errors keep their level.
 */
export class NestLog implements LoggerService {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  log(message: unknown, ...more: unknown[]): void {
    this.#write('debug', message, more);
  }

  debug(message: unknown, ...more: unknown[]): void {
    this.#write('debug', message, more);
  }

  verbose(message: unknown, ...more: unknown[]): void {
    this.#write('trace', message, more);
  }

  warn(message: unknown, ...more: unknown[]): void {
    this.#write('warn', message, more);
  }

  error(message: unknown, ...more: unknown[]): void {
    this.#write('error', message, more);
  }

  fatal(message: unknown, ...more: unknown[]): void {
    this.#write('fatal', message, more);
  }

  /**
   * Nest passes the context last, and for an error the stack before it; objects are not written, they may hold
   * anything.
   */
  #write(
    level: 'trace' | 'debug' | 'warn' | 'error' | 'fatal',
    message: unknown,
    more: unknown[],
  ): void {
    const texts = more.filter((value) => typeof value === 'string');
    const context = texts.findLast((text) => !text.includes('\n'));
    const err = [message, ...more].find(isError);
    const trace = err ? undefined : texts.find((text) => text.includes('\n'));
    const text =
      typeof message === 'string' ? message : (err?.message ?? 'a message that is no text');
    // The text is an argument and not the format, so that a `%s` in it stays one.
    this.#log[level]({ context, err, stack: trace && scrub(trace) }, '%s', text);
  }
}
