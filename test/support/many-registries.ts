/** A gate in front of several real registries, and clients that are set up by what the gate itself says. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { ClientSetup } from '../../src/help/client-setup';
import { startGate, type Gate } from './gate';
import { send } from './http';
import { freshFolder } from './lifecycle';
import { startRegistry, type Registry } from './registry';

/** One entry of `registries:` in CONFIG_FILE, without its URL. */
export interface Described {
  readonly name: string;
  readonly hosts?: readonly string[];
}

export interface ManyStand<K extends string> {
  readonly gate: Gate;
  readonly upstreams: Readonly<Record<K, Registry>>;
}

/** Starts a registry for each entry, and a gate whose CONFIG_FILE gives it that name; the default one is docker.io. */
export async function startManyStand<K extends string>(
  described: Readonly<Record<K, Described>>,
  env: Record<string, string> = {},
): Promise<ManyStand<K>> {
  const started = await Promise.all(
    Object.entries<Described>(described).map(
      async ([key, entry]) => [key, entry, await startRegistry()] as const,
    ),
  );
  const registries = started.map(([, entry, { url }]) => ({ ...entry, url }));
  const file = join(freshFolder('config'), 'tidegate.yaml');
  writeFileSync(file, JSON.stringify({ registries })); // JSON is YAML
  const gate = await startGate({ CONFIG_FILE: file, ...env });
  const upstreams = Object.fromEntries(started.map(([key, , registry]) => [key, registry]));
  return { gate, upstreams: upstreams as Record<K, Registry> };
}

/** What the running gate says about one client to whoever asks it by that Host. */
export async function setupOf(gate: Gate, client: string, host = gate.host): Promise<ClientSetup> {
  const headers = { accept: 'application/json', host };
  const answer = await send(`${gate.url}/help/clients`, { headers });
  const { clients } = answer.json<{ clients: ClientSetup[] }>();
  const found = clients.find(({ name }) => name === client);
  if (!found) throw new Error(`nothing is said about ${client}: ${answer.text}`);
  return found;
}

/** Writes the files of a set-up below a folder that stands for `/`, and gives that folder. */
export function install({ files }: ClientSetup): string {
  const root = freshFolder('root');
  for (const { path, content } of files) {
    const target = join(root, path);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, content);
  }
  return root;
}
