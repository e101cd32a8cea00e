/** Finds which text of a setting counts (its own name, an alias, a file) and reads it. */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Setting } from './setting';
import type { TextSchema } from './setting-values';
import { reasonOf, shownValue, type Faults } from './settings-error';

/** What is given, by name: the environment, and `--server.port` from the command line. */
export type Given = Readonly<Record<string, string | undefined>>;

/** A name under which a setting may be given. */
interface Source<T> {
  readonly name: string;
  readonly schema: TextSchema<T | undefined>;
  readonly wins: boolean;
}

/** A value that one source gives. */
interface Reading<T> {
  readonly name: string;
  readonly value: T;
  readonly wins: boolean;
}

/** The text under a name, where an empty one counts as none. */
export function given(texts: Given, name: string): string | undefined {
  const text = texts[name];
  return text === '' ? undefined : text;
}

/** Reads settings one at a time; what is wrong goes to `faults`, and the value is then undefined. */
export class SettingReader {
  constructor(
    private readonly texts: Given,
    private readonly faults: Faults,
  ) {}

  read<T>(name: string, setting: Setting<T>): T | undefined {
    const sources: Source<T>[] = [
      { name, schema: setting.schema, wins: false },
      ...(setting.aliases ?? []).map((alias) => ({
        name: alias.name,
        schema: alias.schema ?? setting.schema,
        wins: alias.wins ?? false,
      })),
    ];
    const before = this.faults.count;
    const readings = sources.flatMap((source) => this.#readings(source, setting));
    if (this.faults.count > before) return undefined;
    const reading = readings.find((candidate) => candidate.wins) ?? this.#agreed(readings);
    if (reading) return reading.value;
    return setting.default === undefined ? undefined : setting.schema.parse(setting.default);
  }

  /** What a source gives: by its text, by the file that `<NAME>_FILE` names, or not at all. */
  #readings<T>({ name, schema, wins }: Source<T>, setting: Setting<T>): Reading<T>[] {
    const text = given(this.texts, name);
    const file = setting.secret ? given(this.texts, `${name}_FILE`) : undefined;
    if (text !== undefined && file !== undefined) {
      this.faults.add(`${name} and ${name}_FILE are both set; remove one of them`);
      return [];
    }
    const read = file === undefined ? text : this.#textOfFile(`${name}_FILE`, file);
    if (read === undefined) return [];
    const parsed = schema.safeParse(read);
    if (parsed.success) {
      return parsed.data === undefined ? [] : [{ name, value: parsed.data, wins }];
    }
    const secret = setting.secret || setting.hidden;
    const subject = file === undefined ? name : `${name}_FILE=${shownValue(file)}: its content`;
    const shown = secret ? subject : `${subject}=${shownValue(read)}`;
    for (const issue of parsed.error.issues) this.faults.add(`${shown} ${issue.message}`);
    return [];
  }

  /** The content of a secret's file, without the line break at its end that editors and `echo` put there. */
  #textOfFile(name: string, file: string): string | undefined {
    try {
      const text = readFileSync(file, 'utf8').replace(/\r?\n$/, '');
      if (text !== '') return text;
      this.faults.add(`${name}=${shownValue(file)} is empty; write the secret into it`);
    } catch (error) {
      this.faults.add(
        `${name}=${shownValue(file)} cannot be read (${reasonOf(error)}); give a file that the gate may read`,
      );
    }
    return undefined;
  }

  /** The one value that all readings have; two different ones are a fault, since either may be what is meant. */
  #agreed<T>([first, ...others]: readonly Reading<T>[]): Reading<T> | undefined {
    const other = first && others.find(({ value }) => !isDeepStrictEqual(value, first.value));
    if (!other) return first;
    this.faults.add(
      `${first.name} and ${other.name} are both set, to different values; remove one of them`,
    );
    return undefined;
  }
}
