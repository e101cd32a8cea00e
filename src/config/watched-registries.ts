/**
 * The table of registries, kept in step with the config file while the gate runs. The file and those that it names are
 * polled, since neither bind mounts nor ConfigMaps notify.
 */
import { configFileOf, tableFrom } from './config-file';
import { filesNamedBy } from './registry-files';
import { parseRegistriesFile } from './registries-file';
import { Registries } from './registry-table';
import type { Settings } from './settings';
import { Faults, SettingsError } from './settings-error';
import {
  POLL_INTERVAL,
  readNow,
  sameReading,
  Settling,
  WatchedFile,
  type Reading,
} from './watched-file';

/** Takes what an operator has to know. */
interface Notices {
  info(message: string): void;
  error(fields: object, message: string): void;
}

/** The config file and what it names, as they were read together. */
type Readings = ReadonlyMap<string, Reading>;

export class WatchedRegistries {
  readonly registries: Registries;
  readonly #path: string;
  readonly #files = new Map<string, WatchedFile>();
  readonly #settling = new Settling();
  /** What was last taken over, or found to be broken. */
  #judged: Readings;
  /** A table was made of a file: one that is not there any more is missed. */
  #hadFile: boolean;
  #fault: string | undefined;
  #named: { readonly text: string; readonly paths: readonly string[] } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #polling: Promise<void> = Promise.resolve();
  #closed = false;

  /**
   * Reads the file; the gate is not to start with one that is broken.
   * @throws SettingsError with every fault, each with line and key.
   */
  constructor(
    private readonly settings: Settings,
    private readonly log: Notices,
  ) {
    this.#path = configFileOf(settings);
    const main = readNow(this.#path);
    this.#hadFile = main.kind === 'text' || settings.configFile !== undefined;
    this.#judged = new Map(
      [this.#path, ...this.#namedBy(main)].map((path) => [
        path,
        path === this.#path ? main : readNow(path),
      ]),
    );
    this.registries = new Registries(tableFrom(settings, this.#judged));
  }

  /** Why the file as it is now is not the one in force; undefined when it is. Without any secret. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Looks at the files again and again from now on. */
  watch(): void {
    this.#timer = setTimeout(() => {
      this.#polling = this.#poll()
        .catch((err: unknown) => this.log.error({ err }, 'the config file could not be polled'))
        .finally(() => {
          if (!this.#closed) this.watch();
        });
    }, POLL_INTERVAL).unref();
  }

  /** Stops looking, and waits for a look that is under way. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#polling;
  }

  async #poll(): Promise<void> {
    const main = await this.#read(this.#path);
    const readings = new Map([[this.#path, main]]);
    for (const path of this.#namedBy(main))
      if (!readings.has(path)) readings.set(path, await this.#read(path));
    if (sameReadings(readings, this.#judged)) this.#settling.forget();
    else if (!this.#closed && this.#settling.offer([...readings.values()])) this.#judge(readings);
  }

  #read(path: string): Promise<Reading> {
    let file = this.#files.get(path);
    if (!file) this.#files.set(path, (file = new WatchedFile(path)));
    return file.read();
  }

  /** The files that a text names; worked out once for each text. */
  #namedBy(main: Reading): readonly string[] {
    if (main.kind !== 'text') return [];
    if (this.#named?.text !== main.text) {
      const entries = parseRegistriesFile(main.text, this.#path, new Faults());
      this.#named = { text: main.text, paths: filesNamedBy(entries) };
    }
    return this.#named.paths;
  }

  #judge(readings: Readings): void {
    this.#settling.forget();
    this.#judged = readings;
    try {
      const table = tableFrom(this.settings, readings, { expected: this.#hadFile });
      this.registries.swap(table.keeping(this.registries.current));
      const there = readings.get(this.#path)?.kind === 'text';
      this.#hadFile ||= there;
      this.#fault = undefined;
      const { length } = this.registries.current.registries;
      const what = there ? 'was read again' : 'is not there, as before';
      this.log.info(`${this.#path} ${what}: ${length} registries`);
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      this.#fault = error.faults.join('; ');
      // The fault may be the gate's own, that of a process without descriptors (EMFILE) say.
      const unreadable = [...readings.values()].some(({ kind }) => kind === 'unreadable');
      const told = unreadable
        ? 'the config file or a file that it names cannot be read: the last good table of registries stays in force'
        : 'the config file is broken: the last good table of registries stays in force';
      this.log.error({ fault: this.#fault }, told);
    }
  }
}

function sameReadings(one: Readings, other: Readings): boolean {
  return (
    one.size === other.size &&
    [...one].every(([path, reading]) => {
      const before = other.get(path);
      return before !== undefined && sameReading(before, reading);
    })
  );
}
