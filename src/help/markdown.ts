/** The set-up of clients as text for people. */
import type { ClientSetup, SetupFile } from './client-setup';
import type { GateView } from './gate-view';

/** The whole document, with a heading of the first rank. */
export function documentOf({ address }: GateView, setups: readonly ClientSetup[]): string {
  const head = `# Clients of ${address.host}`;
  return `${[head, ...setups.map((setup) => sectionOf(setup, '##'))].join('\n\n')}\n`;
}

/** One client's part; no line break at its end. */
export function sectionOf(
  { title, files, commands, notes }: ClientSetup,
  rank: '##' | '###',
): string {
  return [
    `${rank} ${title}`,
    ...files.map(fileBlock),
    ...(commands.length > 0 ? [fence('sh', commands.join('\n'))] : []),
    notes.map((note) => `- ${note}`).join('\n'),
  ].join('\n\n');
}

function fileBlock({ path, content }: SetupFile): string {
  return `\`${path}\`\n\n${fence(languageOf(path), content.trimEnd())}`;
}

function fence(language: string, text: string): string {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

function languageOf(path: string): string {
  const ending = path.slice(path.lastIndexOf('.') + 1);
  return ending === 'conf' ? 'toml' : ending;
}
