/** docs/configuration.md and .env.example, made from the table of settings. */
import { SECTIONS } from '../src/config/setting-table';
import type { Setting } from '../src/config/setting';

const INTRODUCTION = `# Configuration

Tidegate is set up by environment variables, and by a \`.env\` file in the folder that it is started in; the environment
wins over the file. Nothing has to be set: what is left out, or empty, has the default below. \`.env.example\` lists all
settings, ready to be copied.

All settings are checked at start. When some are wrong, the gate says of each what it is, what is wrong with it and what
would be right, and ends with exit code 1; nothing is half-started. \`node dist/cli.js check-config\` does the same check
and prints the settings in force, without secrets.

- **Durations** are written \`300\`, \`300s\`, \`5m\`, \`24h\`, \`30d\` or \`500ms\`; a bare number is seconds.
- **Sizes** are written \`64MiB\` or \`50GiB\` (of 1024), \`200GB\` (of 1000), or as a bare number of bytes.
- **Secrets**, marked 🔒, are never shown. Each can be put into a file instead: \`TOKEN_SECRET_FILE=/run/secrets/token\`
  means the content of that file, without a line break at its end. Setting both is a fault.
- **Other names** of a setting stand in brackets; they are those of systems that Tidegate takes the place of. Setting two
  names to different values is a fault, except where one is said to win.
- **Variables that are not listed** are not looked at: the environment is shared with other programs.
`;

/** The text of docs/configuration.md. */
export function configurationDocument(): string {
  const sections = SECTIONS.map(
    ([heading, settings]) =>
      `## ${heading}\n\n| setting | default | meaning |\n|---|---|---|\n${Object.entries(settings)
        .map(([name, setting]) => tableRow(name, setting))
        .join('\n')}\n`,
  );
  return [INTRODUCTION, ...sections].join('\n');
}

function tableRow(name: string, setting: Setting<unknown>): string {
  const aliases = (setting.aliases ?? []).map((alias) => `\`${alias.name}\``);
  const names = `\`${name}\`${setting.secret ? ' 🔒' : ''}${aliases.length ? ` (${aliases.join(', ')})` : ''}`;
  const shown = setting.without ?? `\`${setting.default}\``;
  return `| ${names} | ${shown} | ${setting.meaning} |`;
}

/** The text of .env.example: every setting, commented out, with its default or an example. */
export function environmentExample(): string {
  const head = [
    '# Settings of Tidegate: copy this file to .env and take the # away from what you set.',
    '# Shown are the defaults, or an example where it says so. docs/configuration.md tells more.',
  ];
  const sections = SECTIONS.map(([heading, settings]) => [
    `# --- ${heading}`,
    ...Object.entries(settings).map(([name, setting]) => exampleOf(name, setting)),
  ]);
  return `${[head.join('\n'), ...sections.flat()].join('\n\n')}\n`;
}

function exampleOf(name: string, setting: Setting<unknown>): string {
  const unset = setting.without === undefined ? '' : ` Without it: ${setting.without}.`;
  const example = setting.example === undefined ? '' : ' An example:';
  const text = `${setting.meaning}${unset}${example}`.replaceAll('`', '');
  return [...wrap(text, 98).map((line) => `# ${line}`), `#${name}=${exampleValue(setting)}`].join(
    '\n',
  );
}

function exampleValue(setting: Setting<unknown>): string {
  return setting.example ?? setting.default ?? '';
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines.push(`${lines.pop()} ${word}`);
    else lines.push(word);
  }
  return lines;
}
