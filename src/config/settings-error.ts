/** Faults in the settings: collected until all are known, then told at once. */
import { visible } from './visible';

/** The settings cannot be used. The message lists every fault, one a line: setting, value, what is wrong and right. */
export class SettingsError extends Error {
  constructor(readonly faults: readonly string[]) {
    super(['The settings are not right:', ...faults.map((fault) => `  ${fault}`)].join('\n'));
    this.name = 'SettingsError';
  }
}

/** The faults found so far; the same one said twice counts once. */
export class Faults {
  readonly #faults = new Set<string>();

  add(fault: string): void {
    this.#faults.add(fault);
  }

  get count(): number {
    return this.#faults.size;
  }

  throwIfAny(): void {
    if (this.#faults.size > 0) throw new SettingsError([...this.#faults]);
  }
}

const MAX_SHOWN = 100;

/**
 * A value as a fault shows it: quoted, with what cannot be seen escaped, of bounded length, and without what may be a
 * password in it, since URLs with `user:password@` and signed queries get pasted into any setting.
 */
export function shownValue(text: string): string {
  const harmless = text.replace(/^.*@/s, '***@').replace(/\?.*$/s, '?…');
  const shown = harmless.length > MAX_SHOWN ? `${harmless.slice(0, MAX_SHOWN)}…` : harmless;
  return visible(JSON.stringify(shown));
}

/** The short reason of a failed system call, such as `ENOENT`. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : 'unknown reason';
}
