/** How one client is set up for the gate. */

/** A file to write, or to merge into one that is there. */
export interface SetupFile {
  readonly path: string;
  readonly content: string;
}

export interface ClientSetup {
  readonly name: string;
  readonly title: string;
  readonly files: readonly SetupFile[];
  /** Lines to type. */
  readonly commands: readonly string[];
  /** What to know, a sentence or a few each, in Markdown. */
  readonly notes: readonly string[];
}

/** What stands for a reader's own account in a file that must hold one. */
export const YOUR_NAME = 'YOUR-NAME';
export const YOUR_PASSWORD = 'YOUR-PASSWORD';

/** A string as JSON, TOML and YAML all write it: what is quoted here was read by the grammar of hosts. */
export function quoted(text: string): string {
  return JSON.stringify(text);
}

/** The file of these blocks, parted by empty lines; none when there is nothing to say in it. */
export function fileOf(path: string, ...blocks: readonly (readonly string[])[]): SetupFile[] {
  const filled = blocks.filter(({ length }) => length > 0);
  if (filled.length === 0) return [];
  return [{ path, content: `${filled.map((lines) => lines.join('\n')).join('\n\n')}\n` }];
}
